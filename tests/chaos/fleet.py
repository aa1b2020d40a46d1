"""The nodes of a storm: each slot has one process at a time, started again whenever it ends.

Invariant: every process ends in the books as killed by us, dead at its step, stopped in order, or
refused to start while something was in its way; whatever else ended is a violation.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.journal import Journal
from tests.chaos.node import Point
from tests.chaos.oracle import Fault, Violation
from tests.support.nodes import SLUICE

_TICK_SECONDS = 0.05
_AGAIN_SECONDS = 1.0  # after a refused start
_MOST_STOP_SECONDS = 12.0


@dataclass(slots=True)
class Process:
    """One run of a node.

    ``meant_to_end`` once we sent it a signal that ends it; ``afflicted`` while a fault that it has
    to survive is on it.
    """

    slot: int
    process: subprocess.Popen[bytes]
    journal: Journal
    point: Point | None
    meant_to_end: bool = False
    afflicted: bool = False

    @property
    def is_member(self) -> bool:
        """Whether it lives, runs, and was assigned something."""
        alive = self.process.returncode is None and not self.meant_to_end
        return alive and not self.afflicted and self.journal.assignments > 0

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@dataclass(slots=True)
class Books:
    """What became of the processes."""

    started: int = 0
    step_kills: list[str] = field(default_factory=list)
    step_kill_times: list[float] = field(default_factory=list)
    refused_starts: list[str] = field(default_factory=list)
    stop_seconds: list[float] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)


class Fleet:
    """``run`` keeps every slot occupied until cancelled. Environments are one for each slot."""

    def __init__(self, directory: Path, environments: list[dict[str, str]]) -> None:
        self._directory = directory
        self._environments = environments
        self._points: dict[int, Point] = {}
        self.books = Books()
        self.starts_may_fail: Callable[[], bool] = lambda: False
        self.journals: list[Journal] = []
        self.now: dict[int, Process] = {}

    async def run(self) -> None:
        """Start what isn't there, read what they log, note what ended."""
        not_before = dict.fromkeys(range(len(self._environments)), 0.0)
        while True:
            for slot, due in not_before.items():
                running = self.now.get(slot)
                if running is None:
                    if time.monotonic() >= due:
                        self._start(slot)
                    continue
                running.journal.read()
                if running.process.poll() is not None and not running.meant_to_end:
                    self._note_end(running)
                    not_before[slot] = time.monotonic() + _AGAIN_SECONDS
                    del self.now[slot]
            await asyncio.sleep(_TICK_SECONDS)

    def doom(self, slot: int, point: Point) -> None:
        """The slot's next process is to die at this point."""
        self._points[slot] = point

    async def kill(self, process: Process) -> bool:
        """kill -9; whether that is what it died of."""
        process.meant_to_end = True
        process.send(signal.SIGKILL)
        code = await self._ended(process)
        return code == -signal.SIGKILL

    async def terminate(self, process: Process) -> bool:
        """SIGTERM; whether it ended in order and in time, which it must."""
        process.meant_to_end = True
        begun = time.monotonic()
        # A process that Python still starts has no handler of ours.
        in_order = {0} if process.journal.url else {0, -signal.SIGTERM}
        process.send(signal.SIGTERM)
        code = await self._ended(process, _MOST_STOP_SECONDS)
        self.books.stop_seconds.append(time.monotonic() - begun)
        if code not in in_order and not (process.point and process.journal.point):
            what = f"after SIGTERM: {code}; {_tail(process)}"
            self.books.violations.append(Violation(Fault.NODE, what))
        return code in in_order

    async def stop_all(self) -> None:
        """End all, in order; call it when ``run`` has ended."""
        await asyncio.gather(*(self.terminate(process) for process in list(self.now.values())))

    def kill_all(self) -> None:
        """End all at once."""
        for process in self.now.values():
            if process.process.poll() is None:
                process.process.kill()
                process.process.wait()

    def taken_over_since(self, at: float, besides: Process) -> frozenset[int]:
        """The partitions that other nodes took over after a time, in seconds since the epoch."""
        others = (journal for journal in self.journals if journal is not besides.journal)
        return frozenset(
            number
            for journal in others
            for number, times in journal.taken.items()
            if times[-1] > at
        )

    def _start(self, slot: int) -> None:
        point = self._points.pop(slot, None)
        log = self._directory / f"node-{slot}-{self.books.started}.log"
        command = [str(SLUICE), "serve"]
        if point:
            command = [sys.executable, "-m", "tests.chaos.node", str(point)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env=self._environments[slot], stdout=output, stderr=output
            )
        journal = Journal(log)
        self.books.started += 1
        self.journals.append(journal)
        self.now[slot] = Process(slot, process, journal, point)

    async def _ended(self, process: Process, most_seconds: float = 60) -> int | None:
        """Its exit code, or None if it had to be killed; the slot is free then."""
        deadline = time.monotonic() + most_seconds
        while process.process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        code = process.process.poll()
        if code is None:
            process.process.kill()
            process.process.wait()
        process.journal.read()
        self._note_log(process)
        self.now.pop(process.slot, None)
        return code

    def _note_end(self, process: Process) -> None:
        process.journal.read()
        self._note_log(process)
        code, journal = process.process.returncode, process.journal
        if code == -signal.SIGKILL and process.point and journal.point == str(process.point):
            self.books.step_kills.append(str(process.point))
            self.books.step_kill_times.append(time.time())
        elif journal.url is None and code == 1 and self.starts_may_fail():
            self.books.refused_starts.append(journal.last_line)
        else:
            what = f"ended by itself: {code}; {_tail(process)}"
            self.books.violations.append(Violation(Fault.NODE, what))

    def _note_log(self, process: Process) -> None:
        name = process.journal.path.name
        self.books.unexpected += [f"{name}: {line}" for line in process.journal.unexpected]


def environments_for(
    shared: Mapping[str, str], servers: str, proxied_servers: str, scratch: Path, nodes: int
) -> list[dict[str, str]]:
    """The environment of each slot: the first one's way to the broker is the proxy."""
    return [
        {
            **shared,
            "SLUICE_BOOTSTRAP_SERVERS": servers if slot else proxied_servers,
            "SLUICE_SCRATCH_DIR": str(scratch / str(slot)),
        }
        for slot in range(nodes)
    ]


def _tail(process: Process) -> str:
    return f"{process.journal.path}: {process.journal.last_line}"
