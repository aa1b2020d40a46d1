"""What is in an XLSX export, as other libraries read it."""

import tracemalloc
from datetime import date, datetime
from typing import Any

import pytest

from consumer.errors import ExportFailure
from consumer.formats.xlsx import writer as writer_module
from schemas.records import Cell
from schemas.vocabulary import FailReason
from tests.support.xlsx import (
    MAIN,
    REQUESTED_AT,
    by_calamine,
    by_openpyxl,
    new_writer,
    part,
    workbook_of,
    write_xlsx,
    xlsx_request,
)

at = datetime.fromisoformat


def cell_of(value: Cell, column_type: str | None = None) -> Any:
    """The only cell of a file without a header, as openpyxl has it."""
    request = xlsx_request([{"key": "a", "type": column_type}], header=False)
    return workbook_of(write_xlsx(request, [[value]])).active["A1"]


def test_the_header_is_bold_frozen_and_filtered() -> None:
    request = xlsx_request([{"key": "id", "header": "Order no."}, "note"])
    content = write_xlsx(request, [[1, "x"], [2, None]])
    sheet = workbook_of(content).active
    assert [(cell.value, cell.font.bold) for cell in sheet[1]] == [
        ("Order no.", True),
        ("note", True),
    ]
    assert [cell.font.bold for cell in sheet[2]] == [False, False]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:B3"
    names = part(content, "xl/workbook.xml").find(f"{MAIN}definedNames")
    assert [name.text for name in names] == ["'Export'!$A$1:$B$3"]


def test_without_a_header_nothing_is_frozen_or_filtered() -> None:
    content = write_xlsx(xlsx_request(header=False), [[1, "x"]])
    sheet = workbook_of(content).active
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == (None, None)
    assert by_openpyxl(content) == {"Export": [(1, "x")]}
    assert part(content, "xl/workbook.xml").find(f"{MAIN}definedNames") is None


@pytest.mark.parametrize("header", [True, False])
def test_no_rows_are_a_sheet_too(header: bool) -> None:
    content = write_xlsx(xlsx_request(header=header), [])
    assert by_openpyxl(content) == {"Export": [("a", "b")] if header else []}


@pytest.mark.parametrize("rows", [8, 9, 10, 18, 19, 35])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("at_a_time", [1, 4, 100])
def test_what_a_sheet_has_no_room_for_goes_into_further_ones(
    monkeypatch: pytest.MonkeyPatch, rows: int, header: bool, at_a_time: int
) -> None:
    monkeypatch.setattr(writer_module, "MOST_SHEET_ROWS", 10)
    monkeypatch.setattr("consumer.formats.xlsx.widths._MOST_ROWS", 3)
    writer = new_writer(xlsx_request(["n"], header=header, sheet="Orders"))
    cells = [[number] for number in range(rows)]
    made = [writer.append(cells[at : at + at_a_time]) for at in range(0, rows, at_a_time)]
    content = b"".join([*made, *writer.finish()])
    room = 10 - header
    expected = {
        "Orders" if start == 0 else f"Orders ({start // room + 1})": [("n",)] * header
        + [(number,) for number in range(start, min(start + room, rows))]
        for start in range(0, rows, room)
    }
    assert by_openpyxl(content) == expected
    assert {name: len(read) for name, read in by_calamine(content).items()} == {
        name: len(sheet) for name, sheet in expected.items()
    }
    filters = [sheet.auto_filter.ref for sheet in workbook_of(content)]
    last = [f"A1:A{len(sheet)}" if header else None for sheet in expected.values()]
    assert filters == last


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (0, 0),
        (-7, -7),
        (0.1, 0.1),
        (1e-300, 1e-300),
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (2**60, 2**60),
        (2**1000, 2.0**1000),
        (2**53 + 1, "9007199254740993"),
        (-(2**53) - 1, "-9007199254740993"),
        (10**23, "100000000000000000000000"),
        (10**400, "1" + "0" * 400),
        (True, True),
        (False, False),
        (None, None),
        ("00123", "00123"),
        ("1e5", "1e5"),
        ("TRUE", "TRUE"),
        ([1, {"a": None}], '[1,{"a":null}]'),
        ({"b": "é"}, '{"b":"é"}'),
    ],
    ids=repr,
)
def test_a_cell_is_the_json_value_that_it_is(value: Cell, read: object) -> None:
    found = cell_of(value).value
    assert found == read
    assert isinstance(found, str) == isinstance(read, str)
    assert isinstance(found, bool) == isinstance(read, bool)


@pytest.mark.parametrize(
    ("value", "number_format"),
    [
        (99_999_999_999, "General"),
        (100_000_000_000, "0"),
        (-1_732_190_400_000, "0"),
        (10**15, "General"),
        (1e12, "General"),
    ],
)
def test_a_long_integer_shows_all_its_digits(value: float, number_format: str) -> None:
    assert cell_of(value).number_format == number_format


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "=", "-"])
def test_text_that_looks_like_a_formula_stays_text_when_it_is_edited(text: str) -> None:
    cell = cell_of(text)
    assert (cell.data_type, cell.value, cell.quotePrefix) == ("s", text, True)
    request = xlsx_request([{"key": "a", "header": text}])
    header = workbook_of(write_xlsx(request, [])).active["A1"]
    assert (header.value, header.quotePrefix, header.font.bold) == (text, True, True)
    assert not cell_of("a" + text).quotePrefix


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-11-21", at("2026-11-21")),
        ("1900-03-01", at("1900-03-01")),
        ("9999-12-31", at("9999-12-31")),
        ("1900-02-28", "1900-02-28"),
        ("0001-01-01", "0001-01-01"),
    ],
)
def test_a_date_is_one(text: str, read: object) -> None:
    cell = cell_of(text, "date")
    assert cell.value == read
    assert cell.number_format == ("yyyy-mm-dd" if isinstance(read, datetime) else "General")
    assert cell_of(text).value == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-11-21T10:00:00Z", at("2026-11-21T10:00:00")),
        ("2026-11-21 10:00:00", at("2026-11-21T10:00:00")),
        ("2026-11-21T23:59:59+02:00", at("2026-11-21T21:59:59")),
        ("2026-11-21T00:00:00-05:30", at("2026-11-21T05:30:00")),
        ("1900-03-01T00:00:00Z", at("1900-03-01")),
        ("1900-03-01T00:00:00+00:01", "1900-03-01T00:00:00+00:01"),
        ("9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59-00:01"),
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00+23:59"),
        # .NET's and Python's last moments, for "no end".
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999Z"),
        ("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999"),
    ],
)
def test_a_timestamp_is_one_in_utc(text: str, read: object) -> None:
    cell = cell_of(text, "timestamp")
    assert cell.value == read
    expected = "yyyy-mm-dd hh:mm:ss" if isinstance(read, datetime) else "General"
    assert cell.number_format == expected


def test_fractions_of_a_second_are_kept_and_shown() -> None:
    cell = cell_of("2026-11-21T10:00:00.123456789Z", "timestamp")
    assert cell.value == at("2026-11-21T10:00:00.123000")  # openpyxl rounds to ms
    assert cell.number_format == "yyyy-mm-dd hh:mm:ss.000"
    last = cell_of("9999-12-31T23:59:59.999", "timestamp")
    assert last.value == at("9999-12-31T23:59:59.999")


@pytest.mark.parametrize(
    ("value", "read", "number_format"),
    [
        ("12.50", 12.5, "0.00"),
        ("-1234567.8", -1234567.8, "0.0"),
        ("+3", 3, "General"),
        ("007", 7, "General"),
        (".5", 0.5, "0.0"),
        ("5.", 5, "General"),
        ("1e3", 1000, "General"),
        ("1.5E-7", 1.5e-7, "General"),
        ("123456789012", 123456789012, "0"),
        ("0.000000000000001", 1e-15, "0." + "0" * 15),
        ("0.0000000000000001", 1e-16, "General"),
        ("123456789.123456", 123456789.123456, "0.000000"),
        ("12345678901234567890.12", "12345678901234567890.12", "General"),
        ("0.1234567890123456789", "0.1234567890123456789", "General"),
        ("9007199254740993", "9007199254740993", "General"),
        ("1e999", "1e999", "General"),
        ("1e-999", "1e-999", "General"),
        ("1e-99999999999999999999", "1e-99999999999999999999", "General"),
        ("1" * 400, "1" * 400, "General"),
        ("1" * 401, "1" * 401, "General"),
        (12.5, 12.5, "General"),
        (7, 7, "General"),
        (None, None, "General"),
    ],
)
def test_a_decimal_is_a_number_while_a_double_keeps_it(
    value: Cell, read: object, number_format: str
) -> None:
    cell = cell_of(value, "decimal")
    assert (cell.value, cell.number_format) == (read, number_format)
    assert isinstance(cell.value, str) == isinstance(read, str)


def test_calamine_agrees_about_types() -> None:
    columns = [
        {"key": key, "type": key} for key in ("date", "timestamp", "decimal", "boolean", "integer")
    ]
    row = ["2026-11-21", "2026-11-21T10:00:00Z", "12.50", True, 7]
    assert by_calamine(write_xlsx(xlsx_request(columns), [[None] * 5, row])) == {
        "Export": [
            ["date", "timestamp", "decimal", "boolean", "integer"],
            [""] * 5,
            [date(2026, 11, 21), at("2026-11-21T10:00:00"), 12.5, True, 7.0],
        ]
    }


@pytest.mark.parametrize(
    ("cell", "characters"),
    [
        ("x" * 32_767, None),
        ("x" * 32_768, "32,768"),
        ("\N{ROCKET}" * 16_383, None),
        ("\N{ROCKET}" * 16_384, "32,768"),
        ([0] * 20_000, "40,001"),
        ({"k": "x" * 32_760}, "32,768"),
    ],
    ids=["most", "one more", "most in UTF-16", "one more in UTF-16", "an array", "an object"],
)
def test_a_cell_that_is_too_long_fails_the_export(cell: Cell, characters: str | None) -> None:
    rows = [["a", number] for number in range(1_500)]
    rows[1_207] = [cell, 1]
    rows[1_208] = ["x" * 50_000, 1]
    writer = new_writer(xlsx_request(["the note", "b"]))
    writer.append(rows[:1_000])
    if characters is None:
        writer.append(rows[1_000:1_208])
        return
    with pytest.raises(ExportFailure) as failure:
        writer.append(rows[1_000:])
    assert failure.value.reason is FailReason.TOO_LARGE
    assert str(failure.value) == (
        f"row 1207 of the export, column 'the note': has {characters} characters, a cell of XLSX"
        " at most 32,767"
    )


def test_of_several_long_cells_the_first_in_the_order_of_rows_is_named() -> None:
    rows: list[list[Cell]] = [["a", "b"] for _ in range(20)]
    rows[7], rows[11] = ["a", "x" * 40_000], ["x" * 50_000, "b"]
    for cuts in (1, 3, 20):
        writer = new_writer(xlsx_request())
        for start in range(0, 7 // cuts * cuts, cuts):
            writer.append(rows[start : start + cuts])
        with pytest.raises(ExportFailure, match="row 7 of the export, column 'b': has 40,000"):
            writer.append(rows[7 // cuts * cuts :][:cuts])


def test_columns_are_as_wide_as_header_and_first_rows_need() -> None:
    columns: list[str | dict[str, Any]] = [
        *("id", "name", "long", "a header of thirty characters "),
        {"key": "day", "type": "date"},
        {"key": "time", "type": "timestamp"},
    ]
    row = [1, "x" * 20, "y" * 500, None, "2026-11-21", "2026-11-21T10:00:00.123456789+02:00"]
    rows = [row] * 100 + [["z" * 60, "z" * 60, *row[2:]]] * 100
    for cuts in (1, 30, 200):
        writer = new_writer(xlsx_request(columns))
        made = [writer.append(rows[start : start + cuts]) for start in range(0, 200, cuts)]
        sheet = workbook_of(b"".join([*made, *writer.finish()])).active
        widths = [sheet.column_dimensions[letter].width for letter in "ABCDEF"]
        assert widths == [10, 22, 62, 35, 12, 25]


def test_han_characters_are_as_wide_as_two() -> None:
    sheet = workbook_of(write_xlsx(xlsx_request(["a"]), [["漢" * 10]])).active
    assert sheet.column_dimensions["A"].width == 22


def test_rows_that_wait_for_widths_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = new_writer(xlsx_request(["a"]))
    assert writer.append([["x" * 30_000]]) == b""
    assert writer.append([["x" * 30_000]]) == b""
    assert writer.append([["x" * 30_000]]) != b""  # 64 Ki characters are enough


def test_the_document_has_the_title_and_the_date_of_its_request() -> None:
    content = write_xlsx(xlsx_request(title="A < B & \x01C"), [])
    properties = workbook_of(content).properties
    assert properties.title == "A < B &  C"
    assert properties.created == REQUESTED_AT.replace(tzinfo=None)
    untitled = writer_module.XlsxWriter(xlsx_request(), dated_at=None)
    undated = workbook_of(b"".join(untitled.finish())).properties
    assert undated.title == "ord-2026-11"
    assert part(write_xlsx(xlsx_request(), []), "docProps/core.xml") is not None


def test_a_date_in_another_zone_is_that_in_utc() -> None:
    writer = writer_module.XlsxWriter(
        xlsx_request(), dated_at=datetime.fromisoformat("2026-11-21T12:00:00+02:00")
    )
    created = workbook_of(b"".join(writer.finish())).properties.created
    assert created == at("2026-11-21T10:00:00")


@pytest.mark.slow
def test_a_row_of_megabytes_is_encoded_a_cell_at_a_time() -> None:
    """Each of its characters takes seven."""
    row = ["\b" * 32_000] * 40
    writer = new_writer(xlsx_request([f"c{number}" for number in range(40)]))
    tracemalloc.start()
    try:
        writer.append([row])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * 1024 * 1024
