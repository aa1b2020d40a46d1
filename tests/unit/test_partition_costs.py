"""What one batch may cost a partition: bounds of cells, bytes and memory, which end its export."""

import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from consumer.errors import MessageFault
from consumer.exports import batch_routing
from consumer.formats.csv import CsvWriter
from schemas.completions import ExportCompleted, ExportFailed
from schemas.records import Cell
from schemas.vocabulary import DeadLetterReason, FailReason
from tests.support.cpu import cpu_time
from tests.support.partition import RECORDS, Bench, only, take_outcome, work_off

MIB = 1024 * 1024


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, max_export_bytes=100 * MIB)


def peak_of(bench: Bench) -> tuple[ExportFailed, int]:
    """How an export fails, and the most memory that it took meanwhile."""
    tracemalloc.start()
    try:
        event = bench.failure()
        return event, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    "compression",
    ["gzip", *(pytest.param(name, marks=pytest.mark.long) for name in ("none", "zstd"))],
)
def test_what_a_batch_makes_counts_before_it_is_compressed(bench: Bench, compression: str) -> None:
    bench.request(options={"null": "x" * 64, "compression": compression})
    bench.batch(0, *([None] for _ in range(16 * MIB // 66 + 1)))
    event = bench.failure()
    assert event.reason is FailReason.TOO_LARGE
    assert event.message == "batch 0 makes more than 16,777,216 bytes of the file"


@pytest.mark.slow
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


@pytest.mark.slow
def test_just_a_million_cells_are_accepted(bench: Bench) -> None:
    bench.request(columns=["a", "b", "c", "d"])
    bench.batch(0, *[{}] * 250_000)
    bench.batch(1, *[{}] * 250_001, last=True)
    event = bench.failure()
    assert event.rows == 250_000
    assert "1,000,004 cells" in event.message


@pytest.mark.long
def test_nested_values_count(bench: Bench) -> None:
    row = f"[[{','.join(['[]'] * 99_990)}]]"
    bench.request()
    for seq, count in enumerate((10, 11)):
        rows = ",".join([row] * count)
        bench.raw(RECORDS, f'{{"seq":{seq},"rows":[{rows}],"export_id":"a"}}'.encode())
    event = bench.failure()
    assert event.rows == 10
    assert event.reason is FailReason.INVALID_BATCH
    assert event.message == "batch 1: its rows have 1,099,901 cells, more than 1,000,000"


@pytest.mark.parametrize("cell", [b'{"":[]}', b"[]", b'"some text"'])
def test_a_row_that_holds_the_interpreter_for_long_is_not_built(bench: Bench, cell: bytes) -> None:
    cells = b",".join([cell] * 499_000)
    bench.request()
    bench.raw(RECORDS, b'{"seq":0,"rows":[[1],[[%b]]],"export_id":"a"}' % cells)
    event = bench.failure()
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
    work_off(bench.partition, 0.0)
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
    assert bench.failure().reason is FailReason.INTERNAL
    monkeypatch.undo()
    bench.request("b")
    bench.batch(0, [1], export_id="b", last=True)
    assert isinstance(only(bench.turn()), ExportCompleted)


def test_no_memory_to_decode_is_no_verdict(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.request()
    bench.partition.take_requests(bench.requests)
    bench.partition.turn()

    def exhausted(value: bytes | None) -> None:
        raise MemoryError

    monkeypatch.setattr(batch_routing, "decode_batch", exhausted)
    bench.batch(0, [1], last=True)
    bench.partition.take_records(bench.records)
    with pytest.raises(MessageFault, match="MemoryError"):
        work_off(bench.partition, 0.0)
    assert not take_outcome(bench.partition)
    assert bench.partition.open_count == 1
