import csv
import io
import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import consumer.formats.csv
from consumer.formats.cells import cell_text, compact_json, json_without_recursion, number_texts
from consumer.formats.csv import CsvWriter
from schemas.options import CsvOptions
from schemas.records import Cell, decode_batch
from schemas.requests import Column, ExportRequested
from schemas.vocabulary import Format
from tests.support.plain_csv import is_number, plain_csv, plain_text
from tests.support.strategies import AWKWARD, cells, floats, integers, texts

delimiters = st.sampled_from(",;\t| '=-1e.t\0^]\\[") | st.characters(
    codec="utf-8", exclude_characters='"\r\n'
)
options = st.builds(
    CsvOptions,
    delimiter=delimiters,
    header=st.booleans(),
    bom=st.booleans(),
    line_ending=st.sampled_from(["crlf", "lf"]),
    null=st.sampled_from(["", "NULL", "-", "=0", "\\N"]) | texts,
    escape_formulas=st.booleans(),
)
# A column of one type takes another way through the writer than one of several.
columns_of_cells = st.sampled_from(
    [
        texts,
        texts | st.none(),
        integers | floats,
        floats,
        integers | st.none(),
        st.booleans(),
        st.booleans() | st.none(),
        cells,
    ]
)


@st.composite
def exports(draw: st.DrawFn) -> tuple[ExportRequested, list[tuple[Cell, ...]]]:
    kinds = draw(st.lists(columns_of_cells, min_size=1, max_size=4))
    headers = [Column(key=str(place), header=draw(texts)) for place in range(len(kinds))]
    request = ExportRequested(
        export_id="a", format=Format.CSV, columns=tuple(headers), options=draw(options)
    )
    return request, draw(st.lists(st.tuples(*kinds), max_size=12))


@given(exports())
def test_long_cells_take_a_way_of_their_own_to_the_same_bytes(
    export: tuple[ExportRequested, list[tuple[Cell, ...]]],
) -> None:
    request, rows = export
    usual, long = CsvWriter(request), CsvWriter(request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumer.formats.csv, "_LONG_TEXT", 2)
        made = b"".join(long.append([row]) for row in rows) + b"".join(long.finish())
    assert made == usual.append(rows) + b"".join(usual.finish())


@given(exports())
def test_the_bytes_are_those_of_the_plain_way(
    export: tuple[ExportRequested, list[tuple[Cell, ...]]],
) -> None:
    request, rows = export
    writer = CsvWriter(request)
    assert writer.append(rows) + b"".join(writer.finish()) == plain_csv(request, rows)


@given(exports(), st.lists(texts | st.none(), min_size=1, max_size=4), st.randoms())
def test_the_bytes_are_those_of_the_plain_way_where_few_cells_differ(
    export: tuple[ExportRequested, list[tuple[Cell, ...]]],
    few: list[str | None],
    chance: random.Random,
) -> None:
    request, _ = export
    rows = [tuple(chance.choices(few, k=len(request.columns))) for _ in range(80)]
    assert CsvWriter(request).append(rows) == plain_csv(request, rows)


@given(exports(), st.lists(st.integers(0, 12), max_size=5))
def test_the_bytes_are_the_same_in_however_many_pieces_the_rows_come(
    export: tuple[ExportRequested, list[tuple[Cell, ...]]], cuts: list[int]
) -> None:
    request, rows = export
    writer = CsvWriter(request)
    places = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [writer.append(rows[start:end]) for start, end in pairwise(places)]
    whole = CsvWriter(request)
    assert b"".join(pieces) + b"".join(writer.finish()) == whole.append(rows) + b"".join(
        whole.finish()
    )


@given(exports())
def test_pythons_reader_gets_every_field_back(
    export: tuple[ExportRequested, list[tuple[Cell, ...]]],
) -> None:
    request, rows = export
    assert isinstance(request.options, CsvOptions)
    expected = [[plain_text(cell, request.options) for cell in row] for row in rows]
    if request.options.header:
        expected.insert(0, [plain_text(c.header, request.options) for c in request.columns])
    writer = CsvWriter(request)
    text = (writer.append(rows) + b"".join(writer.finish())).decode()
    text = text[1:] if request.options.bom else text
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=request.options.delimiter, strict=True
    )
    assert [line or [""] for line in reader] == expected


@given(st.lists(texts, min_size=1, max_size=5))
def test_a_string_comes_back_as_it_was_without_escaping(strings: list[str]) -> None:
    request = ExportRequested(
        export_id="a",
        format=Format.CSV,
        columns=tuple(Column(key=str(place)) for place in range(len(strings))),
        options=CsvOptions(header=False, escape_formulas=False),
    )
    text = CsvWriter(request).append([strings]).decode()
    assert [line or [""] for line in csv.reader(io.StringIO(text, newline=""))] == [strings]


@given(st.text("0123456789+-.eE_ \tinfax", max_size=8) | texts)
@example("-5")
@example("+1.5e3")
@example("-.5")
@example("-1_000")
@example("-inf")
@example("-5 ")
@example("-\N{ARABIC-INDIC DIGIT FIVE}")
@example("-5\n")
def test_no_field_begins_as_a_formula_but_a_number(text: str) -> None:
    request = ExportRequested(
        export_id="a",
        format=Format.CSV,
        columns=(Column(key="a", header=text), Column(key="b")),
        options=CsvOptions(delimiter="\x01"),
    )
    writer = CsvWriter(request)
    lines = csv.reader(
        io.StringIO(writer.append([[text, None]]).decode(), newline=""), delimiter="\x01"
    )
    assume("\x01" not in text)
    for field, _ in lines:
        assert field in {text, "'" + text}
        assert not field.startswith(tuple("=+-@\t\r")) or is_number(field)
        assert field == text or not is_number(text)


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5))
@settings(max_examples=50)
def test_cells_keep_their_value_from_the_message_to_the_file(rows: list[list[Cell]]) -> None:
    message = json.dumps({"export_id": "a", "seq": 0, "rows": rows}).encode()
    request = ExportRequested(
        export_id="a",
        format=Format.CSV,
        columns=(Column(key="a"), Column(key="b")),
        options=CsvOptions(header=False, escape_formulas=False, null="null"),
    )
    decoded: list[Any] = decode_batch(message).rows
    text = CsvWriter(request).append(decoded).decode()
    for line, row in zip(csv.reader(io.StringIO(text, newline="")), rows, strict=True):
        for field, cell in zip(line, row, strict=True):
            assert field == cell if isinstance(cell, str) else json.loads(field) == cell


@given(integers | floats)
def test_a_numbers_text_reads_back_as_the_same_number(number: float) -> None:
    text = cell_text(number)
    assert type(number)(text) == number
    assert json.loads(text) == number
    assert is_number(text)


@given(st.lists(integers | floats | st.floats(1e-6, 1e-3) | st.floats(1e14, 1e18), min_size=1))
def test_a_column_of_numbers_has_the_text_of_each(numbers: list[float]) -> None:
    assert number_texts(numbers) == [cell_text(number) for number in numbers]


@given(cells)
def test_nested_json_is_the_same_text_with_and_without_recursion(cell: Cell) -> None:
    assert json_without_recursion(cell, compact_json) == compact_json(cell)
    assert json.loads(compact_json(cell)) == cell


@given(st.text(AWKWARD), st.text(AWKWARD))
def test_a_string_is_its_own_text_whatever_null_is(text: str, null: str) -> None:
    assert cell_text(text, null) == text
    assert cell_text(None, null) == null
