"""Whatever the cells of a workbook are, two readers that aren't ours give them back."""

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise, zip_longest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from consumer.formats.cells import cell_text
from consumer.formats.xlsx import rows as rows_module
from consumer.formats.xlsx.cells import Values, cell, cells
from consumer.formats.xlsx.escaping import escaped
from consumer.formats.xlsx.rows import RowEncoder
from schemas.options import XlsxOptions
from schemas.records import Cell
from schemas.requests import ExportRequested
from schemas.vocabulary import ColumnType
from tests.support import strategies
from tests.support.xlsx import by_calamine, by_openpyxl, new_writer, write_xlsx, xlsx_request

MARCH_1900 = datetime.fromisoformat("1900-03-01")
NUMBER = re.compile("_x([0-9A-Fa-f]{4})_")
SIGNS = "_x0041F \t\n\r\0\x01\x1f<>&\"'=+-@\ufffe\uffffé漢\N{ROCKET}\u2028\x85\xa0"
texts = st.text(SIGNS, max_size=20) | st.text(max_size=10)
numbers = strategies.integers | strategies.floats | st.integers(-(2**60), 2**60)
whole_cells = strategies.cells | texts | numbers
KINDS = st.sampled_from(
    [texts, texts | st.none(), numbers, numbers | st.none(), st.booleans() | st.none(), whole_cells]
)
stamps = st.datetimes(timezones=st.none() | st.just(UTC)).map(
    lambda time: time.isoformat(" ", "seconds")
)
TYPED: dict[ColumnType, st.SearchStrategy[Cell]] = {
    ColumnType.STRING: texts,
    ColumnType.INTEGER: strategies.integers,
    ColumnType.NUMBER: numbers,
    ColumnType.DECIMAL: numbers | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    ColumnType.BOOLEAN: st.booleans(),
    ColumnType.DATE: st.dates().map(str),
    ColumnType.TIMESTAMP: stamps,
}


@st.composite
def exports(draw: st.DrawFn) -> tuple[ExportRequested, list[tuple[Cell, ...]]]:
    """Columns without a type, and of each one."""
    kinds = draw(st.lists(KINDS, min_size=1, max_size=4))
    typed = draw(st.lists(st.sampled_from(ColumnType), max_size=3))
    columns: list[dict[str, Any]] = [
        *({"key": f"k{place}", "header": draw(texts)} for place in range(len(kinds))),
        *({"key": f"t{place}", "type": kind} for place, kind in enumerate(typed)),
    ]
    row = st.tuples(*kinds, *(TYPED[kind] | st.none() for kind in typed))
    request = xlsx_request(columns, header=draw(st.booleans()))
    return request, draw(st.lists(row, max_size=8))


def read_back(value: Cell, kind: ColumnType | None) -> object:
    """What a reader gets of a value: a number, a boolean, a date, or text."""
    if value is None or isinstance(value, bool):
        return value
    if kind is ColumnType.DATE:
        day = datetime.fromisoformat(value)
        return day if day >= MARCH_1900 else value
    if kind is ColumnType.TIMESTAMP:
        moment = datetime.fromisoformat(value).replace(tzinfo=None)
        return moment if moment >= MARCH_1900 else value
    if kind is ColumnType.DECIMAL and isinstance(value, str):
        number = float(value)
        kept = math.isfinite(number) and Decimal(repr(number)) == Decimal(value)
        return number if kept else value
    if isinstance(value, int | float):
        return exact(value)
    return cell_text(value)


def exact(number: float) -> object:
    """The number, if there is a double of it; else its digits."""
    try:
        return number if float(number) == number else str(number)
    except OverflowError:
        return str(number)


LEFT_BY_CALAMINE = {0xFFFE: "_xFFFE_", 0xFFFF: "_xFFFF_"}


def same(read: object, expected: object) -> bool:
    if expected in (None, ""):
        return read in (None, "")
    if isinstance(expected, datetime) and isinstance(read, date):
        found = read if isinstance(read, datetime) else datetime.combine(read, time.min)
        return abs(found - expected) < timedelta(milliseconds=2)
    if isinstance(expected, str) and isinstance(read, str):
        return read in (expected, expected.translate(LEFT_BY_CALAMINE))
    if isinstance(expected, bool | str) or isinstance(read, bool | str):
        return read is expected
    return read == expected


@given(exports())
def test_cells_and_headers_are_read_back(
    export: tuple[ExportRequested, list[tuple[Cell, ...]]],
) -> None:
    request, rows = export
    content = write_xlsx(request, rows)
    types = [column.type for column in request.columns]
    expected = [[*map(read_back, row, types)] for row in rows]
    if isinstance(request.options, XlsxOptions) and request.options.header:
        expected.insert(0, [column.header for column in request.columns])
    (by_one,) = by_openpyxl(content).values()
    (by_other,) = by_calamine(content).values()
    for found in (by_one, by_other):
        for row, read in zip_longest(expected, found, fillvalue=[None] * len(types)):
            assert all(map(same, read, row)), (read, row)


@given(exports(), st.data())
def test_the_bytes_do_not_depend_on_how_many_rows_come_at_a_time(
    export: tuple[ExportRequested, list[tuple[Cell, ...]]], data: st.DataObject
) -> None:
    request, rows = export
    rows = rows * 40  # more than widths are made of
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=6).map(sorted))
    writer = new_writer(request)
    made = [writer.append(rows[start:end]) for start, end in pairwise([0, *cuts, len(rows)])]
    assert b"".join([*made, *writer.finish()]) == write_xlsx(request, rows)


@given(KINDS.flatmap(lambda kind: st.lists(kind, min_size=1, max_size=8)))
def test_cells_of_a_column_are_those_of_each_alone(column: list[Cell]) -> None:
    made = cells(Values.of(column))
    together = [made.before + text + made.after for text in made.texts]
    assert together == [cell(*Values.of([value]).values) for value in column]


@given(KINDS.flatmap(lambda kind: st.lists(st.tuples(kind, kind), min_size=1, max_size=8)))
def test_rows_that_are_divided_are_the_same(rows: list[tuple[Cell, Cell]]) -> None:
    columns = xlsx_request().columns
    whole = b"".join(RowEncoder(columns).encode(rows, 7, 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "_CHARACTERS_AT_ONCE", 10)
        assert b"".join(RowEncoder(columns).encode(rows, 7, 0)) == whole
        patch.setattr(rows_module, "_CELLS_AT_ONCE", 4)
        assert b"".join(RowEncoder(columns).encode(rows, 7, 0)) == whole


@given(texts)
def test_text_is_decoded_as_the_standard_has_it(text: str) -> None:
    xml = etree.fromstring(b"<t>" + escaped(text) + b"</t>").text or ""
    assert NUMBER.sub(lambda number: chr(int(number[1], 16)), xml) == text
