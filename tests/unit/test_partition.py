"""One partition's messages: owners, ends, repeats, what is committed, on a real directory."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consumer.core.resume import ResumePoint
from consumer.errors import LaneStopped, PartLost, StorageUnavailable
from consumer.exports.open_exports import MOST_OPEN
from consumer.exports.partition import PartitionExports, TurnEnd
from consumer.exports.workshop import Workshop
from consumer.formats.csv import CsvWriter
from consumer.metrics import Metrics
from consumer.storage.local import LocalStorage
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed, TerminalEvent
from schemas.vocabulary import DeadLetterReason, FailReason

START = ResumePoint(0, (), 0, 0)
BEGUN = datetime(2026, 11, 21, 10, tzinfo=UTC)
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
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return BEGUN + timedelta(seconds=self.seconds)


@dataclass
class Bench:
    """A partition on a directory, and the two logs it is fed from."""

    directory: Path
    clock: Clock = field(default_factory=Clock)
    max_export_bytes: int = 1_000_000
    requests: list[Sent] = field(default_factory=list)
    records: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.clock.monotonic)
        self.storage = LocalStorage(self.directory)
        self.partition = self.owner()

    def owner(self, point: ResumePoint = START) -> PartitionExports:
        """Another owner of the partition, that resumes at ``point``."""
        workshop = Workshop(
            self.storage,
            lambda request, _: CsvWriter(request),
            self.metrics,
            self.max_export_bytes,
            self.clock.now,
            self.clock.monotonic,
        )
        self.storage.sweep(3)
        return PartitionExports(3, point, workshop)

    def request(self, export_id: str = "a", **fields: Any) -> Sent:
        sent = {"type": "export.requested", "export_id": export_id, "format": "csv"}
        return self._say(self.requests, REQUESTS, {**sent, "columns": ["n"], **fields})

    def cancel(self, export_id: str = "a") -> Sent:
        sent = {"type": "export.cancel_requested", "export_id": export_id}
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
        requests, records = owner.next_offsets
        owner.take_requests(self.requests[requests:])
        owner.take_records(self.records[records:])
        while owner.turn() is TurnEnd.SPENT:
            pass
        return owner.take_outcome().events

    def replay(self, point: ResumePoint) -> tuple[PartitionExports, list[TerminalEvent]]:
        """What an owner after a crash makes of the logs."""
        owner = self.owner(point)
        first = min((point.requests_position, *point.open_requests))
        owner.take_requests(self.requests[first:])
        owner.take_records(self.records[point.records_resume :])
        while owner.turn() is TurnEnd.SPENT:
            pass
        return owner, owner.take_outcome().events

    def files(self) -> set[str]:
        return {path.name for path in self.directory.iterdir() if path.is_file()}

    def parts(self) -> list[Path]:
        return [path for path in (self.directory / ".parts").rglob("*") if path.is_file()]

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def only(events: list[TerminalEvent]) -> TerminalEvent:
    assert len(events) == 1
    return events[0]


def test_batches_become_a_file_and_an_event(bench: Bench) -> None:
    request = bench.request(user="alice", title="T")
    bench.batch(0, [1], [2])
    bench.batch(1, [3], last=True, total_rows=3)
    event = only(bench.turn())
    assert isinstance(event, ExportCompleted)
    assert (event.rows, event.user, event.source.offset) == (3, "alice", request.offset)
    assert (bench.directory / "a.csv").read_bytes() == b"n\r\n1\r\n2\r\n3\r\n"
    assert event.bytes == len(b"n\r\n1\r\n2\r\n3\r\n")
    assert bench.files() == {"a.csv", "a.manifest.json"}
    assert bench.parts() == []
    assert bench.partition.resume_point() == ResumePoint(1, (), 2, 2)


def test_a_request_keeps_its_place_while_it_is_open(bench: Bench) -> None:
    bench.request("a")
    bench.request("b")
    bench.batch(0, [1], export_id="b")
    bench.batch(0, [1], export_id="a")
    bench.batch(1, export_id="b", last=True)
    only(bench.turn())
    assert bench.partition.resume_point() == ResumePoint(2, (0,), 1, 3)


def test_more_exports_than_slots_interleave(bench: Bench) -> None:
    ids = [f"e{number}" for number in range(20)]
    for export_id in ids:
        bench.request(export_id)
    for seq in range(5):
        for export_id in ids:
            bench.batch(seq, [seq], export_id=export_id, last=seq == 4)
    events = bench.turn()
    assert [event.export_id for event in events] == ids
    assert {event.rows for event in events} == {5}


def test_a_batch_waits_for_its_owner_and_then_is_an_orphan(bench: Bench) -> None:
    bench.batch(0, [1], export_id="nobody")
    bench.partition.take_records(bench.records)
    assert bench.partition.turn() is TurnEnd.OWNER_UNKNOWN
    assert bench.partition.turn() is TurnEnd.OWNER_UNKNOWN
    bench.partition.owners_known(below=1)
    assert bench.partition.turn() is TurnEnd.IDLE
    letter = bench.partition.take_outcome().dead_letters[0]
    assert (letter.reason, letter.message) == (DeadLetterReason.ORPHAN_BATCH, bench.records[0])


def test_a_batch_that_was_visible_before_its_request_finds_it(bench: Bench) -> None:
    bench.batch(0, [1], last=True)
    bench.partition.take_records(bench.records)
    assert bench.partition.turn() is TurnEnd.OWNER_UNKNOWN
    bench.request()
    assert isinstance(only(bench.turn()), ExportCompleted)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"columns": []}, "columns"),
        ({"format": "xlsx"}, "format"),
        ({"format": ["csv"]}, "format"),
        ({"format": {"csv": 1}}, "format"),
        ({"format": 5}, "format"),
        ({"priority": 11}, "priority"),
        ({"options": {"delimiter": "ab"}}, "options.delimiter"),
        ({"bogus": 1}, "bogus: is not a field of the contract"),
    ],
)
def test_an_invalid_request_fails_and_names_the_field(
    bench: Bench, fields: dict[str, Any], words: str
) -> None:
    bench.request(user="eve", **fields)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.reason, event.user, event.rows) == (FailReason.INVALID_REQUEST, "eve", 0)
    assert words in event.message
    assert event.format == ("unknown" if "format" in fields else "csv")
    assert bench.files() == {"a.manifest.json"}


@pytest.mark.parametrize(
    ("batches", "reason"),
    [
        ([(0, [1]), (2, [3])], FailReason.SEQUENCE_GAP),
        ([(0, [1]), (1, [1, 2])], FailReason.INVALID_BATCH),
        ([(0, [1]), (1, {"m": 1})], FailReason.INVALID_BATCH),
        ([(0, [1]), (-1, [1])], FailReason.INVALID_BATCH),
    ],
)
def test_a_bad_batch_fails_its_export_alone(
    bench: Bench, batches: list[tuple[int, Any]], reason: FailReason
) -> None:
    bench.request("a")
    bench.request("b")
    bench.batch(0, [7], export_id="b")
    for seq, row in batches:
        bench.batch(seq, row)
    bench.batch(1, [8], export_id="b", last=True)
    bench.batch(3, [9], last=True)
    failed, done = bench.turn()
    assert isinstance(failed, ExportFailed)
    assert (failed.reason, failed.rows) == (reason, 1)
    assert isinstance(done, ExportCompleted)
    assert bench.files() == {"a.manifest.json", "b.csv", "b.manifest.json"}
    assert bench.metric("sluice_batches_dropped_total", why="late") == 1
    assert bench.parts() == []


def test_a_wrong_total_fails(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1], last=True, total_rows=2)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.ROW_COUNT_MISMATCH


def test_a_file_beyond_the_limit_fails(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_export_bytes=100)
    bench.request()
    bench.batch(0, ["x" * 60])
    bench.batch(1, ["x" * 60], last=True)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.reason, event.rows) == (FailReason.TOO_LARGE, 1)
    assert bench.files() == {"a.manifest.json"}


def test_a_repeat_of_a_batch_is_dropped_and_counted(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1])
    bench.batch(0, [1])
    bench.batch(1, last=True)
    assert only(bench.turn()).rows == 1
    assert bench.metric("sluice_batches_dropped_total", why="repeat") == 1


def test_a_repeated_request_is_ignored_and_counted(bench: Bench) -> None:
    bench.request()
    bench.request()
    bench.batch(0, [1], last=True)
    assert len(bench.turn()) == 1
    bench.request()
    assert bench.turn() == []
    labels = {"format": "csv", "status": "duplicate", "user": "anonymous"}
    assert bench.metric("export_requests_total", **labels) == 2


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        (REQUESTS, b"{", DeadLetterReason.UNREADABLE),
        (REQUESTS, b"[]", DeadLetterReason.UNREADABLE),
        (REQUESTS, None, DeadLetterReason.NULL_VALUE),
        (REQUESTS, b'{"type": "export.bogus", "export_id": "a"}', DeadLetterReason.UNKNOWN_TYPE),
        (
            REQUESTS,
            b'{"type": "export.requested", "export_id": "../x"}',
            DeadLetterReason.INVALID_ID,
        ),
        (RECORDS, b"\xff", DeadLetterReason.UNREADABLE),
        (RECORDS, None, DeadLetterReason.NULL_VALUE),
        (RECORDS, b'{"export_id": 5, "seq": 0, "rows": []}', DeadLetterReason.INVALID_ID),
    ],
)
def test_what_cannot_be_tied_to_an_export_is_a_dead_letter(
    bench: Bench, topic: str, value: bytes | None, reason: DeadLetterReason
) -> None:
    message = bench.raw(topic, value, b"some-key")
    bench.partition.owners_known(below=1)
    assert bench.turn() == []
    bench.partition.take_requests([])
    assert bench.partition.next_offsets in {(1, 0), (0, 1)}
    replayed, _ = bench.replay(bench.partition.resume_point())
    assert replayed.take_outcome().dead_letters == [], "sent once"
    owner = bench.owner()
    owner.owners_known(below=1)
    feed = owner.take_requests if topic == REQUESTS else owner.take_records
    feed([message])
    owner.turn()
    letter = owner.take_outcome().dead_letters[0]
    assert (letter.reason, letter.message) == (reason, message)


def test_an_unreadable_batch_fails_the_open_export_of_its_key(bench: Bench) -> None:
    bench.request()
    bench.raw(RECORDS, b"{", b"a")
    bench.partition.take_requests(bench.requests)
    bench.partition.take_records(bench.records)
    bench.partition.turn()
    outcome = bench.partition.take_outcome()
    assert len(outcome.dead_letters) == 1
    event = only(outcome.events)
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.INVALID_BATCH


def test_cancel_before_in_the_middle_and_too_late(bench: Bench) -> None:
    bench.request("before")
    bench.cancel("before")
    bench.request("middle")
    bench.batch(0, [1], export_id="middle")
    first = only(bench.turn())
    bench.cancel("middle")
    second = only(bench.turn())
    assert all(isinstance(event, ExportCancelled) for event in (first, second))
    assert (first.rows, second.rows) == (0, 1)
    bench.cancel("middle")
    bench.cancel("nobody")
    assert bench.turn() == []
    assert bench.metric("sluice_cancels_ignored_total") == 2
    assert bench.files() == {"before.manifest.json", "middle.manifest.json"}
    assert bench.parts() == []


def test_an_idle_export_is_timed_out(bench: Bench) -> None:
    bench.request("idle")
    bench.turn()
    bench.clock.seconds = 50
    bench.request("fresh")
    bench.turn()
    assert bench.partition.idle_since() == 0
    bench.partition.expire(active_before=49)
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.export_id, event.reason) == ("idle", FailReason.TIMED_OUT)
    assert bench.partition.idle_since() == 50


def test_one_export_too_many_is_refused_by_name(bench: Bench) -> None:
    for number in range(MOST_OPEN + 1):
        bench.request(f"e{number}")
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.export_id, event.reason) == (f"e{MOST_OPEN}", FailReason.TOO_MANY_OPEN)
    assert len(bench.partition.resume_point().committed_requests().metadata) <= 4096


def test_a_replay_makes_the_same_file_and_event(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1])
    bench.turn()
    point = bench.partition.resume_point()
    bench.batch(1, [2], last=True)
    owner, events = bench.replay(point)
    assert isinstance(only(events), ExportCompleted)
    assert (bench.directory / "a.csv").read_bytes() == b"n\r\n1\r\n2\r\n"
    assert owner.resume_point() == ResumePoint(1, (), 2, 2)
    with pytest.raises(PartLost):
        bench.turn()  # the owner before, whose part was swept, makes nothing any more


def test_an_end_that_was_decided_and_not_committed_is_said_again(bench: Bench) -> None:
    bench.request()
    bench.turn()
    point = bench.partition.resume_point()
    bench.batch(0, [1], last=True)
    first = only(bench.turn())
    bench.clock.seconds = 100
    bench.cancel()
    _, events = bench.replay(point)
    assert only(events) == first


def test_a_decided_completion_is_assembled_again_if_its_file_is_not_there(bench: Bench) -> None:
    bench.request()
    bench.turn()
    point = bench.partition.resume_point()
    bench.batch(0, [1], last=True)
    first = only(bench.turn())
    (bench.directory / "a.csv").unlink()  # killed between the manifest and the rename
    bench.cancel()
    _, events = bench.replay(point)
    assert only(events) == first
    assert (bench.directory / "a.csv").read_bytes() == b"n\r\n1\r\n"


def test_a_decided_failure_binds_a_replay(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1])
    bench.turn()
    point = bench.partition.resume_point()
    bench.partition.expire(active_before=0)
    first = only(bench.turn())
    bench.batch(1, [2], last=True)
    _, events = bench.replay(point)
    assert only(events) == first
    assert bench.files() == {"a.manifest.json"}


def test_a_takeover_that_has_read_nothing_yet_forgets_nothing(bench: Bench) -> None:
    point = ResumePoint(3, (0, 2), 4, 9)
    assert bench.owner(point).resume_point() == point


def test_a_takeover_in_the_middle_of_its_replay_forgets_nothing(bench: Bench) -> None:
    for export_id in ("a", "b"):
        bench.request(export_id)
    for seq in range(2):
        for export_id in ("a", "b"):
            bench.batch(seq, [seq], export_id=export_id)
    bench.turn()
    point = bench.partition.resume_point()
    assert point == ResumePoint(2, (0, 1), 0, 4)
    owner = bench.owner(point)
    owner.take_requests(bench.requests[:1])
    owner.turn()
    assert owner.resume_point() == point, "one request restored, one to come"
    owner.take_requests(bench.requests[1:])
    owner.take_records(bench.records[:1])
    owner.turn()
    assert owner.resume_point() == point, "b's first batch is to come"
    assert owner.next_offsets == (2, 1), "a rebalance goes on where the replay was"
    bench.cancel("a")
    owner.take_requests(bench.requests[2:])
    owner.turn()
    assert owner.resume_point() == ResumePoint(3, (1,), 1, 4)


def test_a_batch_is_not_late_before_its_own_request_was_read(bench: Bench) -> None:
    """Decided and killed before the rename; the next owner's fetch brings the records first."""
    bench.request()
    bench.batch(0, [1], last=True)
    first = only(bench.turn())
    (bench.directory / "a.csv").unlink()
    owner = bench.owner()
    owner.take_records(bench.records)
    assert owner.turn() is TurnEnd.OWNER_UNKNOWN
    owner.take_requests(bench.requests)
    assert owner.turn() is TurnEnd.IDLE
    assert only(owner.take_outcome().events) == first


def test_an_unreadable_batch_waits_for_the_owner_that_its_key_names(bench: Bench) -> None:
    bench.raw(RECORDS, b"{", b"a")
    bench.partition.take_records(bench.records)
    assert bench.partition.turn() is TurnEnd.OWNER_UNKNOWN
    bench.request()
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.INVALID_BATCH


def test_what_completed_once_is_not_failed_by_a_replay(bench: Bench) -> None:
    """The poison came before the request at first; now the request is read first."""
    bench.raw(RECORDS, b"{", b"a")
    bench.partition.owners_known(below=1)
    bench.turn()
    bench.request()
    bench.batch(0, [1], last=True)
    first = only(bench.turn())
    (bench.directory / "a.csv").unlink()
    _, events = bench.replay(START)
    assert only(events) == first


def test_what_can_not_be_synced_for_too_long_fails(bench: Bench) -> None:
    bench.request()
    owner = PartitionExports(3, START, bench.partition._workshop, frozenset({"a"}))
    owner.take_requests(bench.requests)
    owner.turn()
    event = only(owner.take_outcome().events)
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.STORAGE_UNAVAILABLE


def test_a_manifest_with_other_bytes_stops_the_lane(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1], last=True)
    event = only(bench.turn())
    manifest = bench.directory / "a.manifest.json"
    manifest.write_text(manifest.read_text().replace(event.sha256, "0" * 64))  # type: ignore[union-attr]
    (bench.directory / "a.csv").unlink()
    with pytest.raises(LaneStopped, match="another build"):
        bench.replay(START)


def test_open_requests_that_are_gone_stop_the_lane(bench: Bench) -> None:
    bench.request("a")
    bench.request("b")
    with pytest.raises(LaneStopped, match="gone"):
        bench.replay(ResumePoint(1, (0,), 0, 0)) if bench.requests.pop(0) else None


def test_an_abandoned_partition_decides_nothing(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1], last=True)
    bench.partition.abandon()
    with pytest.raises(PartLost):
        bench.turn()
    assert bench.files() == set()


def test_a_storage_that_is_given_up_fails_what_waits_for_it(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1])
    parts = bench.directory / ".parts" / "3"
    parts.rmdir()
    parts.write_text("in the way")
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            bench.turn()
    bench.partition.give_up("the disk is full")
    parts.unlink()
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.reason, event.message) == (FailReason.STORAGE_UNAVAILABLE, "the disk is full")
    assert bench.files() == {"a.manifest.json"}


def test_a_directory_in_the_way_fails_its_own_export_only(bench: Bench) -> None:
    (bench.directory / "a.csv").mkdir()
    bench.request("a")
    bench.batch(0, [1], export_id="a", last=True)
    bench.request("b")
    bench.batch(0, [1], export_id="b", last=True)
    with pytest.raises(StorageUnavailable, match="a directory"):
        bench.turn()
    bench.partition.give_up("a directory is in the way")
    failed, done = bench.turn()
    assert isinstance(failed, ExportFailed)
    assert (failed.export_id, failed.reason) == ("a", FailReason.STORAGE_UNAVAILABLE)
    assert isinstance(done, ExportCompleted)


def test_a_request_whose_id_ended_in_another_partition_is_counted(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1], last=True)
    bench.partition.take_requests(bench.requests)
    bench.partition.turn()
    elsewhere = replace(bench.requests[0], partition=4)
    other = PartitionExports(4, START, bench.partition._workshop)
    other.take_requests([elsewhere])
    other.turn()
    bench.partition.take_records(bench.records)
    assert bench.partition.turn() is TurnEnd.IDLE
    other.take_records([replace(bench.records[0], partition=4)])
    other.turn()
    assert not other.take_outcome()
    labels = {"format": "csv", "status": "duplicate", "user": "anonymous"}
    assert bench.metric("export_requests_total", **labels) == 1


def test_what_kafka_does_not_show_is_passed(bench: Bench) -> None:
    bench.partition.advance(5, 9)
    assert bench.partition.resume_point() == ResumePoint(5, (), 9, 9)
    bench.partition.take_records([replace(bench.batch(0, [1]), offset=9)])
    bench.partition.advance(6, 12)
    assert bench.partition.next_offsets == (6, 9)
