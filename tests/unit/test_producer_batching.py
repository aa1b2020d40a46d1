import math
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from clients.errors import ClientError
from consumer.core.batch_sequence import BatchSequence
from consumer.formats.registry import Formats
from producer.batching import (
    BATCH_BYTES,
    BATCH_ROWS,
    ROW_MAX_BYTES,
    Batcher,
    encode_row,
    most_rows,
)
from schemas.limits import MOST_BATCH_CELLS, MOST_BATCH_OUTPUT_BYTES
from schemas.records import Row, decode_batch
from schemas.requests import ExportRequested
from schemas.vocabulary import Format


def test_rows_are_numbered_from_0_and_end_with_their_count() -> None:
    batcher = Batcher("ord-1")
    rows: list[Any] = [[1, "12.50"], {"id": 2, "amount": None}]
    first, second = (next(batcher.batches([row])) for row in rows)
    assert first == b'{"export_id":"ord-1","seq":0,"rows":[[1,"12.50"]],"last":false}'
    assert second == (b'{"export_id":"ord-1","seq":1,"rows":[{"id":2,"amount":null}],"last":false}')
    assert batcher.last() == (b'{"export_id":"ord-1","seq":2,"rows":[],"last":true,"total_rows":2}')


def test_no_rows_are_no_message() -> None:
    batcher = Batcher("ord-1")
    assert list(batcher.batches([])) == []
    assert decode_batch(batcher.last()).total_rows == 0


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        (BATCH_ROWS, [BATCH_ROWS]),
        (BATCH_ROWS + 1, [BATCH_ROWS, 1]),
        (2 * BATCH_ROWS + 1, [BATCH_ROWS, BATCH_ROWS, 1]),
    ],
)
def test_a_message_holds_so_many_rows(rows: int, sizes: list[int]) -> None:
    messages = Batcher("ord-1").batches([number] for number in range(rows))
    assert [len(decode_batch(message).rows) for message in messages] == sizes


def test_a_message_holds_so_many_bytes() -> None:
    rows = [["x" * 10_000] for _ in range(200)]
    messages = list(Batcher("ord-1").batches(rows))
    assert sum(len(decode_batch(message).rows) for message in messages) == 200
    assert all(len(message) < BATCH_BYTES + 200 for message in messages)
    assert len(messages) == math.ceil(200 / (BATCH_BYTES // 10_005))


def test_a_row_larger_than_a_batch_goes_alone() -> None:
    rows = [["a"], ["x" * (ROW_MAX_BYTES - 4)], ["b"]]
    messages = list(Batcher("ord-1").batches(rows))
    assert [decode_batch(message).rows for message in messages] == [[row] for row in rows]


def test_a_row_larger_than_a_message_is_named_with_its_size() -> None:
    batcher = Batcher("ord-1")
    assert list(batcher.batches([["a"], ["b"]]))
    with pytest.raises(ClientError, match=r"^row 4: its 1,000,001 bytes don't fit a message"):
        list(batcher.batches([["c"], ["x" * (ROW_MAX_BYTES - 3)]]))


def test_messages_are_made_as_they_are_taken() -> None:
    taken = 0

    def rows() -> Iterator[list[int]]:
        nonlocal taken
        for taken in range(1, 10 * BATCH_ROWS):
            yield [taken]

    next(Batcher("ord-1").batches(rows()))
    assert taken == BATCH_ROWS + 1


@pytest.mark.parametrize(
    "row",
    [
        [2**64, -(2**63) - 1, 10**400],
        {"big": 2**70, "text": "ş→\N{GRINNING FACE}"},
        [[2**65], {"a": None}],
        [0.1, 1e22, -0.0, True, None, "\u2028\0"],
    ],
)
def test_cells_keep_their_value(row: Any) -> None:
    message = next(Batcher("ord-1").batches([row]))
    assert decode_batch(message).rows == [row]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([Decimal("1.5")], "Decimal"),
        ([object()], "object"),
        (["\ud800"], "surrogates not allowed"),
        ([2**64, math.nan], "Out of range float"),
        ("abc", "a str is no row"),
        ((1, 2), "a tuple is no row"),
        (5, "a int is no row"),
    ],
)
def test_what_is_no_row_of_json_is_named(row: Any, words: str) -> None:
    with pytest.raises(ClientError, match=f"^row 2: .*{words}"):
        list(Batcher("ord-1").batches([[1], row]))


def test_a_row_nested_without_end_is_refused() -> None:
    row: list[Any] = []
    row.append(row)
    with pytest.raises(ClientError, match=r"^row 1: "):
        list(Batcher("ord-1").batches([row]))


def test_the_usual_row_is_compact_json() -> None:
    row: list[Any] = [1, "a,b", None, True, 0.05]
    assert encode_row(row) == orjson.dumps(row)


def largest_output(request: ExportRequested, row: Row, count: int = 2_000) -> int:
    """Bytes of the file that the costliest of many such rows' batches makes."""
    columns = [column.key for column in request.columns]
    rows = [row if isinstance(row, dict) else row * len(columns)] * count
    writer, largest = Formats().writer(request, None), 0
    for message in Batcher("a", most_rows(request)).batches(rows):
        assembly, batch = BatchSequence(columns), decode_batch(message)
        assert len(batch.rows) * len(columns) <= MOST_BATCH_CELLS
        pieces = assembly.pieces(replace(batch, seq=0))
        largest = max(largest, sum(len(writer.append(piece)) for piece in pieces))
    return largest


@pytest.mark.parametrize("columns", [1, 40, 256])
@pytest.mark.parametrize("null", ["", "NULL", '"' * 64, "\N{GRINNING FACE}" * 64])
@pytest.mark.parametrize("row", [{}, [None]])
def test_no_batch_costs_more_than_one_may(columns: int, null: str, row: Row) -> None:
    fields = {"export_id": "a", "format": "csv", "columns": [f"c{n}" for n in range(columns)]}
    request = ExportRequested.model_validate({**fields, "options": {"null": null}})
    assert 0 < largest_output(request, row) <= MOST_BATCH_OUTPUT_BYTES


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("ndjson", {}),
        ("json", {}),
        ("xml", {}),
        ("xml", {"null": "nil", "row": "r" * 64}),
    ],
)
@pytest.mark.parametrize("character", [" ", "\x01"])
def test_nor_does_one_of_a_table_with_long_keys(
    file_format: str, options: dict[str, Any], character: str
) -> None:
    keys = [f"{n}{character * 60}" for n in range(256)]
    request = ExportRequested.model_validate(
        {"export_id": "a", "format": file_format, "columns": keys, "options": options}
    )
    rows: list[Row] = [{}, [0]]
    for row in rows:
        assert 0 < largest_output(request, row, 300) <= MOST_BATCH_OUTPUT_BYTES


def test_usual_batches_are_of_a_thousand_rows() -> None:
    fields = {"export_id": "a", "columns": [f"c{n}" for n in range(256)]}
    for file_format in Format:
        request = ExportRequested.model_validate({**fields, "format": file_format})
        assert most_rows(request) == BATCH_ROWS


def test_a_row_that_was_written_before_is_taken_as_it_is() -> None:
    rows: list[Row] = [[1, "a"], {"b": 2**70}]
    ways: tuple[list[Row | bytes], ...] = (
        [*rows],
        [*map(encode_row, rows)],
        [rows[0], encode_row(rows[1])],
    )
    assert len({tuple(Batcher("e").batches(way)) for way in ways}) == 1
