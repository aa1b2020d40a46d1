"""Verdicts that bind: orphans that came too early, manifests that can't be read, stopped lanes."""

from pathlib import Path

import pytest

from consumer.core.resume import ResumePoint
from consumer.errors import LaneStopped, StorageUnavailable
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from consumer.formats.base import Encoders
from consumer.formats.csv import CsvWriter
from consumer.formats.native import PythonEncoders
from schemas.completions import ExportCompleted
from schemas.vocabulary import DeadLetterReason
from tests.support.partition import RECORDS, Bench, only, take_outcome


@pytest.fixture
def bench(tmp_path: Path, encoders: Encoders) -> Bench:
    return Bench(tmp_path, encoders=encoders)


@pytest.mark.parametrize("restored", [True, False])
def test_what_was_an_orphan_is_not_given_to_its_export_by_a_replay(
    bench: Bench, restored: bool
) -> None:
    bench.request("x")
    bench.batch(0, ["x"], export_id="x")
    bench.turn()
    before = bench.partition.resume_point()
    assert before == ResumePoint(1, (0,), 0, 1, ((0, 0),))
    bench.batch(0, ["early"], ["early"], export_id="y")
    bench.turn()
    bench.partition.owners_known(below=2)
    bench.turn()
    buried = bench.partition.resume_point()
    bench.request("y")
    bench.batch(0, ["right"], export_id="y")
    bench.turn()
    begun = bench.partition.resume_point()
    assert begun == ResumePoint(2, (0, 1), 0, 3, ((0, 0), (1, 2)))
    bench.batch(1, ["last"], export_id="y", last=True)
    owner, events = bench.replay(begun if restored else buried)
    assert only(events).rows == 2
    assert (bench.directory / "y.csv").read_bytes() == b"n\r\nright\r\nlast\r\n"
    assert take_outcome(owner).dead_letters == []


def test_an_orphan_is_committed_before_anything_more_is_handled(bench: Bench) -> None:
    partition = bench.partition
    partition.take_records([bench.batch(0, [1], export_id="y")])
    partition.owners_known(below=1)
    result = partition.turn()
    assert result.end is TurnEnd.IDLE
    assert result.orphan_pending
    partition.take_requests([bench.request("y")])
    assert partition.turn().end is TurnEnd.IDLE
    assert partition.next_offsets == (0, 1), "its request waits for the commit"
    assert partition.resume_point() == ResumePoint(0, (), 1, 1)
    partition.orphan_committed()
    partition.turn()
    assert partition.next_offsets == (1, 1)


def test_poison_that_names_nobody_is_committed_before_anything_more(bench: Bench) -> None:
    bench.partition.take_records([bench.raw(RECORDS, b"{", b"y")])
    bench.partition.owners_known(below=1)
    assert bench.partition.turn().orphan_pending


def unreadable(bench: Bench, export_id: str) -> Path:
    """The manifest of an export becomes something that can't be read."""
    manifest = bench.directory / f"{export_id}.manifest.json"
    manifest.rename(bench.directory / "aside")
    manifest.mkdir()
    return manifest


def test_a_late_batch_whose_manifest_stays_unreadable_is_let_go(bench: Bench) -> None:
    bench.request("a")
    bench.batch(0, export_id="a", last=True)
    only(bench.turn())
    unreadable(bench, "a")
    partition = bench.partition
    partition.take_records([bench.batch(0, export_id="a")])
    assert partition.turn().end is TurnEnd.REFUSED
    assert not partition.writes_due
    assert not partition.give_up("it can't be read"), "first it is searched for an owner"
    assert partition.turn().end is TurnEnd.OWNER_UNKNOWN
    partition.owners_known(below=2)
    assert partition.turn().end is TurnEnd.REFUSED
    assert partition.give_up("it can't be read")
    (letter,) = take_outcome(partition).dead_letters
    assert (letter.reason, letter.message) == (DeadLetterReason.ORPHAN_BATCH, bench.records[1])
    assert partition.next_offsets == (1, 2)


def test_a_batch_is_not_let_go_before_its_own_request_was_read(bench: Bench) -> None:
    """Decided before a crash; the next owner has its batch first, and can't read its manifest."""
    bench.request("a")
    bench.batch(0, ["a"], export_id="a", last=True)
    first = only(bench.turn())
    (bench.directory / "a.csv").unlink()
    manifest = unreadable(bench, "a")
    owner = bench.owner()
    owner.take_records(bench.records)
    assert owner.turn().end is TurnEnd.REFUSED
    assert not owner.give_up("it can't be read")
    assert owner.turn().end is TurnEnd.OWNER_UNKNOWN
    manifest.rmdir()
    (bench.directory / "aside").rename(manifest)
    owner.take_requests(bench.requests)
    while owner.turn().end is TurnEnd.SPENT:
        pass
    outcome = take_outcome(owner)
    assert (outcome.events, outcome.dead_letters) == ([first], [])


def test_a_request_whose_manifest_can_not_be_read_is_not_let_go(bench: Bench) -> None:
    bench.request("a")
    bench.batch(0, export_id="a", last=True)
    only(bench.turn())
    unreadable(bench, "a")
    bench.request("a")
    with pytest.raises(StorageUnavailable):
        bench.turn()
    assert not bench.partition.give_up("it can't be read")


def decided_and_killed(bench: Bench, *rows: list[int], **fields: object) -> PartitionExports:
    """An owner that has restored a decided export, after other batches than those that decided."""
    bench.request("a")
    bench.batch(0, [1], export_id="a")
    bench.batch(1, [2], export_id="a", last=True)
    assert isinstance(only(bench.turn()), ExportCompleted)
    (bench.directory / "a.csv").unlink()
    owner = bench.owner()
    bench.records.clear()
    bench.batch(0, *rows, export_id="a", **fields)
    owner.take_requests(bench.requests)
    owner.take_records(bench.records)
    assert owner.turn().end is TurnEnd.SPENT
    return owner


def test_a_decided_export_whose_batches_stop_stops_the_lane(bench: Bench) -> None:
    owner = decided_and_killed(bench, [1])
    owner.turn()
    assert owner.idle_since() == 0
    with pytest.raises(LaneStopped, match=r"completed with 2 rows.* they end after 1"):
        owner.expire(0)


def test_a_decided_export_whose_batches_fail_stops_the_lane(bench: Bench) -> None:
    owner = decided_and_killed(bench, [1], total_rows=5, last=True)
    with pytest.raises(LaneStopped, match="total_rows"):
        owner.turn()


@pytest.mark.parametrize("rows", [[[[1] * 600_000]], [[1], [[1] * 600_000]]])
def test_a_decided_export_with_a_row_never_built_stops_the_lane(
    bench: Bench, rows: list[list[int]]
) -> None:
    owner = decided_and_killed(bench, *rows, last=True)
    with pytest.raises(LaneStopped, match="100,000 values"):
        owner.turn()


def test_a_decided_export_that_breaks_its_writer_stops_the_lane(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(writer: CsvWriter, rows: object) -> bytes:
        raise RuntimeError("it broke")

    bench.encoders = PythonEncoders()
    owner = decided_and_killed(bench, [1], last=True)
    monkeypatch.setattr(CsvWriter, "append", broken)
    with pytest.raises(LaneStopped, match="RuntimeError: it broke"):
        owner.turn()


def test_a_request_that_completed_and_is_wrong_to_this_build_stops_the_lane(bench: Bench) -> None:
    bench.request("a")
    bench.batch(0, [1], export_id="a", last=True)
    only(bench.turn())
    (bench.directory / "a.csv").unlink()
    bench.requests.clear()
    bench.request("a", bogus=1)
    with pytest.raises(LaneStopped, match="bogus"):
        bench.replay(ResumePoint(0, (), 0, 0))
