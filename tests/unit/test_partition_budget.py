"""What one batch may cost a partition: bounds that end its export, and turns that end within it."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from consumer.errors import LaneStopped, PartLost
from consumer.exports import routing
from consumer.exports.export_context import ExportContext
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from consumer.formats.csv import CsvWriter
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed
from schemas.records import Cell
from schemas.vocabulary import DeadLetterReason, FailReason
from tests.support.cpu import cpu_time
from tests.support.partition import RECORDS, START, Bench, only, served, take_outcome

MIB = 1024 * 1024
MANY = 50_000
"""Rows of one column that make three pieces."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, max_export_bytes=100 * MIB)


def take_all(bench: Bench) -> PartitionExports:
    owner = bench.partition
    requests, records = owner.next_offsets
    owner.take_requests(bench.requests[requests:])
    owner.take_records(bench.records[records:])
    return owner


def begun(bench: Bench) -> PartitionExports:
    """An export whose only batch was applied in part by the last turn."""
    bench.request()
    bench.batch(0, *([n] for n in range(MANY)), last=True)
    owner = take_all(bench)
    owner.turn(0.0)
    assert owner.turn(0.0).end is TurnEnd.SPENT
    assert owner._exports.half_applied
    return owner


def work_off(owner: PartitionExports) -> int:
    """Turns of a piece each, until nothing is left; how many."""
    turns = 1
    while (result := served(owner.turn(0.0))).end is TurnEnd.SPENT or result.orphan_pending:
        owner.orphan_committed()
        turns += 1
    return turns


def failed(bench: Bench) -> ExportFailed:
    event = only(bench.turn())
    assert isinstance(event, ExportFailed)
    assert not bench.parts()
    return event


def peak_of(bench: Bench) -> tuple[ExportFailed, int]:
    """How an export fails, and the most memory that it took meanwhile."""
    tracemalloc.start()
    try:
        event = failed(bench)
        return event, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_turn_ends_within_a_batch_and_the_next_goes_on(bench: Bench, tmp_path: Path) -> None:
    owner = begun(bench)
    assert owner.next_offsets == (1, 0)
    assert owner.pending_records
    assert owner.progress("a") == (0, sum(part.stat().st_size for part in bench.parts()))
    point = owner.resume_point()
    assert (point.open_requests, point.records_resume, point.records_position) == ((0,), 0, 0)
    assert point.begun_requests == ()
    assert work_off(owner) == 2
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
    owner = take_all(bench)
    owner.turn(0.0)
    assert owner._exports.half_applied or owner.turn(0.0).end is TurnEnd.SPENT
    work_off(owner)
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


def unzstd(content: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(content)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_what_a_batch_makes_counts_before_it_is_compressed(bench: Bench, compression: str) -> None:
    bench.request(options={"null": "x" * 64, "compression": compression})
    bench.batch(0, *([None] for _ in range(16 * MIB // 66 + 1)))
    event = failed(bench)
    assert event.reason is FailReason.TOO_LARGE
    assert event.message == "batch 0 makes more than 16,777,216 bytes of the file"


def test_a_rest_between_two_turns_applies_nothing_twice(bench: Bench, tmp_path: Path) -> None:
    owner = begun(bench)
    owner.drop_pending()
    assert owner._exports.half_applied
    work_off(take_all(bench))
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
    work_off(owner)
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
    work_off(owner)
    events = take_outcome(owner).events
    assert [(event.export_id, event.rows) for event in events] == [("a", MANY), ("b", 1)]


def test_what_is_wrong_in_a_later_piece_fails_the_export(bench: Bench) -> None:
    bench.request()
    bench.batch(0, [1])
    bench.batch(1, *([n] for n in range(MANY)), [1, 2], last=True)
    event = failed(bench)
    assert event.reason is FailReason.INVALID_BATCH
    assert event.message == f"batch 1, row {MANY}: has 2 cells for 1 columns"
    assert event.rows == 1


def test_what_was_decided_as_completed_stops_the_lane_in_a_later_piece(bench: Bench) -> None:
    owner = begun(bench)
    point = owner.resume_point()
    work_off(owner)
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
    owner._publication.touch(export)
    assert owner.give_up("no room")
    work_off(owner)
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
    owner = take_all(bench)
    owner.turn(0.0)
    owner.turn(0.0)
    half = owner._exports.half_applied
    assert half
    assert half.batch.rows == [[]] * 15_000
    work_off(owner)
    assert isinstance(only(take_outcome(owner).events), ExportCompleted)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[1:] == [
        f'{n},"{{""of"":{json.dumps([n] * 6, separators=(",", ":"))}}}"' for n, _ in rows
    ]


def test_many_rows_of_nothing_are_refused_before_one_is_built(bench: Bench) -> None:
    bench.request(columns=[f"c{n}" for n in range(256)])
    bench.raw(RECORDS, b'{"export_id":"a","seq":0,"rows":[%b]}' % b",".join([b"{}"] * 330_000))
    with cpu_time() as took:
        event, peak = peak_of(bench)
    assert event.reason is FailReason.INVALID_BATCH
    assert event.message == (
        "batch 0: 330,000 rows of 256 columns have 84,480,000 cells, more than 1,000,000"
    )
    assert peak < 48 * MIB
    assert took.seconds < 5


def test_just_a_million_cells_are_accepted(bench: Bench) -> None:
    bench.request(columns=["a", "b", "c", "d"])
    bench.batch(0, *[{}] * 250_000)
    bench.batch(1, *[{}] * 250_001, last=True)
    event = failed(bench)
    assert event.rows == 250_000
    assert "1,000,004 cells" in event.message


@pytest.mark.slow
def test_nested_values_count(bench: Bench) -> None:
    row = f"[[{','.join(['[]'] * 99_990)}]]"
    bench.request()
    for seq, count in enumerate((10, 11)):
        rows = ",".join([row] * count)
        bench.raw(RECORDS, f'{{"seq":{seq},"rows":[{rows}],"export_id":"a"}}'.encode())
    event = failed(bench)
    assert event.rows == 10
    assert event.reason is FailReason.INVALID_BATCH
    assert event.message == "batch 1: its rows have 1,099,901 cells, more than 1,000,000"


@pytest.mark.parametrize("cell", [b'{"":[]}', b"[]", b'"some text"'])
def test_a_row_that_holds_the_interpreter_for_long_is_not_built(bench: Bench, cell: bytes) -> None:
    cells = b",".join([cell] * 499_000)
    bench.request()
    bench.raw(RECORDS, b'{"seq":0,"rows":[[1],[[%b]]],"export_id":"a"}' % cells)
    event = failed(bench)
    assert event.reason is FailReason.INVALID_BATCH
    assert event.message == "batch 0: row 2 holds more than 100,000 values"


def test_a_text_of_many_commas_is_one_cell(bench: Bench, tmp_path: Path) -> None:
    bench.request()
    bench.batch(0, ["," * 1_500_000], last=True)
    assert isinstance(only(bench.turn()), ExportCompleted)
    assert (tmp_path / "a.csv").stat().st_size == 1_500_007


def test_output_of_a_batch_is_bounded_as_it_is_made(bench: Bench) -> None:
    bench.request(columns=[f"c{n}" for n in range(256)], options={"null": "\N{GRINNING FACE}" * 64})
    bench.batch(0, [None] * 256)
    bench.batch(1, *[{}] * 1_000, last=True)
    event, peak = peak_of(bench)
    assert event.reason is FailReason.TOO_LARGE
    assert event.message == "batch 1 makes more than 16,777,216 bytes of the file"
    assert event.rows == 1
    assert peak < 64 * MIB


def test_the_bound_of_a_file_is_looked_at_within_a_batch(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_export_bytes=MIB)
    bench.request(columns=[f"c{n}" for n in range(100)], options={"null": "x" * 64})
    bench.batch(0, *[{}] * 2_000, last=True)
    event, peak = peak_of(bench)
    assert event.reason is FailReason.TOO_LARGE
    assert event.message == "the file passes 1048576 bytes"
    assert peak < 16 * MIB


@pytest.mark.slow
def test_a_large_batch_makes_the_same_file_as_small_ones(bench: Bench, tmp_path: Path) -> None:
    rows: list[Any] = [[n, f"customer {n}, of [somewhere]", {"n": [n]}] for n in range(60_000)]
    rows[::7] = [{"b": n, "a": 10**25} for n, *_ in rows[::7]]
    for export_id in ("a", "b"):
        bench.request(export_id, columns=["a", "b", "c"])
    bench.batch(0, *rows, last=True, total_rows=len(rows))
    assert len(bench.records[0].value or b"") > MIB
    for seq in range(6):
        some = rows[seq * 10_000 : (seq + 1) * 10_000]
        bench.batch(seq, *some, export_id="b", last=seq == 5)
    events = bench.turn()
    assert [event.rows for event in events] == [60_000] * 2
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_of_a_large_batch_that_is_no_json_nothing_is_applied(bench: Bench) -> None:
    bench.request()
    rows = b"[1]," * 400_000
    message = bench.raw(RECORDS, b'{"export_id":"a","seq":0,"rows":[%b[1]}' % rows, b"a")
    bench.partition.take_requests(bench.requests)
    bench.partition.take_records(bench.records)
    work_off(bench.partition)
    outcome = take_outcome(bench.partition)
    assert [(letter.reason, letter.message) for letter in outcome.dead_letters] == [
        (DeadLetterReason.UNREADABLE, message)
    ]
    event = only(outcome.events)
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.INVALID_BATCH


@pytest.mark.parametrize("last", [False, True])
def test_a_large_batch_of_no_rows(bench: Bench, last: bool) -> None:
    bench.request()
    value = b'{"export_id":"a","seq":0,"rows":[%b],"last":%b}'
    bench.raw(RECORDS, value % (b" " * 2 * MIB, json.dumps(last).encode()))
    assert len(bench.turn()) == last


class _Exhausted(CsvWriter):
    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        raise MemoryError


def test_no_memory_to_encode_fails_the_export_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CsvWriter, "append", _Exhausted.append)
    bench.request()
    bench.batch(0, [1], last=True)
    assert failed(bench).reason is FailReason.INTERNAL
    monkeypatch.undo()
    bench.request("b")
    bench.batch(0, [1], export_id="b", last=True)
    assert isinstance(only(bench.turn()), ExportCompleted)


def test_no_memory_to_decode_makes_a_dead_letter_and_fails_the_named_export(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.request()
    bench.request("b")
    bench.partition.take_requests(bench.requests)
    bench.partition.turn()

    def exhausted(value: bytes | None) -> None:
        raise MemoryError

    monkeypatch.setattr(routing, "decode_batch", exhausted)
    message = bench.batch(0, [1], last=True)
    bench.partition.take_records(bench.records)
    work_off(bench.partition)
    outcome = take_outcome(bench.partition)
    assert [letter.message for letter in outcome.dead_letters] == [message]
    event = only(outcome.events)
    assert isinstance(event, ExportFailed)
    assert (event.export_id, event.reason) == ("a", FailReason.INTERNAL)
    assert bench.partition.open_count == 1


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
    return take_all(bench)


def test_the_end_of_a_file_is_no_part_of_the_last_batch(bench: Bench, tmp_path: Path) -> None:
    owner = _long_end(bench)
    work_off(owner)
    assert isinstance(only(take_outcome(owner).events), ExportCompleted)
    assert (tmp_path / "a.csv").stat().st_size == 20 * MIB + len("n\r\n1\r\n")


def test_a_turn_ends_within_the_end_of_a_file(bench: Bench, tmp_path: Path) -> None:
    owner = _long_end(bench)
    assert work_off(owner) > 20
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
    work_off(owner)
    event = only(take_outcome(owner).events)
    assert isinstance(event, ExportCancelled)
    assert event.rows == 0
    assert not bench.parts()


def test_the_end_of_a_file_is_held_to_the_bound_of_files(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_export_bytes=10 * MIB)
    owner = _long_end(bench)
    work_off(owner)
    event = only(take_outcome(owner).events)
    assert isinstance(event, ExportFailed)
    assert event.message == f"the file passes {10 * MIB} bytes"


def test_rows_that_take_much_memory_count_after_a_pause_within_the_end(bench: Bench) -> None:
    owner = _long_end(bench, *([{"of": [n] * 6}] for n in range(20_000)))
    work_off(owner)
    assert only(take_outcome(owner).events).rows == 20_000
