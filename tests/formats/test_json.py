"""JSON and NDJSON, judged by the standard library."""

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.formats.json import JsonWriter, NdjsonWriter
from schemas.records import Cell, decode_batch
from schemas.requests import ExportRequested
from tests.support.strategies import cells, texts

tables = st.lists(texts, min_size=1, max_size=4, unique=True).flatmap(
    lambda keys: st.tuples(
        st.just(keys), st.lists(st.lists(cells, min_size=len(keys), max_size=len(keys)), max_size=6)
    )
)


def request(file_format: str, keys: list[str]) -> ExportRequested:
    return ExportRequested.model_validate(
        {"export_id": "a", "format": file_format, "columns": [{"key": key} for key in keys]}
    )


def ndjson(keys: list[str], *appended: list[list[Cell]]) -> str:
    writer = NdjsonWriter(request("ndjson", keys))
    pieces = [writer.append(rows) for rows in appended]
    return b"".join([*pieces, *writer.finish()]).decode()


def json_file(keys: list[str], *appended: list[list[Cell]]) -> str:
    writer = JsonWriter(request("json", keys))
    pieces = [writer.append(rows) for rows in appended]
    return b"".join([*pieces, *writer.finish()]).decode()


def test_small_files() -> None:
    keys = ["id", "n"]
    rows: list[list[Cell]] = [[1, "a\nb"], [None, {"x": [1.5, True]}]]
    one, two = '{"id":1,"n":"a\\nb"}', '{"id":null,"n":{"x":[1.5,true]}}'
    assert ndjson(keys, rows) == f"{one}\n{two}\n"
    assert json_file(keys, rows) == f"[\n{one},\n{two}\n]\n"


def test_files_without_rows() -> None:
    assert ndjson(["a"]) == ndjson(["a"], [], []) == ""
    assert json_file(["a"]) == json_file(["a"], [], []) == "[\n]\n"
    assert json.loads(json_file(["a"])) == []


@given(tables)
def test_the_standard_library_reads_back_what_came(table: tuple[list[str], Any]) -> None:
    keys, rows = table
    expected = [dict(zip(keys, row, strict=True)) for row in rows]
    assert repr(json.loads(json_file(keys, rows))) == repr(expected)
    lines = ndjson(keys, rows).split("\n")
    assert repr([json.loads(line) for line in lines[:-1]]) == repr(expected)
    assert lines[-1] == ""


@given(tables, st.lists(st.integers(0, 6), max_size=4))
def test_a_row_has_the_same_bytes_beside_any_others(
    table: tuple[list[str], Any], cuts: list[int]
) -> None:
    """An integer beyond 64 bits takes its row, and no other, on another way."""
    keys, rows = table
    one_by_one = [ndjson(keys, [row]) for row in rows]
    assert ndjson(keys, rows) == "".join(one_by_one)
    places = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [rows[start:end] for start, end in pairwise(places)]
    assert json_file(keys, *pieces) == json_file(keys, rows)
    assert ndjson(keys, *pieces) == ndjson(keys, rows)


@given(cells)
def test_what_orjson_refuses_is_written_as_it_would(cell: Cell) -> None:
    plain, beside = ndjson(["a", "b"], [[cell, 1]]), ndjson(["a", "b"], [[cell, 2**64]])
    assert beside == plain.replace('"b":1}\n', '"b":18446744073709551616}\n')


def test_integers_keep_their_digits_from_the_message_to_the_file() -> None:
    integers = [2**53 + 1, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**4_000]
    message = {"export_id": "a", "seq": 0, "rows": [[n, [{"x": n}]] for n in integers]}
    rows = decode_batch(json.dumps(message).encode()).rows
    written = json.loads(json_file(["a", "b"], rows), parse_int=str)  # type: ignore[arg-type]
    assert [row["a"] for row in written] == [*map(str, integers)]
    assert [row["b"][0]["x"] for row in written] == [*map(str, integers)]


@pytest.mark.parametrize("number", [0.1, 1e16, 1e-7, -0.0, 5e-324, 1.7976931348623157e308, 2.0**63])
def test_other_numbers_read_back_as_the_same_double(number: float) -> None:
    for beside in (0, 2**70):
        (line,) = ndjson(["a", "b"], [[number, beside]]).splitlines()
        text = line.removeprefix('{"a":').partition(",")[0]
        assert repr(float(text)) == repr(number)
        assert Decimal(text) == Decimal(repr(number))


def test_keys_are_those_of_the_columns_in_their_order_not_headers() -> None:
    wanted = ExportRequested.model_validate(
        {
            "export_id": "a",
            "format": "ndjson",
            "columns": [{"key": "z", "header": "Zed"}, {"key": 'a"\n', "header": "A"}],
        }
    )
    assert NdjsonWriter(wanted).append([[1, 2]]) == b'{"z":1,"a\\"\\n":2}'


def test_nesting_beyond_what_orjson_writes() -> None:
    deep: Cell = 1
    for _ in range(900):
        deep = [deep]
    assert ndjson(["a"], [[deep]]) == '{"a":' + "[" * 900 + "1" + "]" * 900 + "}\n"
    with pytest.raises(TypeError):
        orjson.dumps(deep)
