"""Workbooks as rows: those that we made, and those of other programs, whole or broken."""

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.sources.reading import RowStream
from producer.sources.table import SourceError, SourceTable
from producer.sources.xlsx_source import read_xlsx
from tests.support.strategies import texts
from tests.support.xlsx import write_xlsx, xlsx_request

DAY = date(2026, 11, 21)


def table_of(content: bytes, columns: Sequence[str] | None = None, **options: Any) -> SourceTable:
    return read_xlsx(io.BufferedReader(io.BytesIO(content)), columns, **options)


def wrong(content: bytes, **options: Any) -> str:
    with pytest.raises(SourceError) as caught:
        list(table_of(content, **options).rows)
    return str(caught.value)


def workbook(*sheets: Sequence[Sequence[Any]], shape: Callable[[Any], None] | None = None) -> bytes:
    """A workbook by openpyxl, whose sheets are called A, B and so on; ``shape`` does more to it."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for name, rows in zip("ABC", sheets, strict=False):
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    if shape:
        shape(book)
    book.save(file)
    return file.getvalue()


def changed(rows: Sequence[Sequence[Any]], change: Callable[[str, bytes], bytes]) -> bytes:
    """A workbook of one sheet, whose parts, by their names, are something else."""
    copied = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(rows))) as package,
        zipfile.ZipFile(copied, "w") as copy,
    ):
        for name in package.namelist():
            copy.writestr(name, change(name, package.read(name)))
    return copied.getvalue()


def with_sheet(rows: Sequence[Sequence[Any]], old: bytes, new: bytes) -> bytes:
    """A workbook of one sheet, in whose XML something is something else."""

    def change(name: str, part: bytes) -> bytes:
        if name != "xl/worksheets/sheet1.xml":
            return part
        assert old in part
        return part.replace(old, new)

    return changed(rows, change)


def strict(_: str, part: bytes) -> bytes:
    """A part in the namespaces of the standard's strict form."""
    return re.sub(
        b"http://schemas.openxmlformats.org/(spreadsheetml|officeDocument)/2006",
        rb"http://purl.oclc.org/ooxml/\1",
        part,
    )


def test_values_of_each_kind_are_json_values() -> None:
    moments = [DAY, datetime.fromisoformat("2026-11-21T10:00:00.500"), time(9, 30)]
    row = [1, 1.5, True, None, "é_x0041_", *moments, timedelta(hours=30, seconds=5), "=1+1"]

    def no_formula(book: Any) -> None:
        book["A"]["J2"].value, book["A"]["J2"].data_type = "=1+1", "s"

    table = table_of(workbook([[*"abcdefghij"], row], shape=no_formula))
    assert table.columns == tuple("abcdefghij")
    assert [*table.rows] == [
        [
            *(1, 1.5, True, None, "éA", "2026-11-21", "2026-11-21T10:00:00.500", "09:30:00"),
            *("30:00:05", "=1+1"),
        ]
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (b"5.0", "5"),
        (b"-1.0E3", "-1000"),
        (b"4.111111111111111E15", "4111111111111111"),
        (b"9007199254740994.0", "9007199254740994.0"),
        (b"0.5", "0.5"),
        (b"1E+20", "1e+20"),
    ],
)
def test_a_whole_number_is_an_integer_however_it_is_written(written: bytes, value: str) -> None:
    content = with_sheet([["a"], [7]], b"<v>7</v>", b"<v>" + written + b"</v>")
    ((cell,),) = table_of(content).rows
    assert repr(cell) == value
    assert [*table_of(content, types={"a": "string"}).rows] == [[value]]


def test_halves_of_a_surrogate_pair_are_a_character_or_none() -> None:
    content = workbook([["a_xD83D_"], ["_xD83D__xDE00_"], ["x_xDE00__x0041_"]])
    table = table_of(content)
    assert table.columns == ("a\ufffd",)
    assert [*table.rows] == [["\U0001f600"], ["x\ufffdA"]]


def test_a_workbook_of_ours_reads_back() -> None:
    columns: list[str | dict[str, Any]] = [
        "id",
        {"key": "day", "type": "date"},
        {"key": "at", "type": "timestamp"},
        "note",
    ]
    rows: list[list[Any]] = [
        [1, "2026-11-21", "2026-11-21T10:00:00", " \0=1 _x0041_ "],
        [None, None, None, None],
        [2**70 + 1, "0999-01-01", None, "ş"],
    ]
    content = write_xlsx(xlsx_request(columns), rows)
    rows[2][0] = str(2**70 + 1)
    assert [*table_of(content).rows] == rows


@given(st.lists(st.lists(texts, min_size=2, max_size=2), min_size=1, max_size=5))
def test_any_texts_of_ours_read_back(rows: list[list[str]]) -> None:
    content = write_xlsx(xlsx_request(["a", "b"]), [*rows, ["end", "end"]])
    assert [*table_of(content).rows] == [*rows, ["end", "end"]]


def test_types_make_values_and_digits_of_what_is_another_kind() -> None:
    types = {"zip": "string", "n": "integer", "day": "date", "d": "decimal"}
    content = workbook([["zip", "n", "day", "d"], [1050, "7", DAY, "12.50"]])
    assert [*table_of(content, types=types).rows] == [["1050", 7, "2026-11-21", "12.50"]]
    text = wrong(workbook([["n"], [1], ["x"]]), types={"n": "integer"})
    assert text == "row 3, column 'n': 'x' is no integer"


def test_the_header_is_the_first_row_with_a_value_and_trailing_gaps_are_no_cells() -> None:
    rows: list[list[Any]] = [
        [None],
        ["n", None, "n", 2026, None],
        [1, None, None, None, None],
        [],
        [2, 3, 4, 5],
        [],
    ]
    table = table_of(workbook(rows))
    assert table.columns == ("n", "column_2", "n_2", "2026")
    assert table.headers == ("n", "", "n", "2026")
    assert [*table.rows] == [[1, None, None, None], [None] * 4, [2, 3, 4, 5]]


def test_sheets_are_chosen_by_name_and_the_first_is_noted() -> None:
    content = workbook([["a"], [1]], [["b"], [2]])
    first = table_of(content)
    assert first.note == "has 2 sheets, 'A', 'B': 'A' is read"
    assert first.columns == ("a",)
    second = table_of(content, sheet="B")
    assert (second.columns, second.note, [*second.rows]) == (("b",), None, [[2]])
    assert wrong(content, sheet="C") == "there is no sheet 'C', but 'A', 'B'"


def test_a_size_that_a_sheet_claims_wrongly_cuts_nothing() -> None:
    content = with_sheet(
        [["a", "b"], [1, 2], [3, 4]], b'<dimension ref="A1:B3"', b'<dimension ref="A1"'
    )
    assert [*table_of(content).rows] == [[1, 2], [3, 4]]


def test_a_row_past_all_that_a_sheet_may_have_is_refused() -> None:
    content = with_sheet([["a"], [1]], b'<row r="2"', b'<row r="2000000000"')
    assert wrong(content) == "row 1048577: a sheet has no such row"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no XLSX workbook: File is not a zip file"),
        (b"a,b\n1,2\n", "is no XLSX workbook: File is not a zip file"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "is an old .xls, or protected by a pass"),
        (workbook([[]]), "sheet 'A' is empty: there is no header row"),
        (
            with_sheet([["a"], [7]], b"<v>7</v>", b"<v>1e400</v>"),
            "row 2: a number is beyond a double's range",
        ),
        (changed([["a"], [1]], strict), "has no sheet that can be read: save it as a plain .xlsx"),
        (workbook([["a"], [1, 2]]), "row 2: 2 cells, where the header has 1"),
    ],
)
def test_what_is_no_table_is_named(content: bytes, message: str) -> None:
    assert wrong(content).startswith(message)


WHOLE = workbook([["a", "b"], [1, "x"], [DAY, "y"]])  # its bytes are others at each time
places = st.floats(0, 1, exclude_max=True)


@given(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4), places)
def test_a_broken_workbook_is_read_or_refused(changes: list[tuple[float, int]], cut: float) -> None:
    content = bytearray(WHOLE)
    for place, byte in changes:
        content[int(place * len(content))] = byte
    if not changes:
        del content[int(cut * len(content)) :]
    with suppress(SourceError):
        list(table_of(bytes(content)).rows)


async def test_a_workbook_from_a_pipe_waits_on_disk(tmp_path: Path) -> None:
    content = workbook([["a"], *([number] for number in range(2_500))])
    file = tmp_path / "a.xlsx"
    file.write_bytes(content)

    class Pipe(io.FileIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

    for kind in (io.FileIO, Pipe):
        opened = partial(kind, file)
        async with RowStream("a.xlsx", opened, read_xlsx) as stream:
            assert stream.columns == ("a",)
            rows = [row async for chunk in stream.chunks() for row in chunk]
        assert rows == [[number] for number in range(2_500)]


def test_days_of_both_calendars_and_past_what_dates_hold() -> None:
    def old_calendar(book: Any) -> None:
        book.epoch = openpyxl.utils.datetime.MAC_EPOCH

    row: list[list[Any]] = [["day"], [DAY]]
    assert [*table_of(workbook(row, shape=old_calendar)).rows] == [["2026-11-21"]]
    far = write_xlsx(xlsx_request([{"key": "n", "type": "integer"}]), [[10**9]])
    assert [*table_of(far).rows] == [[10**9]]
