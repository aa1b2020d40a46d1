"""Replays, takeovers and refusals of one partition: what was decided binds."""

from dataclasses import replace
from pathlib import Path

import pytest

from consumer.core.resume import ResumePoint
from consumer.core.suspects import MessagePlace
from consumer.errors import LaneStopped, PartLost, StorageUnavailable
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from consumer.formats.base import Encoders
from schemas.completions import ExportCompleted, ExportFailed
from schemas.vocabulary import FailReason
from tests.support.partition import RECORDS, START, Bench, only, take_outcome, work_off


@pytest.fixture
def bench(tmp_path: Path, encoders: Encoders) -> Bench:
    return Bench(tmp_path, encoders=encoders)


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


def test_an_end_that_was_decided_and_not_committed_is_published_again(bench: Bench) -> None:
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
    point = ResumePoint(3, (0, 2), 4, 9, ((2, 5),))
    assert bench.owner(point).resume_point() == point


def test_a_takeover_in_the_middle_of_its_replay_forgets_nothing(bench: Bench) -> None:
    for export_id in ("a", "b"):
        bench.request(export_id)
    for seq in range(2):
        for export_id in ("a", "b"):
            bench.batch(seq, [seq], export_id=export_id)
    bench.turn()
    point = bench.partition.resume_point()
    assert point == ResumePoint(2, (0, 1), 0, 4, ((0, 0), (1, 1)))
    owner = bench.owner(point)
    owner.take_requests(bench.requests[:1])
    owner.turn()
    assert owner.resume_point() == point, "one request restored, one to come"
    owner.take_requests(bench.requests[1:])
    owner.take_records(bench.records[:1])
    while owner.turn().end is TurnEnd.SPENT:
        pass
    assert owner.resume_point() == point, "b's first batch is to come"
    assert owner.next_offsets == (2, 1), "a rebalance goes on where the replay was"
    bench.cancel("a")
    owner.take_requests(bench.requests[2:])
    owner.turn()
    assert owner.resume_point() == ResumePoint(3, (1,), 1, 4, ((1, 1),))


def test_a_batch_is_not_late_before_its_own_request_was_read(bench: Bench) -> None:
    """Decided and killed before the rename; the next owner's fetch brings the records first."""
    bench.request()
    bench.batch(0, [1], last=True)
    first = only(bench.turn())
    (bench.directory / "a.csv").unlink()
    owner = bench.owner()
    owner.take_records(bench.records)
    assert owner.turn().end is TurnEnd.OWNER_UNKNOWN
    owner.take_requests(bench.requests)
    assert owner.turn().end is TurnEnd.SPENT
    assert owner.turn().end is TurnEnd.IDLE
    assert only(take_outcome(owner).events) == first


def test_an_unreadable_batch_waits_for_the_owner_that_its_key_names(bench: Bench) -> None:
    bench.raw(RECORDS, b"{", b"a")
    bench.partition.take_records(bench.records)
    assert bench.partition.turn().end is TurnEnd.OWNER_UNKNOWN
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


def test_what_had_a_manifest_when_it_was_requested_is_maybe_published(bench: Bench) -> None:
    for export_id in ("whole", "lost", "cancelled", "open"):
        bench.request(export_id)
    bench.cancel("cancelled")
    bench.batch(0, [1], export_id="whole", last=True)
    bench.batch(0, [1], export_id="lost", last=True)
    bench.turn()
    (bench.directory / "lost.csv").unlink()
    bench.batch(0, [1], export_id="open", last=True)
    owner = bench.owner()
    owner.take_requests(bench.requests)
    work_off(owner)
    owner.take_records(bench.records)
    work_off(owner)
    outcome = take_outcome(owner)
    assert {event.export_id for event in outcome.events} == {"whole", "lost", "cancelled", "open"}
    assert outcome.maybe_published == {"whole", "lost", "cancelled"}
    assert not take_outcome(owner).maybe_published


def test_what_can_not_be_synced_for_too_long_fails(bench: Bench) -> None:
    bench.request()
    owner = PartitionExports(3, START, bench.partition._context, frozenset({"a"}))
    owner.take_requests(bench.requests)
    owner.turn()
    event = only(take_outcome(owner).events)
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
    assert bench.partition.give_up("the disk is full")
    assert not bench.partition.give_up("the disk is full"), "its failure needs a manifest as well"
    parts.unlink()
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert (event.reason, event.message) == (FailReason.STORAGE_UNAVAILABLE, "the disk is full")
    assert bench.files() == {"a.manifest.json"}


def test_what_an_earlier_attempt_completed_is_not_given_up(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1], last=True)
    bench.turn()
    (bench.directory / "a.csv").unlink()
    owner = bench.owner()
    parts = bench.directory / ".parts" / "3"
    parts.rmdir()
    parts.write_text("in the way")
    owner.take_requests(bench.requests)
    owner.take_records(bench.records)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            work_off(owner)
        assert not owner.give_up("the disk is full")
    parts.unlink()
    work_off(owner)
    assert isinstance(only(take_outcome(owner).events), ExportCompleted)


def test_a_directory_in_the_way_fails_its_own_export_only(bench: Bench) -> None:
    (bench.directory / "a.csv").mkdir()
    bench.request("a")
    bench.batch(0, [1], export_id="a", last=True)
    bench.request("b")
    bench.batch(0, [1], export_id="b", last=True)
    with pytest.raises(StorageUnavailable, match="a directory"):
        bench.turn()
    assert bench.partition.give_up("a directory is in the way")
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
    other = PartitionExports(4, START, bench.partition._context)
    other.take_requests([elsewhere])
    other.turn()
    bench.partition.take_records(bench.records)
    assert bench.partition.turn().end is TurnEnd.IDLE
    other.take_records([replace(bench.records[0], partition=4)])
    other.turn()
    assert not take_outcome(other)
    labels = {"format": "csv", "status": "duplicate", "user": "anonymous"}
    assert bench.metric("export_requests_total", **labels) == 1


@pytest.mark.parametrize("retention_seconds", [None, 5, 100])
@pytest.mark.parametrize("expires_in_seconds", [None, 5, 100])
def test_a_file_is_kept_as_long_as_both_allow(
    tmp_path: Path, retention_seconds: int | None, expires_in_seconds: int | None
) -> None:
    bench = Bench(tmp_path, retention_seconds=retention_seconds)
    bench.request(expires_in_seconds=expires_in_seconds)
    bench.batch(0, [1], last=True)
    event = only(bench.turn())
    assert isinstance(event, ExportCompleted)
    bounds = [bound for bound in (retention_seconds, expires_in_seconds) if bound]
    kept = (event.expires_at - event.completed_at).total_seconds() if event.expires_at else None
    assert kept == (min(bounds) if bounds else None)
    assert bench.storage.manifest("a") == event


def test_an_export_that_has_expired_is_not_made_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retention_seconds=50)
    bench.request()
    bench.turn()
    point = bench.partition.resume_point()
    bench.batch(0, [1], last=True)
    first = only(bench.turn())
    (bench.directory / "a.csv").unlink()
    bench.clock.seconds = 50
    owner, events = bench.replay(point)
    assert only(events) == first
    assert not (bench.directory / "a.csv").exists()
    assert owner.resume_point() == ResumePoint(1, (), 1, 1)


def test_what_is_set_aside_of_an_expired_export_sends_its_event(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retention_seconds=50)
    bench.request()
    bench.batch(0, [1], last=True)
    first = only(bench.turn())
    (bench.directory / "a.csv").unlink()
    bench.clock.seconds = 50
    broken = {MessagePlace(False, 0): "it broke"}
    owner = bench.owner(START, breaks_on=broken)
    assert bench.turn(owner) == [first]
    assert not (bench.directory / "a.csv").exists()
