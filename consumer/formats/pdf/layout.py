"""Vertical page layout: the page's size, the frame, and the height of rows.

Pure arithmetic, all in points from the lower left corner. Invariant: with text that is cut, every
page has room for exactly ``records_per_page`` rows under headers of the same height.
"""

from dataclasses import dataclass
from typing import Literal

from reportlab.lib import pagesizes

from schemas.options import PdfOptions

_PAGE_SIZES = {
    "A3": pagesizes.A3,
    "A4": pagesizes.A4,
    "A5": pagesizes.A5,
    "letter": pagesizes.LETTER,
    "legal": pagesizes.LEGAL,
}
LINE_EMS = 1.25
"""From one line of a cell or header to the next."""
MOST_HEADER_LINES = MOST_FOOTER_LINES = 3
_LARGEST_TYPE = 11.0
_LARGEST_WRAPPED_TYPE = 9.0
_LEAST_ROW_EMS, _LARGEST_ROW_EMS = 1.36, 2.4
_WRAPPED_GAP_EMS = 0.5  # between the lines of a row and those of the next
_HEADER_GAP_EMS = 0.7
_MOST_OF_A_PAGE = 1 / 3  # for one row
_MOST_WRAPPED_ROWS = 250
"""More lines than these stand on no page in type that can be read."""


@dataclass(frozen=True, slots=True)
class PageSheet:
    """A page without its table, which stands between ``table_top`` and ``table_bottom``."""

    width: float
    height: float
    margin: float
    title_size: float
    title_baseline: float
    table_top: float
    table_bottom: float
    footer_size: float
    footer_baseline: float
    wraps: bool
    records_per_page: int

    @property
    def text_width(self) -> float:
        """Between the margins."""
        return self.width - 2 * self.margin

    def largest_type(self, header_lines: int) -> float:
        """The largest type with which a page holds its records; wrapped text takes more pages."""
        if self.wraps:
            return _LARGEST_WRAPPED_TYPE
        header = LINE_EMS * header_lines + _HEADER_GAP_EMS
        ems = _LEAST_ROW_EMS * self.records_per_page + header
        return min(_LARGEST_TYPE, (self.table_top - self.table_bottom) / ems)


def most_records(options: PdfOptions) -> int:
    """The rows that a page holds at most."""
    wraps = options.overflow == "wrap"
    return min(options.records_per_page, _MOST_WRAPPED_ROWS if wraps else options.records_per_page)


def sheet(
    options: PdfOptions, orientation: Literal["portrait", "landscape"], footer_lines: int
) -> PageSheet:
    """Share out the height of a page; ``footer_lines`` are those of the footer's text."""
    width, height = sorted(round(side, 2) for side in _PAGE_SIZES[options.page_size])
    if orientation == "landscape":
        width, height = height, width
    # By the width of A4, within bounds: type on a small page must be read as well.
    scale = min(max(min(width, height) / 595, 0.75), 1.3)
    margin = 36 * scale
    title_size, footer_size = 14 * scale, 7 * scale
    title_baseline = height - margin - 0.8 * title_size
    return PageSheet(
        width=width,
        height=height,
        margin=margin,
        title_size=title_size,
        title_baseline=title_baseline,
        table_top=title_baseline - 0.9 * title_size,
        table_bottom=margin + (1.6 + LINE_EMS * footer_lines) * footer_size,
        footer_size=footer_size,
        footer_baseline=margin,
        wraps=options.overflow == "wrap",
        records_per_page=most_records(options),
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """The heights of a page's parts: rows stand between ``top`` and ``bottom``.

    A row of one line is ``height`` high, each further line of it adds ``line``; it has at most
    ``most_lines``.
    """

    top: float
    bottom: float
    height: float
    line: float
    most_lines: int

    @property
    def room(self) -> float:
        """For all rows of a page."""
        return self.top - self.bottom


def rows(page: PageSheet, header_lines: int, header_size: float, type_size: float) -> Rows:
    """Share out the height of a table whose type is set."""
    top = page.table_top - (LINE_EMS * header_lines + _HEADER_GAP_EMS) * header_size
    room = top - page.table_bottom
    if page.wraps:
        line = _rounded(LINE_EMS * type_size)
        height = _rounded((LINE_EMS + _WRAPPED_GAP_EMS) * type_size)
        most = int((room * _MOST_OF_A_PAGE - height) / line) + 1
        return Rows(top, page.table_bottom, height, line, max(1, most))
    height = _rounded(min(room / page.records_per_page, _LARGEST_ROW_EMS * type_size))
    return Rows(top, page.table_bottom, height, 0.0, 1)


def _rounded(height: float) -> float:
    """As the content stream rounds it, but never up."""
    return int(height * 1000) / 1000
