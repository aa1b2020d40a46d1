"""A turn that ends within a batch, or within the end of a file, and what comes in between."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from consumer.errors import LaneStopped, PartLost
from consumer.exports.export_context import ExportContext
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from consumer.formats.base import Encoders
from consumer.formats.csv import CsvWriter
from consumer.formats.native import PythonEncoders, find_encoders
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed
from schemas.vocabulary import FailReason
from tests.support.partition import START, Bench, only, take_outcome, work_off
from tests.support.pdf import new_writer

MIB = 1024 * 1024
MANY = 50_000
"""Rows of one column that make three pieces."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, max_export_bytes=100 * MIB)


def begun(bench: Bench) -> PartitionExports:
    """An export whose only batch was applied in part by the last turn."""
    bench.request()
    bench.batch(0, *([n] for n in range(MANY)), last=True)
    owner = bench.partition
    bench.feed(owner)
    owner.turn(0.0)
    assert owner.turn(0.0).end is TurnEnd.SPENT
    assert owner._exports.half_applied
    return owner


def test_a_turn_ends_within_a_batch_and_the_next_goes_on(bench: Bench, tmp_path: Path) -> None:
    owner = begun(bench)
    assert owner.next_offsets == (1, 0)
    assert owner.pending_records
    assert owner.progress("a") == (0, sum(part.stat().st_size for part in bench.parts()))
    point = owner.resume_point()
    assert (point.open_requests, point.records_resume, point.records_position) == ((0,), 0, 0)
    assert point.begun_requests == ()
    assert work_off(owner, 0.0) == 2
    event = only(take_outcome(owner).events)
    assert isinstance(event, ExportCompleted)
    assert event.rows == MANY
    lines = "".join(f"{n}\r\n" for n in ("n", *range(MANY)))
    assert (tmp_path / "a.csv").read_bytes() == lines.encode()


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_compressed_file_is_the_same_in_however_many_turns(
    bench: Bench, tmp_path: Path, compression: str
) -> None:
    bench.request("b", options={"compression": compression})
    bench.request(options={"compression": compression})
    bench.batch(0, *([n] for n in range(MANY)), last=True)
    owner = bench.partition
    bench.feed(owner)
    owner.turn(0.0)
    assert owner._exports.half_applied or owner.turn(0.0).end is TurnEnd.SPENT
    work_off(owner, 0.0)
    event = only(take_outcome(owner).events)
    assert isinstance(event, ExportCompleted)
    for seq in range(10):
        rows = [[n] for n in range(seq * MANY // 10, (seq + 1) * MANY // 10)]
        bench.batch(seq, *rows, export_id="b", last=seq == 9)
    other = only(bench.turn())
    assert isinstance(other, ExportCompleted)
    assert (event.rows, event.sha256) == (other.rows, other.sha256)
    suffix = {"gzip": "gz", "zstd": "zst"}[compression]
    assert event.location == (tmp_path / f"a.csv.{suffix}").as_uri()
    assert (tmp_path / f"a.csv.{suffix}").stat().st_size == event.bytes
    content = gzip.decompress if compression == "gzip" else unzstd
    lines = "".join(f"{n}\r\n" for n in ("n", *range(MANY)))
    assert content((tmp_path / f"b.csv.{suffix}").read_bytes()) == lines.encode()


@pytest.mark.parametrize("encoders", [PythonEncoders(), find_encoders()])
@pytest.mark.parametrize(("rows", "words", "turns"), [(1_000, 5, 4), (60, 400, 20)])
def test_a_turn_ends_within_a_batch_of_letters_that_are_shaped(
    tmp_path: Path, encoders: Encoders, rows: int, words: int, turns: int
) -> None:
    """A MiB of such letters takes a PDF seconds, so turns end after some pages, or within one."""
    sums: list[str] = []
    for seconds in (0.0, 1_000.0):
        root = tmp_path / str(seconds)
        root.mkdir()
        bench = Bench(
            root, max_export_bytes=MIB, encoders=encoders, writer=lambda r, _: new_writer(r)
        )
        bench.request(format="pdf", columns=["n", "name"])
        bench.batch(0, *([n, "سلام دنیا " * words] for n in range(rows)))
        owner = bench.partition
        bench.feed(owner)
        owner.turn(0.0)
        taken = work_off(owner, seconds)
        assert taken == 1 if seconds else taken >= turns
        bench.batch(1, last=True)
        event = only(bench.turn())
        assert isinstance(event, ExportCompleted)
        assert (event.rows, event.pages) == (rows, -(-rows // 50))
        sums.append(event.sha256)
    assert sums[0] == sums[1]


@pytest.mark.parametrize("encoders", [PythonEncoders(), find_encoders()])
def test_a_turn_ends_within_a_batch_of_which_each_page_has_a_letter_of_its_own(
    tmp_path: Path, encoders: Encoders
) -> None:
    """Python draws each page then, natively encoded or not, and they may get wider with each."""
    made: list[tuple[str, int]] = []
    for seconds in (0.0, 1_000.0):
        root = tmp_path / str(seconds)
        root.mkdir()
        bench = Bench(
            root, max_export_bytes=MIB, encoders=encoders, writer=lambda r, _: new_writer(r)
        )
        bench.request(format="pdf", columns=["n", "text"], options={"records_per_page": 1})
        bench.batch(0, *([n, chr(0x100 + n) * n] for n in range(100)), last=True)
        owner = bench.partition
        bench.feed(owner)
        owner.turn(0.0)
        taken = work_off(owner, seconds)
        assert taken == 1 if seconds else taken >= 10
        event = only(take_outcome(owner).events)
        assert isinstance(event, ExportCompleted)
        made.append((event.sha256, event.pages or 0))
    assert made[0] == made[1]
    assert made[0][1] == 100


def unzstd(content: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(content)


def test_a_rest_between_two_turns_applies_nothing_twice(bench: Bench, tmp_path: Path) -> None:
    owner = begun(bench)
    owner.drop_pending()
    assert owner._exports.half_applied
    bench.feed(bench.partition)
    work_off(bench.partition, 0.0)
    assert isinstance(only(take_outcome(owner).events), ExportCompleted)
    assert (tmp_path / "a.csv").read_bytes().count(b"\n") == MANY + 1


def test_another_owner_applies_it_whole(bench: Bench, tmp_path: Path) -> None:
    point = begun(bench).resume_point()
    _, events = bench.replay(point)
    assert isinstance(only(events), ExportCompleted)
    assert (tmp_path / "a.csv").read_bytes().count(b"\n") == MANY + 1


def test_a_cancellation_in_between_ends_it(bench: Bench) -> None:
    owner = begun(bench)
    bench.cancel()
    owner.take_requests(bench.requests[1:])
    work_off(owner, 0.0)
    event = only(take_outcome(owner).events)
    assert isinstance(event, ExportCancelled)
    assert event.rows == 0
    assert not owner._exports.half_applied
    assert owner.next_offsets == (2, 1)
    assert not bench.parts()


def test_another_request_in_between_is_opened(bench: Bench) -> None:
    owner = begun(bench)
    bench.request("b")
    bench.batch(0, [1], export_id="b", last=True)
    owner.take_requests(bench.requests[1:])
    owner.take_records(bench.records[1:])
    work_off(owner, 0.0)
    events = take_outcome(owner).events
    assert [(event.export_id, event.rows) for event in events] == [("a", MANY), ("b", 1)]


def test_what_is_wrong_in_a_later_piece_fails_the_export(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1])
    bench.batch(1, *([n] for n in range(MANY)), [1, 2], last=True)
    event = bench.failure()
    assert event.reason is FailReason.INVALID_BATCH
    assert event.message == f"batch 1, row {MANY}: has 2 cells for 1 columns"
    assert event.rows == 1


def test_what_was_decided_as_completed_stops_the_lane_in_a_later_piece(bench: Bench) -> None:
    owner = begun(bench)
    point = owner.resume_point()
    work_off(owner, 0.0)
    (bench.directory / "a.csv").unlink()
    bench.records[0] = bench.batch(0, *([n] for n in range(MANY)), [1, 2], last=True)
    with pytest.raises(LaneStopped, match="its batches don't come to that"):
        bench.replay(point)


def test_a_batch_that_is_gone_after_a_rest_makes_the_file_again(bench: Bench) -> None:
    owner = begun(bench)
    owner.drop_pending()
    bench.batch(1, [1])
    owner.take_records(bench.records[1:])
    with pytest.raises(PartLost, match="the batch at 0, applied in part, is gone"):
        owner.turn()


def test_a_file_is_given_up_in_between(bench: Bench) -> None:
    owner = begun(bench)
    export = owner._exports.get("a")  # as if the storage had refused its bytes
    assert export
    owner.publication.touch(export)
    assert owner.give_up("no room")
    work_off(owner, 0.0)
    event = only(take_outcome(owner).events)
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.STORAGE_UNAVAILABLE
    assert not owner._exports.half_applied


def test_rows_that_take_much_memory_are_read_once_more_after_a_pause(
    bench: Bench, tmp_path: Path
) -> None:
    rows = [[n, {"of": [n] * 6}] for n in range(15_000)]
    bench.request(columns=["n", "more"])
    bench.batch(0, *rows, last=True)
    owner = bench.partition
    bench.feed(owner)
    owner.turn(0.0)
    owner.turn(0.0)
    half = owner._exports.half_applied
    assert half
    assert half.batch.rows == [[]] * 15_000
    work_off(owner, 0.0)
    assert isinstance(only(take_outcome(owner).events), ExportCompleted)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[1:] == [
        f'{n},"{{""of"":{json.dumps([n] * 6, separators=(",", ":"))}}}"' for n, _ in rows
    ]


class _LongEnd(CsvWriter):
    """As a PDF of 400,000 pages, whose tables have 20 MB."""

    def finish(self) -> Iterator[bytes]:
        for _ in range(20):
            yield b"\n" * MIB


def _long_end(bench: Bench, *rows: Any) -> PartitionExports:
    context = ExportContext(
        bench.storage, lambda request, _: _LongEnd(request), bench.metrics, bench.max_export_bytes
    )
    bench.partition = PartitionExports(3, START, context)
    bench.request()
    bench.batch(0, *(rows or [[1]]), last=True)
    bench.feed(bench.partition)
    return bench.partition


def test_the_end_of_a_file_is_no_part_of_the_last_batch(bench: Bench, tmp_path: Path) -> None:
    owner = _long_end(bench)
    work_off(owner, 0.0)
    assert isinstance(only(take_outcome(owner).events), ExportCompleted)
    assert (tmp_path / "a.csv").stat().st_size == 20 * MIB + len("n\r\n1\r\n")


def test_a_turn_ends_within_the_end_of_a_file(bench: Bench, tmp_path: Path) -> None:
    owner = _long_end(bench)
    assert work_off(owner, 0.0) > 20
    event = only(take_outcome(owner).events)
    assert isinstance(event, ExportCompleted)
    assert event.rows == 1


def test_a_cancellation_within_the_end_of_a_file_ends_it(bench: Bench) -> None:
    owner = _long_end(bench)
    for _ in range(5):
        owner.turn(0.0)
    assert owner._exports.half_applied
    bench.cancel()
    owner.take_requests(bench.requests[1:])
    work_off(owner, 0.0)
    event = only(take_outcome(owner).events)
    assert isinstance(event, ExportCancelled)
    assert event.rows == 0
    assert not bench.parts()


def test_the_end_of_a_file_is_held_to_the_bound_of_files(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_export_bytes=10 * MIB)
    owner = _long_end(bench)
    work_off(owner, 0.0)
    event = only(take_outcome(owner).events)
    assert isinstance(event, ExportFailed)
    assert event.message == f"the file passes {10 * MIB} bytes"


def test_rows_that_take_much_memory_count_after_a_pause_within_the_end(bench: Bench) -> None:
    owner = _long_end(bench, *([{"of": [n] * 6}] for n in range(20_000)))
    work_off(owner, 0.0)
    assert only(take_outcome(owner).events).rows == 20_000
