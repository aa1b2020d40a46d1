"""One run of a contender, and what to do when other processes disturbed it.

Every contender runs on one core, with all its threads, so its CPU seconds can't be more than the
seconds by the clock: what these are above them, the core did for others, or it waited for a disk.
Invariant: what is kept of a round is what was disturbed least, whether it was the quickest or not.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

TRIES = 3
"""Of each round: one, and two repeats at most."""
DISTURBED = 1.15
"""Seconds by the clock for each CPU second; a run above it is repeated."""
_MOST_SECONDS = 300


@dataclass(frozen=True, slots=True)
class ProcessRun:
    """What one process reports of itself."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def disturbance(self) -> float:
        """Seconds by the clock for each CPU second: 1 on a quiet machine."""
        return self.seconds / self.cpu_seconds


def run(command: Sequence[str]) -> ProcessRun:
    """Run it and read its last line. Raises CalledProcessError, TimeoutExpired."""
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=_MOST_SECONDS,
    )
    return ProcessRun(**json.loads(done.stdout.splitlines()[-1]))


def least_disturbed(runs: Iterable[ProcessRun]) -> ProcessRun:
    """The first run that nothing disturbed; of three that were, the least."""
    tried: list[ProcessRun] = []
    for one in islice(runs, TRIES):
        tried.append(one)
        if one.disturbance <= DISTURBED:
            break
    return min(tried, key=lambda one: one.disturbance)
