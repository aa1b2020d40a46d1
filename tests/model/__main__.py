"""``python -m tests.model [RUNS [FIRST_SEED]]``: many interleavings, on all cores."""

import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import structlog

from consumer.metrics import Metrics
from tests.model.interleaving import run, story
from tests.model.tape import seeded
from tests.model.violations import BrokenError
from tests.model.world import rows_one_by_one

_CHUNK = 1_000


def failing(chunk: int, first_seed: int) -> list[str]:
    """The stories of the seeds of one chunk that break the promise."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    metrics = Metrics()
    stories = []
    with rows_one_by_one():
        for seed in range(first_seed + chunk * _CHUNK, first_seed + (chunk + 1) * _CHUNK):
            try:
                run(seeded(seed), metrics)
            except BrokenError:
                stories.append(f"seed {seed}\n{story(seeded(seed), metrics)}")
    return stories


def main(runs: int = 100_000, first_seed: int = 0) -> int:
    """Returns the exit code: 1 if a run broke the promise."""
    chunks = -(-runs // _CHUNK)
    begun = time.monotonic()
    with ProcessPoolExecutor() as processes:
        outcomes = processes.map(partial(failing, first_seed=first_seed), range(chunks))
        stories = [story for outcome in outcomes for story in outcome]
    seconds = time.monotonic() - begun
    print(*stories, sep="\n\n")
    print(
        f"{chunks * _CHUNK} interleavings in {seconds:.0f} s on {os.cpu_count()} cores "
        f"({chunks * _CHUNK / seconds:.0f} a second), {len(stories)} broke the promise"
    )
    return 1 if stories else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
