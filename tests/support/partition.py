"""A partition's exports on a real directory, fed from two logs that a test writes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from consumer.core.budget import TURN_SECONDS
from consumer.core.resume import ResumePoint
from consumer.core.suspects import MessagePlace
from consumer.exports.export_context import ExportContext
from consumer.exports.kept_texts import KEPT_BYTES, KeptTexts
from consumer.exports.messages import Outcome
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd, TurnResult
from consumer.formats.base import Encoders, FormatWriter
from consumer.formats.csv import CsvWriter
from consumer.formats.native import PythonEncoders
from consumer.metrics import Metrics
from consumer.storage import identity
from consumer.storage.base import Storage
from consumer.storage.local import LocalStorage
from schemas.completions import ExportFailed, TerminalEvent
from schemas.requests import ExportRequested

START = ResumePoint(0, (), 0, 0)
NONE: Mapping[MessagePlace, str] = MappingProxyType({})
BEGUN = datetime(2026, 11, 21, 10, tzinfo=UTC)
STORAGE_SECONDS = 60.0
REQUESTS, RECORDS = "export.requests", "export.records"


@dataclass(frozen=True)
class Sent:
    """A consumed record."""

    topic: str
    offset: int
    value: bytes | None
    key: bytes | None = None
    partition: int = 3
    timestamp: int = int(BEGUN.timestamp() * 1000)
    headers: tuple[tuple[str, bytes], ...] = ()


class Clock:
    """Seconds that pass only when a test lets them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return BEGUN + timedelta(seconds=self.seconds)


@dataclass
class Bench:
    """A partition on a directory, or another storage, and the two logs it is fed from."""

    directory: Path
    clock: Clock = field(default_factory=Clock)
    max_export_bytes: int = 1_000_000
    kept_bytes: int = KEPT_BYTES
    retention_seconds: int | None = None
    made: Storage | None = None
    encoders: Encoders = field(default_factory=PythonEncoders)
    writer: Callable[[ExportRequested, datetime | None], FormatWriter] = field(
        default=lambda request, _: CsvWriter(request)
    )
    requests: list[Sent] = field(default_factory=list)
    records: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.clock.monotonic)
        self.storage = self.made or LocalStorage(self.directory)
        self.partition = self.owner()

    def owner(
        self, point: ResumePoint = START, breaks_on: Mapping[MessagePlace, str] = NONE
    ) -> PartitionExports:
        """Another owner of the partition, that resumes at ``point``."""
        self.storage.sweep(3)
        return PartitionExports(3, point, self.context(), breaks_on=breaks_on)

    def context(self) -> ExportContext:
        """What its node works with."""
        return ExportContext(
            self.storage,
            self.writer,
            self.metrics,
            self.max_export_bytes,
            self.clock.now,
            self.clock.monotonic,
            kept_texts=KeptTexts(self.kept_bytes),
            storage_timeout_seconds=STORAGE_SECONDS,
            retention_seconds=self.retention_seconds,
            encoders=self.encoders,
        )

    def request(self, export_id: str = "a", **fields: Any) -> Sent:
        sent = {"type": "export.requested", "export_id": export_id, "format": "csv"}
        return self._say(self.requests, REQUESTS, {**sent, "columns": ["n"], **fields})

    def cancel(self, export_id: str = "a", **fields: Any) -> Sent:
        sent = {"type": "export.cancel_requested", "export_id": export_id, **fields}
        return self._say(self.requests, REQUESTS, sent)

    def batch(self, seq: int, *rows: Any, export_id: str = "a", **fields: Any) -> Sent:
        sent = {"export_id": export_id, "seq": seq, "rows": list(rows), **fields}
        return self._say(self.records, RECORDS, sent)

    def raw(self, topic: str, value: bytes | None, key: bytes | None = None) -> Sent:
        log = self.requests if topic == REQUESTS else self.records
        message = Sent(topic, len(log), value, key)
        log.append(message)
        return message

    @staticmethod
    def encode(sent: Any) -> bytes:
        return json.dumps(sent).encode()

    def _say(self, log: list[Sent], topic: str, sent: dict[str, Any]) -> Sent:
        return self.raw(topic, self.encode(sent), str(sent["export_id"]).encode())

    def turn(self, owner: PartitionExports | None = None) -> list[TerminalEvent]:
        """Feed the owner what it has not seen, let it work, and take its events."""
        owner = owner or self.partition
        owner.drop_pending()
        self.feed(owner)
        work_off(owner)
        return take_outcome(owner).events

    def feed(self, owner: PartitionExports) -> None:
        """Give the owner all that it has not handled."""
        requests, records = owner.next_offsets
        owner.take_requests(self.requests[requests:])
        owner.take_records(self.records[records:])

    def failure(self) -> ExportFailed:
        """How the only export that a turn ends fails; it leaves nothing behind."""
        event = only(self.turn())
        assert isinstance(event, ExportFailed)
        assert not self.parts()
        return event

    def replay(self, point: ResumePoint) -> tuple[PartitionExports, list[TerminalEvent]]:
        """What an owner after a crash makes of the logs."""
        owner = self.owner(point)
        first = min((point.requests_position, *point.open_requests))
        owner.take_requests(self.requests[first:])
        owner.take_records(self.records[point.records_resume :])
        work_off(owner)
        return owner, take_outcome(owner).events

    def files(self) -> set[str]:
        found = {path.name for path in self.directory.iterdir() if path.is_file()}
        return found - {identity.NAME}

    def parts(self) -> list[Path]:
        return [path for path in (self.directory / ".parts").rglob("*") if path.is_file()]

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def work_off(owner: PartitionExports, turn_seconds: float = TURN_SECONDS) -> int:
    """Turns until nothing is left, as with a lane whose every commit succeeds; how many."""
    turns = 1
    while (end := served(owner.turn(turn_seconds))).end is TurnEnd.SPENT or end.orphan_pending:
        owner.orphan_committed()
        turns += 1
    return turns


def served(result: TurnResult) -> TurnResult:
    """The result of a turn that the storage did not refuse."""
    if result.refusal:
        raise result.refusal
    return result


def take_outcome(owner: PartitionExports) -> Outcome:
    """What a transaction would hold now."""
    checkpoint = owner.take_checkpoint(None, progress=False)
    return checkpoint.outcome if checkpoint else Outcome()


def only(events: list[TerminalEvent]) -> TerminalEvent:
    assert len(events) == 1
    return events[0]
