"""What an NDJSON body holds in memory while it comes, and lines that cost too much."""

import gc
import tracemalloc
import weakref
from contextlib import suppress

import pytest

from schemas import exact_json
from schemas.requests import Column
from sluice.http.ndjson import LINES_AT_ONCE, NdjsonRows
from sluice.http.problems import Refusal
from sluice.http.rows import RowCheck


def test_rows_are_handed_out_few_at_a_time_and_as_text() -> None:
    """A piece of tiny lines is thirty times its size in rows, a nested row twenty times."""
    nested = b'[[%b],"x"]' % b",".join([b"[]"] * 10_000)
    piece = b"{}\n" * 25_000 + nested + b"\n"
    reader = NdjsonRows(RowCheck([Column(key="a"), Column(key="b")]))
    exact_json.loads(b"[]")  # orjson keeps a buffer from then on
    tracemalloc.start()
    try:
        held: list[bytes] = []
        count = 0
        for rows in reader.feed(piece):
            assert len(rows) <= LINES_AT_ONCE
            count, held = count + len(rows), rows
            current, _ = tracemalloc.get_traced_memory()
            assert current < 5 * len(piece)
    finally:
        tracemalloc.stop()
    assert (count, held[-1]) == (25_001, nested)


@pytest.mark.parametrize("end", [b"0]", b'"x'])
def test_a_line_of_too_many_values_is_refused_whether_or_not_it_is_json(end: bytes) -> None:
    reader = NdjsonRows(RowCheck([Column(key="a")]))
    with pytest.raises(Refusal) as caught:
        list(reader.feed(b"[" + b"0," * 600_000 + end + b"\n"))
    (error,) = caught.value.errors
    assert (error.field, error.message) == ("line 1", "holds more than 100,000 values")


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_wrong_line_is_held_by_nothing_once_it_is_answered(end: bytes) -> None:
    """A node seldom collects garbage, and such a line has up to 4 MiB, and cells."""
    seen: list[weakref.ref[Refusal]] = []

    def refuse() -> None:
        reader = NdjsonRows(RowCheck([Column(key="a")]))
        try:
            for piece in (reader.feed(b"[1]\n[1,2]" + end), reader.end()):
                list(piece)
        except Refusal as refusal:
            seen.append(weakref.ref(refusal))
            raise

    gc.collect()
    gc.disable()
    try:
        with suppress(Refusal):
            refuse()
        assert seen[0]() is None
    finally:
        gc.enable()
