import csv
import io
import json
import random
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import consumer.formats.csv
from consumer.formats.cells import cell_text, compact_json, json_without_recursion, number_texts
from consumer.formats.csv import CsvWriter
from schemas.formulas import escaped, is_formula
from schemas.options import CsvOptions
from schemas.records import Cell, decode_batch
from schemas.requests import Column, ExportRequested
from schemas.vocabulary import Format
from tests.support.csv_readers import SEPARATORS, readers
from tests.support.plain_csv import (
    TRIGGERS,
    computes_nothing,
    dropped,
    is_number,
    is_run,
    plain_csv,
    plain_text,
)
from tests.support.strategies import AWKWARD, cells, floats, integers, texts

delimiters = st.sampled_from(",;\t| '=-1e.t\0^]\\[") | st.characters(
    codec="utf-8", exclude_characters='"\r\n'
)


def right_options(**given: Any) -> CsvOptions:
    """Options that agree with each other."""
    if given["escape_formulas"] and is_run(given["null"]):
        given["null"] = ""
    if given["decimal_separator"] == given["delimiter"]:
        del given["decimal_separator"]
    return CsvOptions(**given)


options = st.builds(
    right_options,
    delimiter=delimiters,
    header=st.booleans(),
    bom=st.booleans(),
    line_ending=st.sampled_from(["crlf", "lf"]),
    null=st.sampled_from(["", "NULL", "-", "=0", "\\N", "ID", " "]) | texts,
    escape_formulas=st.booleans(),
    decimal_separator=st.sampled_from(".,"),
    quote=st.sampled_from(["minimal", "all"]),
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
        patch.setattr(consumer.formats.csv, "LONG_TEXT", 2)
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


formula_like = st.text("=+-@\t\r\n\uff1d\0\ufeff ;,\"'ID1%\xa0a", max_size=6) | texts


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.tuples(
            st.lists(formula_like, min_size=width, max_size=width),
            st.lists(
                st.lists(st.none() | formula_like, min_size=width, max_size=width), max_size=4
            ),
        )
    ),
    st.sampled_from(SEPARATORS) | delimiters.filter("\0".__ne__),  # dropped, it parts nothing
    st.fixed_dictionaries(
        {
            "header": st.booleans(),
            "bom": st.booleans(),
            "line_ending": st.sampled_from(["crlf", "lf"]),
            "quote": st.sampled_from(["minimal", "all"]),
            "escape_formulas": st.booleans(),
        }
    ),
)
def test_no_reader_finds_a_formula_or_loses_a_row(
    table: tuple[list[str], list[list[str | None]]], delimiter: str, given_options: dict[str, Any]
) -> None:
    """Whatever a reader drops, at the delimiter alone and at the usual separators as well."""
    headers, rows = table
    request = ExportRequested(
        export_id="a",
        format=Format.CSV,
        columns=tuple(Column(key=str(n), header=header) for n, header in enumerate(headers)),
        options=CsvOptions(delimiter=delimiter, **given_options),
    )
    assert isinstance(request.options, CsvOptions)
    writer = CsvWriter(request)
    text = (writer.append(rows) + b"".join(writer.finish())).decode()
    assert not text.startswith("ID")
    lines: list[Any] = [headers] * request.options.header + rows
    expected = [[plain_text(cell, request.options) for cell in line] for line in lines]
    for reader in readers(delimiter):
        nul = "\0" if reader.drops_nul else ""
        assert reader.rows(text) == [
            [field.replace(nul, "") if nul else field for field in line] for line in expected
        ]
        for field in chain.from_iterable(reader.rows(text)):
            live = dropped(field)[:1] in {*TRIGGERS} and not computes_nothing(dropped(field))
            assert not (live and request.options.escape_formulas)


@given(st.text("0123456789+-.eE_ \tinfax%,\xa0", max_size=8) | texts)
@example("-5")
@example("+1.5e3")
@example("-.5")
@example("-1_000")
@example("-inf")
@example("-5 ")
@example("-5%")
@example("-1,234.56")
@example("-")
@example("-\N{ARABIC-INDIC DIGIT FIVE}")
@example("-5\n")
def test_what_is_escaped_is_what_may_be_run(text: str) -> None:
    assert is_formula(text) == is_run(text)
    assert escaped(text) == ("'" + text if is_run(text) else text)
    if is_number(text):
        assert not is_formula(text)


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5))
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
