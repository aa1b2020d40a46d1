"""What one partition's life is made of, and how a run comes to its end.

Upstream's script, processes with a lane each, the disk and the coordinator that they share. What
happens when, and what goes wrong, is for others to say: ``interleaving`` by chance, ``moments`` one
by one. Invariant: a run depends on its tape alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from consumer.core import budget
from consumer.core.resume import METADATA_LIMIT
from consumer.errors import StorageUnavailable
from consumer.exports.export_context import ExportContext
from consumer.metrics import Metrics
from schemas.completions import ExportCancelled, Source, TerminalEvent
from schemas.records import Cell
from schemas.requests import ExportRequested
from schemas.vocabulary import Format
from tests.model.broker import Broker, Log
from tests.model.disk import Disk, ProcessStorage
from tests.model.feed import ALL
from tests.model.lane import IDLE_SECONDS, Killed, Lane
from tests.model.oracle import Oracle
from tests.model.tape import Tape
from tests.model.undisturbed import FOOTER, HEADER
from tests.model.upstream import (
    PARTITION,
    RECORDS,
    REQUESTS,
    Ask,
    Line,
    Marker,
    Meaning,
    Release,
    Rows,
    topic_of,
)
from tests.model.violations import Violation

_BEGUN = datetime(2026, 11, 21, 10, tzinfo=UTC)
_MOST_ROUNDS = 150


@dataclass(frozen=True, slots=True)
class Design:
    """The parts that a mutant replaces."""

    lane: type[Lane] = Lane
    storage: type[ProcessStorage] = ProcessStorage
    broker: type[Broker] = Broker


AS_BUILT = Design()


@dataclass(frozen=True, slots=True)
class Limits:
    """Open exports before requests wait, and at all; bytes of a file; metadata of a commit."""

    open_exports: int = 1000
    most_open: int = 1000
    export_bytes: int = 1 << 30
    most_characters: int = METADATA_LIMIT


UNLIMITED = Limits()


class LineWriter:
    """The simplest ``FormatWriter``: a header, a line for each row, a footer."""

    is_behind = False
    pages = None
    replaced_characters = None
    truncated_cells = None

    def __init__(self) -> None:
        self._head = HEADER

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """See ``FormatWriter.append``."""
        head, self._head = self._head, b""
        return head + b"".join(",".join(row).encode() + b"\n" for row in rows)

    def finish(self) -> Iterator[bytes]:
        """See ``FormatWriter.finish``."""
        yield FOOTER


@contextmanager
def rows_one_by_one() -> Iterator[None]:
    """Batches are applied a row at a time, so that turns end within them."""
    usual, budget.PIECE_CELLS = budget.PIECE_CELLS, 1
    try:
        yield
    finally:
        budget.PIECE_CELLS = usual


@cache
def _elsewhere(export_id: str) -> ExportCancelled:
    return ExportCancelled(
        export_id=export_id,
        user="someone",
        rows=0,
        requested_at=_BEGUN,
        started_at=None,
        completed_at=_BEGUN,
        duration_ms=0,
        source=Source(topic=REQUESTS, partition=PARTITION + 1, offset=0),
        format=Format.CSV,
        message="cancelled on request",
    )


def _writer(_: ExportRequested, __: datetime | None) -> LineWriter:
    return LineWriter()


class World:
    """One run, with one process at its beginning.

    ``script`` is what upstream will say. ``metrics`` may be shared by many runs: nobody reads them.
    """

    def __init__(
        self,
        script: list[Line],
        tape: Tape,
        metrics: Metrics,
        design: Design = AS_BUILT,
        limits: Limits = UNLIMITED,
    ) -> None:
        self.tape = tape
        self.trace: list[str] | None = None
        self.disk = Disk()
        self.oracle = Oracle(self.disk, limits.export_bytes, limits.most_open)
        oracle = self.oracle
        self.broker = design.broker(
            Log(REQUESTS), Log(RECORDS), oracle.preparing, oracle.committing
        )
        self.broker.most_characters = limits.most_characters
        self.lanes: list[Lane] = []
        self.depth = 0
        self._all_lanes: list[Lane] = []
        self._unsaid = script[::-1]
        self._metrics = metrics
        self._design = design
        self._limits = limits
        self._seconds = 0.0
        self._moments = 0
        self._processes = 0
        self.start_lane()

    # What can happen.

    def strike(self, process: int, moment: str) -> None:
        """A process is at a moment of a call of the storage; raise what befalls it there."""
        raise NotImplementedError

    def start_lane(self) -> Lane:
        """The group gives the partition to a new process; who had it may not know."""
        self.lanes = [lane for lane in self.lanes if lane.alive]
        self._processes += 1
        number = self._processes
        strike = partial(self.strike, number)
        decided = partial(self._decided, number)
        storage = self._design.storage(self.disk, number, strike, decided)
        context = ExportContext(
            storage,
            _writer,
            self._metrics,
            self._limits.export_bytes,
            self._now,
            self._monotonic,
        )
        open_exports, most_open = self._limits.open_exports, self._limits.most_open
        lane = self._design.lane(
            number, self.broker, context, self.oracle, open_exports, most_open, self._in_hand
        )
        self.say(number, "starts")
        self.lanes.append(lane)
        self._all_lanes.append(lane)
        return lane

    def kill(self, lane: Lane) -> None:
        """A process is killed; its last request to the coordinator may still be on its way."""
        self.oracle.deaths.died(lane, fenced=lane.epoch != self.broker.epoch)
        lane.tape = self.tape
        lane.client.forget()
        self.say(lane.process, "dies")
        lane.die()

    def crash(self) -> None:
        """The machine dies, with all its processes and what is not on the disk."""
        self.say(0, "the machine crashes")
        for lane in self.lanes:
            self.oracle.deaths.died(lane, fenced=lane.epoch != self.broker.epoch)
            lane.die()
        self.disk.crash(self.tape)
        self.oracle.crashed()

    def decide_elsewhere(self, export_id: str) -> None:
        """The owner of another partition ends an export of this id, unless it has ended here."""
        if self.oracle.is_accepted(export_id) and export_id not in self.disk.manifests:
            self.say(0, f"{export_id} ends in another partition")
            self.disk.manifests[export_id] = _elsewhere(export_id)
            self.oracle.decided_elsewhere(export_id)

    def pass_time(self) -> None:
        """As much as makes an export idle."""
        self.say(0, "time passes")
        self._seconds += IDLE_SECONDS

    def say_next(self) -> None:
        """Upstream says its next line."""
        if self._unsaid:
            line = self._unsaid.pop()
            self.say(0, f"upstream: {line}")
            match line:
                case Release():
                    self._release(commits=line.commits)
                case Marker(topic=topic):
                    self._log(topic).entries.append(None)
                case _:
                    self._send(line)

    @property
    def all_published(self) -> bool:
        """Whether upstream has nothing more to say."""
        return not self._unsaid

    # The end.

    def close(self, survivor: Lane) -> None:
        """Without faults: one lane works until it is at rest, then another one takes over.

        Raises:
            Violation: the promise was broken, or something goes on for ever.
        """
        while not self.all_published:
            self.say_next()
        survivor = self.work_to_rest(survivor)
        self._check_end(survivor)
        self._check_parts()
        published = self.oracle.published
        survivor.die()
        survivor = self.work_to_rest(self.start_lane())
        self._check_end(survivor)
        if self.oracle.published != published:
            raise Violation("the next owner published something again")
        if self.disk.parts:
            raise Violation(f"parts are left: {list(self.disk.parts)}")
        survivor.close()
        survivor.step(self.tape)
        if self.disk.marks:
            raise Violation(f"marks are left: {self.disk.marks}")

    def _check_end(self, lane: Lane) -> None:
        requests_end, records_end = self.broker.requests.end, self.broker.records.end
        fenced = lane.epoch != self.broker.epoch
        self.oracle.closing(requests_end, records_end, fenced=fenced)

    def _check_parts(self) -> None:
        """A process that was not killed has removed what it wrote and no longer needs."""
        for lane in self._all_lanes:
            left = set() if lane.killed else self.disk.left_by(lane.process)
            if left:
                raise Violation(f"process {lane.process} left {left}")

    def work_to_rest(self, lane: Lane) -> Lane:
        """A lane works, alone, until nothing is left to do and nothing is open.

        One that dies on a message is followed by another, which is returned.
        """
        lane.resume()
        waited = False
        self.oracle.deaths.faults_ended()
        for _ in range(_MOST_ROUNDS):
            if not lane.alive:
                lane = self.start_lane()
            self.work(lane)
            if not lane.at_rest:
                waited = False
            elif not lane.open_count:
                return lane
            elif waited:
                raise Violation(f"{lane.open_count} exports are open for ever")
            else:
                waited = True
                self.pass_time()
        raise Violation(f"no rest in sight: {lane.state.name}")

    def work(self, lane: Lane) -> None:
        """Everything that a lane does goes on by a step."""
        lane.requests.fetch(ALL)
        lane.records.fetch(ALL)
        lane.step(self.tape)
        lane.transact(self.tape)
        self.broker.complete()

    def say(self, process: int, what: str) -> None:
        """Keep what happens, if a reader wants it; process 0 is the world."""
        if self.trace is not None:
            who = f"process {process}: " if process else ""
            self.trace.append("    " * self.depth + who + what)

    def _in_hand(self, lane: Lane) -> None:
        """A lane has a message in hand, and dies on it if it is such a one."""
        assert lane.in_hand is not None
        topic, offset = lane.in_hand
        entry = self._log(topic).entries[offset]
        if entry and isinstance(entry[1], Ask | Rows) and entry[1].kills:
            self.say(lane.process, f"dies on {entry[1]}")
            self.kill(lane)
            raise Killed
        with suppress(StorageUnavailable):  # it is no call that a disk could refuse
            self.strike(lane.process, "in hand")

    def _decided(self, process: int, event: TerminalEvent) -> None:
        lane = next(lane for lane in self._all_lanes if lane.process == process)
        self.oracle.decided(event, fenced=lane.epoch != self.broker.epoch)

    def _send(self, line: Meaning) -> None:
        requests = self.broker.requests
        if isinstance(line, Ask) and line.held and requests.held is not None:
            line = line._replace(held=False)  # one transaction at a time is enough
        log = self._log(topic_of(line))
        offset = log.append(line)
        if isinstance(line, Ask) and line.held:
            requests.held = offset
        self.oracle.sent(log.topic, offset, line, self._seconds)

    def _log(self, topic: str) -> Log:
        return self.broker.requests if topic == REQUESTS else self.broker.records

    def _release(self, *, commits: bool) -> None:
        requests = self.broker.requests
        if requests.held is None:
            return
        entry = requests.entries[requests.held]
        assert entry is not None
        assert isinstance(entry[1], Ask)
        if not commits:
            requests.entries[requests.held] = None
        requests.entries.append(None)  # the marker
        self.oracle.released(requests.held, entry[1], self._seconds, commits=commits)
        requests.held = None

    def _now(self) -> datetime:
        """No two moments are the same, so no two attempts make the same event."""
        self._moments += 1
        return _BEGUN + timedelta(seconds=self._seconds, milliseconds=self._moments)

    def _monotonic(self) -> float:
        return self._seconds
