"""The layout of a document: page orientation, columns and row heights.

Decided by the first page; later only columns change. Invariant: it depends only on the options and
the rows.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from consumer.formats.pdf.columns import Columns, Need, columns, readable_type
from consumer.formats.pdf.layout import PageSheet, Rows, rows, sheet
from schemas.options import PdfOptions

_COMFORTABLE_TYPE = 8.0
"""A page that has room for type of this size need not be turned."""
_Orientation = Literal["portrait", "landscape"]


class ColumnPlan(NamedTuple):
    """The headers have ``header_lines`` lines at most."""

    sheet: PageSheet
    columns: Columns
    header_lines: int
    rows: Rows

    def grown(self, needs: Sequence[Need]) -> "ColumnPlan":
        """The same for columns that need more room; the type gets smaller for numbers alone."""
        size = self.columns.type_size
        page = self.sheet
        wider = columns(page.margin, page.text_width, needs, size, size)
        return self._replace(columns=wider)


def plan(
    options: PdfOptions,
    needs: Sequence[Need],
    footer_lines: Callable[[float, float], int],
    header_lines: Callable[[Columns], int],
) -> ColumnPlan:
    """Lay out the first page.

    ``footer_lines`` says how many the footer has in a width and a size; ``header_lines`` how many
    the headers need.
    """

    def planned(orientation: _Orientation) -> ColumnPlan:
        bare = sheet(options, orientation, 0)
        page = sheet(options, orientation, footer_lines(bare.text_width, bare.footer_size))
        readable = readable_type(wraps=page.wraps)
        lines = 1
        placed = columns(page.margin, page.text_width, needs, page.largest_type(lines), readable)
        # Once more: further lines of headers take height from the rows, and so from the type.
        if (lines := header_lines(placed)) > 1:
            largest = page.largest_type(lines)
            placed = columns(page.margin, page.text_width, needs, largest, readable)
        heights = rows(page, lines, placed.header_size, placed.type_size)
        return ColumnPlan(page, placed, lines, heights)

    if options.orientation != "auto":
        return planned(options.orientation)
    # Turned only where that shows more, or larger.
    upright = planned("portrait")
    if upright.columns.complete and upright.columns.type_size >= _COMFORTABLE_TYPE:
        return upright
    turned = planned("landscape")
    smaller = turned.columns.type_size <= upright.columns.type_size
    return upright if upright.columns.complete and smaller else turned
