"""What of a cell is shown: whole, wrapped, cut or not at all; and what is counted of that."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from consumer.formats.pdf import PdfWriter
from consumer.formats.pdf.text import MOST_WRAPPED_TEXT
from consumer.formats.pdf.whole import is_whole
from schemas.records import Cell
from schemas.vocabulary import ColumnType
from tests.support.cpu import cpu_time
from tests.support.pdf import boxes_of, new_writer, pages_of, pdf_request, reader_of, write_pdf

GUID = "123e4567-e89b-12d3-a456-426614174000"
LONG = "The quick brown fox jumps over the lazy dog, again and again. "


def made(
    columns: Sequence[str | dict[str, Any]], rows: Sequence[Sequence[Cell]], **options: Any
) -> tuple[PdfWriter, list[list[str]]]:
    """A finished writer, and the lines of its pages."""
    writer = new_writer(pdf_request(columns, **options))
    return writer, pages_of(writer.append(rows) + b"".join(writer.finish()))


def type_sizes(writer_pages: bytes) -> list[float]:
    return [float(size) for size in re.findall(rb"/B0 ([\d.]+) Tf", writer_pages)]


@pytest.mark.parametrize("column", ["amount", {"key": "amount", "type": "decimal", "width": 30}])
def test_a_longer_amount_on_a_later_page_is_whole(column: str | dict[str, Any]) -> None:
    rows: list[list[Cell]] = [["1.00", LONG * 9] for _ in range(50)]
    rows += [["1234567.89", LONG * 9] for _ in range(50)]
    writer, pages = made([column, "note"], rows)
    assert all(line.startswith("1234567.89 The") for line in pages[1][2:-1])
    assert writer.truncated_cells == 100  # the notes alone


@pytest.mark.parametrize("overflow", ["cut", "wrap"])
def test_a_number_that_has_room_keeps_it_when_text_needs_more(overflow: str) -> None:
    """It fitted by chance, so nothing was noted of it when the next column grew."""
    rows: list[list[Cell]] = [["x" * 20, 111, "text"] for _ in range(100)]
    rows += [["x" * 20, 1111, "text " * 30] for _ in range(100)]
    writer, pages = made(["a", "n", "t"], rows, overflow=overflow, records_per_page=20)
    shown = "\n".join(itertools.chain(*pages))
    assert "###" not in shown
    assert shown.count(" 1111 ") == 100
    assert overflow == "cut" or writer.truncated_cells == 0


@pytest.mark.parametrize(
    ("column_type", "cell"),
    [
        ("integer", 2**62),
        ("number", 1.2345678901234567e-300),
        ("decimal", "-12345678901234567890.123456"),
        ("date", "2026-11-21"),
        ("timestamp", "2026-11-21T10:00:00.123456789+02:00"),
        (None, -(2**60)),
        (None, "2026-11-21T10:00:00Z"),
        (None, "1,234,567.89 €"),
        (None, "1\u202f234\u202f567,50"),
        (None, "+49 170 1234567"),
    ],
)
def test_numbers_and_dates_are_whole_beside_much_text(column_type: str | None, cell: Cell) -> None:
    columns = [{"key": "a", **({"type": column_type} if column_type else {})}]
    texts = [{"key": f"t{number}"} for number in range(15)]
    _, pages = made([*columns, *texts], [[cell, *[LONG] * 15]] * 3, orientation="portrait")
    assert pages[0][2].startswith(str(cell))
    assert pages[0][2].endswith("…")


def test_where_numbers_have_no_room_at_four_points_the_widest_are_not_shown() -> None:
    columns = [{"key": f"c{number}", "type": "integer"} for number in range(40)]
    rows: list[list[Cell]] = [[*range(20), *[10**17 + 1] * 20]]
    writer = new_writer(pdf_request(columns, orientation="portrait"))
    content = writer.append(rows) + b"".join(writer.finish())
    assert writer.truncated_cells == 20
    cells = pages_of(content)[0][-2].split()
    assert cells == [*map(str, range(20)), *["###"] * 20]
    page = reader_of(content).pages[0].get_contents()
    assert page is not None
    assert min(type_sizes(page.get_data())) == 4


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        *(("-5", True), ("+1.5e3", False), ("1e300", True), ("12 %", True), ("$1,000.00", True)),
        *(("(1.234,50)", True), ("21.11.2026", True), ("10:30", True), ("EUR 5", True)),
        *(("€ 1,234.50", True), ("-€ 1.50", True), ("$-5", True), ("US$ 12.00", True)),
        *(("1\u202f234,50\u00a0zł", True), ("5 kg", True), ("AB-1234", False), ("12 pcs.", False)),
        *(("1,234.50 TRY", True), ("1.50TL", True), ("(1.50 ZAR)", True), ("EUR -1.50", True)),
        *(
            ("Rs. 1,23,456.00", True),
            ("-kr 5", True),
            ("kr -5", True),
            ("1\u00a0234 \u0440\u0443\u0431.", True),
        ),
        *(("2026-11-21T10:00:00Z", True), ("1 TRYS", False), ("kr5", False), ("lei x", False)),
        *((GUID, False), ("12 Monkeys", False), ("", False), ("-", False), ("3 x 4", False)),
        *(("9" * 400, True), ("9" * 400 + "x", False)),
    ],
)
def test_without_a_type_figures_alone_are_whole(text: str, whole: bool) -> None:
    assert is_whole(text, None) == whole
    assert is_whole(text, ColumnType.DECIMAL)
    assert not is_whole(text, ColumnType.STRING)


def test_two_guids_are_whole_beside_narrow_columns() -> None:
    letters = [f"f{number}" for number in range(6)]
    columns = ["id", *letters, "order", "amount", "city", "paid", "note"]
    row: list[Cell] = [GUID, *"abcdef", GUID, "12.50", "Istanbul", True, "gift"]
    writer, pages = made(columns, [row] * 50)
    assert pages[0][2].count(GUID) == 2
    assert writer.truncated_cells == 0


@pytest.mark.parametrize(
    ("columns", "text", "turned"),
    [(3, "short", False), (12, "twelve chars", True), (20, "x" * 30, True), (2, LONG * 9, False)],
)
def test_a_page_is_turned_if_its_columns_need_that(columns: int, text: str, turned: bool) -> None:
    writer = new_writer(pdf_request([f"c{number}" for number in range(columns)]))
    content = writer.append([[text] * columns] * 3) + b"".join(writer.finish())
    box = reader_of(content).pages[0].mediabox
    assert (box.width > box.height) == turned


@pytest.mark.parametrize(
    ("align", "left", "right"), [("left", 41, None), ("right", None, 136), ("center", 79, 98)]
)
def test_text_is_aligned_as_requested(
    align: str, left: float | None, right: float | None, tmp_path: Path
) -> None:
    column = {"key": "a", "header": "h", "width": 105, "align": align}
    path = tmp_path / "export.pdf"
    path.write_bytes(write_pdf(pdf_request([column], overflow="wrap"), [["text\ntext"], ["text"]]))
    boxes = [box for box in boxes_of(path) if box.word == "text"]
    assert len(boxes) == 3
    for box in boxes:
        assert left is None or box.left == pytest.approx(left, abs=1.5)
        assert right is None or box.right == pytest.approx(right, abs=1.5)


def test_numbers_are_on_the_right_by_type_or_by_the_first_page() -> None:
    columns: list[str | dict[str, Any]] = [
        {"key": "typed", "type": "integer"},
        "untyped",
        {"key": "text", "type": "string"},
    ]
    writer = new_writer(pdf_request(columns))
    writer.append([[None, "1.5", "1.5"]])
    b"".join(writer.finish())
    table = writer._table
    assert table
    assert [place.align for place in table._places] == ["right", "right", "left"]


@pytest.mark.parametrize(
    ("cells", "is_amount"),
    [
        (["€ 1,234.50", "€ -3.00", "-"], True),
        (["$12.00", "($1,200.00)", "-$5"], True),
        (["1 234,50 €", "1\u202f234\u202f567,00\u00a0€", "", "0,99 €"], True),
        (["TRY 1.234,50", "EUR -5", "US$ 5", "5 CHF", "12 zł", "15 %", "1'000"], True),
        (["2026-11-21", "2026-11-22"], False),
        (["+49 170 1234567"], False),
        (["10:30"], False),
        (["01234", "12345"], False),
        (["ORD-1000"], False),
        (["ORD 1000"], False),
        (["EUR1000"], False),
        (["10.0.0.1"], False),
        (["192.168.100.101", "10.100.255.254", "-"], False),
        (["192.168.100.101", "192.168.100.256"], True),
        (["1.234.567", "192.168.100.101"], True),
        (
            [
                "Rs. 1,23,456.00",
                "₹ 1,23,45,678",
                "1,234.50 ZAR",
                "kr. -5",
                "(5 \u0440\u0443\u0431.)",
            ],
            True,
        ),
        (["€ -1.50", "US$ -1.50", "EUR\u00a0-1.50", "(EUR 1.50)", "-US$ 1.50"], True),
        (["1.2.3"], False),
        (["12,34,56"], False),
        (["€ 1", "free"], False),
        (["-", ""], False),
    ],
)
def test_amounts_are_on_the_right(cells: list[str], *, is_amount: bool) -> None:
    writer = new_writer(pdf_request(["text", "n"]))
    writer.append([["a", cell] for cell in cells])
    b"".join(writer.finish())
    table = writer._table
    assert table
    assert [place.align for place in table._places] == ["left", "right" if is_amount else "left"]
    # What stands on the right as an amount is never cut.
    assert not is_amount or all(is_whole(cell, None) for cell in cells if cell.strip("-"))


def test_a_long_header_stands_on_several_lines() -> None:
    columns = [
        {"key": f"c{number}", "header": "Shipping address first line"} for number in range(9)
    ]
    _, pages = made(columns, [["x"] * 9])
    assert " ".join(pages[0]).count("Shipping") == 9
    assert "…" not in "".join(pages[0])


def test_truncated_cells_are_counted_once_whatever_is_wrapped_or_carried_over() -> None:
    endless = "word " * 4_000
    rows: list[list[Cell]] = [
        [number, endless if number % 7 == 0 else LONG] for number in range(90)
    ]
    for overflow, expected in (("wrap", 13), ("cut", 90)):
        writer, _ = made(
            [{"key": "n", "width": 40}, {"key": "t", "width": 150}], rows, overflow=overflow
        )
        assert writer.truncated_cells == expected


def test_replaced_characters_of_rows_that_are_carried_over_count_once() -> None:
    rows: list[list[Cell]] = [["漢" + LONG * (number % 9)] for number in range(250)]
    writer, pages = made([{"key": "t", "width": 150}], rows, overflow="wrap")
    assert len(pages) > 5
    assert writer.replaced_characters == 250


def test_wrapped_text_is_all_there_and_divided_at_spaces_and_line_breaks() -> None:
    text = "first line\r\nsecond\n\n" + LONG * 3 + GUID
    _, pages = made([{"key": "t", "width": 120}, "n"], [[text, 1]], overflow="wrap")
    lines = pages[0][2:-1]
    assert lines[:2] == ["first line", "second"]
    assert " ".join(lines[2:]).replace(" 1", "").strip().startswith(LONG.strip()[:40])
    joined = "".join("".join(lines).replace(" ", ""))
    assert GUID.replace("-", "") in joined.replace("-", "")


def test_a_wrapped_row_is_cut_at_a_third_of_a_page() -> None:
    writer, pages = made(["t"], [["word " * 2_000]] * 6, overflow="wrap", orientation="portrait")
    assert len(pages) == 2
    assert writer.truncated_cells == 6
    assert sum(line.endswith("…") for page in pages for line in page) == 6


def test_records_per_page_is_a_maximum_where_text_is_wrapped() -> None:
    rows: list[list[Cell]] = [["x"] for _ in range(45)]
    _, pages = made(["t"], rows, overflow="wrap", records_per_page=20)
    assert [len(page) - 3 for page in pages] == [20, 20, 5]


@pytest.mark.parametrize("cell", ["x" * 1_000_000, "x " * 500_000, "\n" * 1_000_000, "漢" * 10**6])
def test_a_huge_wrapped_cell_costs_no_more_than_what_is_seen(cell: str) -> None:
    assert len(cell) > 100 * MOST_WRAPPED_TEXT
    request = pdf_request(["t", "n"], overflow="wrap")
    with cpu_time() as took:
        writer = new_writer(request)
        for number in range(20):
            writer.append([[cell, number]])
        b"".join(writer.finish())
    assert took.seconds < 1


def test_a_footer_stands_on_each_page_and_the_date_is_in_its_zone() -> None:
    footer = "Confidential. " * 12 + "End."
    _, pages = made(["a"], [["x"]] * 60, footer=footer, timezone="Europe/Istanbul")
    for number, page in enumerate(pages, start=1):
        assert " ".join(page[-3:-1]) == footer
        assert page[-1] == f"Page {number} of 2 2026-11-21 13:30 UTC+03:00"


@pytest.mark.slow
@pytest.mark.parametrize("overflow", ["cut", "wrap"])
def test_columns_that_grow_with_every_page_cost_a_few_times_more_than_others(
    overflow: str,
) -> None:
    """The layout is made again for each page, of the most columns that there can be."""
    columns = [f"c{number}" for number in range(256)]
    rows: list[list[Cell]] = [["x" * (number + 1)] * 256 for number in range(60)]
    writer = new_writer(pdf_request(columns, records_per_page=1, overflow=overflow))
    with cpu_time() as took:
        writer.append(rows)
    assert took.seconds < 2  # 0.3 to 0.6
