import csv
import io
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from producer.batching import BATCH_BYTES, BATCH_ROWS, Batcher
from producer.sources.csv_source import read_csv
from producer.sources.json_source import read_json, read_ndjson
from producer.sources.reading import Reader
from producer.sources.table import SourceError, SourceTable
from schemas.records import decode_batch
from tests.support.strategies import cells, texts

keys = st.lists(texts, min_size=1, max_size=4, unique=True)
white = st.text(" \t\r\n", max_size=3)


class Trickle(io.RawIOBase):
    """A file that gives a few bytes at a time, as a pipe may."""

    def __init__(self, content: bytes, piece: int) -> None:
        self._content = io.BytesIO(content)
        self._piece = piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._content.read(min(self._piece, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def trickled(reader: Reader, content: bytes, piece: int = 7) -> SourceTable:
    return reader(io.BufferedReader(Trickle(content, piece), 16), None)


@st.composite
def objects(draw: st.DrawFn) -> tuple[list[str], list[dict[str, Any]]]:
    """Column keys, a row with all of them, and rows with some."""
    names = draw(keys)
    complete = {name: draw(cells) for name in names}
    partial = st.dictionaries(st.sampled_from(names), cells, max_size=3)
    return names, [complete, *draw(st.lists(partial, max_size=3))]


@given(st.lists(st.lists(cells, max_size=4) | st.dictionaries(texts, cells, max_size=4)))
def test_batches_hold_every_row_once_in_order(rows: list[Any]) -> None:
    batcher = Batcher("ord-1")
    messages = [*batcher.batches(rows), batcher.last()]
    batches = [decode_batch(message) for message in messages]
    assert [row for batch in batches for row in batch.rows] == rows
    assert [batch.seq for batch in batches] == list(range(len(batches)))
    assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert batches[-1].total_rows == len(rows)


@given(st.lists(st.integers(1, BATCH_BYTES + 10), max_size=12), st.integers(1, 5))
def test_batches_stay_within_their_bounds(sizes: list[int], calls: int) -> None:
    batcher = Batcher("ord-1")
    rows = [["x" * size] for size in sizes]
    for part in (rows[start::calls] for start in range(calls)):
        for message in batcher.batches(part):
            count = len(decode_batch(message).rows)
            assert count <= BATCH_ROWS
            assert count == 1 or len(message) <= BATCH_BYTES + 200


@given(
    objects(),
    st.sampled_from(["", "\ufeff"]),
    white,
    white,
    white,
    st.booleans(),
    st.integers(1, 40),
)
def test_a_json_array_reads_the_same_however_it_is_laid_out(
    drawn: tuple[list[str], list[dict[str, Any]]],
    bom: str,
    before: str,
    between: str,
    after: str,
    ascii_only: bool,
    piece: int,
) -> None:
    names, rows = drawn
    written = [json.dumps(row, ensure_ascii=ascii_only, indent=len(before) or None) for row in rows]
    text = f"{bom}{before}[{between}{f'{between},{after}'.join(written)}{after}]{before}"
    table = trickled(read_json, text.encode(), piece)
    assert table.columns == tuple(names)
    assert list(table.rows) == [[row.get(name) for name in names] for row in rows]


@given(objects(), st.sampled_from(["\n", "\r\n", "\n\n"]), st.integers(1, 40))
def test_ndjson_reads_back(
    drawn: tuple[list[str], list[dict[str, Any]]], line_end: str, piece: int
) -> None:
    names, rows = drawn
    text = line_end.join(map(json.dumps, rows))
    table = trickled(read_ndjson, text.encode(), piece)
    assert table.columns == tuple(names)
    assert list(table.rows) == [[row.get(name) for name in names] for row in rows]


@given(objects(), st.data())
def test_a_cut_json_array_never_passes_as_whole(
    drawn: tuple[list[str], list[dict[str, Any]]], data: st.DataObject
) -> None:
    content = json.dumps(drawn[1]).encode()
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(SourceError):
        list(trickled(read_json, content[:cut]).rows)


@given(st.binary(max_size=40), st.sampled_from([read_csv, read_json, read_ndjson]))
def test_any_bytes_are_read_or_refused(content: bytes, reader: Reader) -> None:
    try:
        table = trickled(reader, content)
        rows = list(table.rows)
    except SourceError:
        return
    assert all(len(row) == len(table.columns) for row in rows)


@given(st.data(), keys, st.sampled_from(["\n", "\r\n"]), st.integers(1, 40))
def test_csv_reads_back(data: st.DataObject, names: list[str], line_end: str, piece: int) -> None:
    assume(names != [""])
    rows = data.draw(st.lists(st.lists(texts, min_size=len(names), max_size=len(names))))
    file = io.StringIO(newline="")
    # Ended by "\n" alone, Python's writer leaves a "\r" unquoted, which no reader can take.
    quoting: Any = csv.QUOTE_MINIMAL if line_end == "\r\n" else csv.QUOTE_ALL
    writer = csv.writer(file, quoting=quoting, lineterminator=line_end)
    writer.writerows([names, *rows])
    content = file.getvalue().encode()
    assume(not content.startswith(b"\xef\xbb\xbf"))  # a byte order mark is no part of the name
    table = trickled(read_csv, content, piece)
    assert table.headers == tuple(names)
    assert list(table.rows) == rows
