"""How a page's height and width are shared out."""

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from consumer.formats.pdf import layout
from schemas.options import PdfOptions
from schemas.records import Cell
from tests.support.pdf import pdf_request, write_pdf

A4 = layout.sheet(PdfOptions())
UNITS = 200  # an em


def widths_of(columns: layout.Columns) -> list[float]:
    return [right - left for left, right in pairwise(columns.edges)]


@pytest.mark.parametrize("records_per_page", [1, 10, 50, 200, 1_000])
@pytest.mark.parametrize("orientation", ["portrait", "landscape"])
@pytest.mark.parametrize("page_size", ["A3", "A4", "A5", "letter", "legal"])
def test_all_records_of_a_page_are_between_its_headers_and_its_footer(
    page_size: str, orientation: str, records_per_page: int
) -> None:
    sheet = layout.sheet(
        PdfOptions.model_validate(
            {
                "page_size": page_size,
                "orientation": orientation,
                "records_per_page": records_per_page,
            }
        )
    )
    bottom = sheet.header_bottom - records_per_page * sheet.row_height
    assert bottom > sheet.footer_baseline + sheet.footer_size
    assert sheet.footer_baseline >= 25
    assert sheet.header_bottom < sheet.title_baseline < sheet.height - 25
    assert 0 < sheet.type_size < sheet.row_height <= 24


def test_small_columns_get_what_they_want_and_the_large_share_the_rest() -> None:
    assert layout.share([10, 300, 20, 400], 100) == [10, 35, 20, 35]


def test_what_nobody_wants_is_shared_equally() -> None:
    assert layout.share([10, 20, 30], 90) == [20, 30, 40]


def test_columns_without_a_width_follow_their_content_and_fill_the_page() -> None:
    columns = layout.columns(A4, [None] * 3, [3 * UNITS] * 3, [2 * UNITS, 8 * UNITS, 20 * UNITS])
    widths = widths_of(columns)
    assert widths == sorted(widths)
    assert sum(widths) == pytest.approx(A4.text_width, abs=0.1)
    assert columns.type_size == A4.type_size
    for index, ems in enumerate((3, 8, 20)):
        assert columns.room(index) > ems * columns.type_size


def test_requested_widths_hold_and_the_rest_is_shared() -> None:
    columns = layout.columns(A4, [60, None, 100.5, None], [UNITS] * 4, [9 * UNITS] * 4)
    first, second, third, fourth = widths_of(columns)
    assert (first, third) == pytest.approx((60, 100.5), abs=0.02)
    assert second == pytest.approx(fourth, abs=0.02)
    assert columns.edges[-1] == pytest.approx(A4.width - A4.margin, abs=0.1)


def test_requested_widths_narrower_than_the_page_are_not_stretched() -> None:
    assert widths_of(layout.columns(A4, [50, 70], [9, 9], [9, 9])) == pytest.approx([50, 70])


def test_requested_widths_wider_than_the_page_shrink_in_proportion() -> None:
    first, second = widths_of(layout.columns(A4, [1_000, 3_000], [9, 9], [9, 9]))
    assert second == pytest.approx(3 * first, abs=0.05)
    assert first + second == pytest.approx(A4.text_width, abs=0.05)


def test_requested_widths_leave_some_room_for_the_others() -> None:
    columns = layout.columns(A4, [14_400, None, 14_400], [UNITS] * 3, [9 * UNITS] * 3)
    assert widths_of(columns)[1] >= 24


def test_type_shrinks_before_text_is_cut_but_stays_readable() -> None:
    fitting = layout.columns(A4, [None] * 8, [UNITS] * 8, [8 * UNITS] * 8)
    assert 5.5 < fitting.type_size < A4.type_size
    assert all(fitting.room(index) >= 8 * fitting.type_size for index in range(8))
    wide = layout.columns(A4, [None] * 8, [UNITS] * 8, [80 * UNITS] * 8)
    assert wide.type_size == 5.5


@pytest.mark.parametrize("count", [1, 2, 30, 100, 256])
@pytest.mark.parametrize("records_per_page", [10, 1_000])
def test_every_column_has_room_for_some_letters(count: int, records_per_page: int) -> None:
    sheet = layout.sheet(PdfOptions(records_per_page=records_per_page))
    columns = layout.columns(sheet, [None] * count, [9 * UNITS] * count, [9 * UNITS] * count)
    assert columns.edges[0] == pytest.approx(sheet.margin, abs=0.01)
    assert columns.edges[-1] <= sheet.width - sheet.margin + 0.1
    assert min(columns.room(index) for index in range(count)) >= 2 * columns.type_size


def test_no_word_is_outside_its_column(tmp_path: Path) -> None:
    """Measured by poppler, from the glyphs' own widths and the matrices of the page."""
    pdftotext = shutil.which("pdftotext")
    if pdftotext is None:
        pytest.skip("pdftotext (poppler-utils) is not installed")
    requested = [40.0, 60.0, 30.0, 90.0, 50.0]
    texts = ["iiiiiiiiii" * 9, "WWWWWWWWWW", "123456789012", "ŞğıΩЖ€" * 9, "short"]
    rows: list[list[Cell]] = [[text[: 1 + row] for text in texts] for row in range(50)]
    path = tmp_path / "export.pdf"
    columns = [{"key": str(index), "width": width} for index, width in enumerate(requested)]
    path.write_bytes(write_pdf(pdf_request([*columns]), rows))
    found = subprocess.run([pdftotext, "-bbox", path, "-"], capture_output=True, check=True)
    boxes = re.findall(r'xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)"', found.stdout.decode())
    edges = [A4.margin + sum(requested[:index]) for index in range(6)]
    inside = [
        sum(left - 0.01 <= float(start) < float(end) <= right + 0.01 for start, _, end in boxes)
        for left, right in pairwise(edges)
    ]
    assert all(count >= 51 for count in inside)  # the header and every row, none in two columns
    assert sum(inside) >= len(boxes) - 4  # title and footer
