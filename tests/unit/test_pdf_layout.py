"""How a page's height is shared out, and that no word leaves its column."""

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

from consumer.formats.pdf import layout
from consumer.formats.pdf.layout import PageSheet
from schemas.options import PdfOptions
from schemas.records import Cell
from tests.support.pdf import boxes_of, pdf_request, write_pdf

SIZES = ["A3", "A4", "A5", "letter", "legal"]
Orientation = Literal["portrait", "landscape"]


def sheet_of(orientation: Orientation = "portrait", footer: int = 0, **options: Any) -> PageSheet:
    return layout.sheet(PdfOptions.model_validate(options), orientation, footer)


A4 = sheet_of()


@pytest.mark.parametrize("header_lines", [1, 3])
@pytest.mark.parametrize("records_per_page", [1, 10, 50, 200, 1_000])
@pytest.mark.parametrize("orientation", ["portrait", "landscape"])
@pytest.mark.parametrize("page_size", SIZES)
def test_all_records_of_a_page_are_between_its_headers_and_its_footer(
    page_size: str, orientation: Orientation, records_per_page: int, header_lines: int
) -> None:
    sheet = sheet_of(orientation, 3, page_size=page_size, records_per_page=records_per_page)
    size = sheet.largest_type(header_lines)
    rows = layout.rows(sheet, header_lines, size, size)
    assert rows.top - records_per_page * rows.height >= rows.bottom - 0.01
    assert rows.bottom > sheet.footer_baseline + (1 + 3 * 1.25) * sheet.footer_size
    assert sheet.footer_baseline >= 25
    assert rows.top < sheet.table_top < sheet.title_baseline < sheet.height - 25
    assert 0 < 1.3 * size < rows.height


def test_few_records_of_a_page_take_most_of_it() -> None:
    """25 rows left a third of the sheet empty."""
    sheet = sheet_of(records_per_page=25)
    size = sheet.largest_type(1)
    rows = layout.rows(sheet, 1, size, size)
    assert 25 * rows.height > 0.85 * rows.room


def test_rows_are_not_spread_thin_where_the_type_is_small() -> None:
    assert layout.rows(sheet_of(records_per_page=25), 1, 5, 5).height <= 12


@pytest.mark.parametrize("orientation", ["portrait", "landscape"])
@pytest.mark.parametrize("page_size", SIZES)
def test_a_wrapped_row_takes_a_third_of_a_page_at_most(
    page_size: str, orientation: Orientation
) -> None:
    sheet = sheet_of(orientation, 3, page_size=page_size, overflow="wrap")
    rows = layout.rows(sheet, 1, 7, 7)
    highest = rows.height + (rows.most_lines - 1) * rows.line
    assert rows.room / 3 - rows.line < highest <= rows.room / 3


def test_no_word_is_outside_its_column(tmp_path: Path) -> None:
    requested = [40.0, 60.0, 30.0, 90.0, 50.0]
    texts = ["iiiiiiiiii" * 9, "WWWWWWWWWW", "abcde letters", "ŞğıΩЖ€" * 9, "short"]
    rows: list[list[Cell]] = [[text[: 1 + row] for text in texts] for row in range(50)]
    path = tmp_path / "export.pdf"
    columns = [{"key": str(index), "width": width} for index, width in enumerate(requested)]
    path.write_bytes(write_pdf(pdf_request([*columns]), rows))
    boxes = boxes_of(path)
    edges = [A4.margin + sum(requested[:index]) for index in range(6)]
    inside = [
        sum(left - 0.01 <= box.left < box.right <= right + 0.01 for box in boxes)
        for left, right in pairwise(edges)
    ]
    assert all(count >= 51 for count in inside)  # the header and every row, none in two columns
    assert sum(inside) >= len(boxes) - 8  # title and footer
