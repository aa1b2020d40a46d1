"""Where things stand on a page: sizes, baselines and columns, decided once for a document.

Pure arithmetic, all in points from the lower left corner. Invariant: every page has room for
exactly ``records_per_page`` rows under the same headers, and no column leaves the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from reportlab.lib import pagesizes

from consumer.formats.pdf.fonts import UNITS_PER_EM
from schemas.options import PdfOptions

_PAGE_SIZES = {
    "A3": pagesizes.A3,
    "A4": pagesizes.A4,
    "A5": pagesizes.A5,
    "letter": pagesizes.LETTER,
    "legal": pagesizes.LEGAL,
}
_LARGEST_TYPE = 9.0
_LARGEST_ROW = 18.0
_SMALLEST_HEADER = 6.0
_READABLE_TYPE = 5.5
"""Wide tables shrink the type down to this before text is cut; further only to keep a few letters
in each of very many columns, as a reader can enlarge a page but not see what isn't there."""
_PADDING_EMS = 0.55
_SLACK_EMS = 0.1  # for what rounding takes away
_LEAST_COLUMN_EMS = 3.0
_LONGEST_UNCUT_EMS = 24.0  # longer texts are no reason to shrink the type of all
_FEW_LETTERS_EMS = 4.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page without its columns. Row 0 is the topmost; each has the same height."""

    width: float
    height: float
    margin: float
    title_size: float
    title_baseline: float
    header_bottom: float
    row_height: float
    type_size: float
    footer_size: float
    footer_baseline: float

    @property
    def text_width(self) -> float:
        """Between the margins."""
        return self.width - 2 * self.margin


def sheet(options: PdfOptions) -> Sheet:
    """Share out the height of a page."""
    width, height = sorted(round(side, 2) for side in _PAGE_SIZES[options.page_size])
    if options.orientation == "landscape":
        width, height = height, width
    scale = min(max(min(width, height) / 595, 0.75), 1.3)
    margin = 36 * scale
    title_size, footer_size = 14 * scale, 7 * scale
    title_baseline = height - margin - 0.8 * title_size
    header_bottom = title_baseline - 1.0 * title_size - 16 * scale
    rows_bottom = margin + 1.6 * footer_size
    row_height = min((header_bottom - rows_bottom) / options.records_per_page, _LARGEST_ROW * scale)
    return Sheet(
        width=width,
        height=height,
        margin=margin,
        title_size=title_size,
        title_baseline=title_baseline,
        header_bottom=header_bottom,
        row_height=int(row_height * 1000) / 1000,  # as the content stream rounds it
        type_size=min(_LARGEST_TYPE, 0.68 * row_height),
        footer_size=footer_size,
        footer_baseline=margin,
    )


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table: ``edges`` has one more, ``padding`` stands at both sides of each."""

    edges: tuple[float, ...]
    padding: float
    type_size: float
    header_size: float

    def room(self, index: int) -> float:
        """The width for text."""
        return max(0.0, self.edges[index + 1] - self.edges[index] - 2 * self.padding)


def columns(
    page: Sheet,
    requested: Sequence[float | None],
    header_widths: Sequence[int],
    cell_widths: Sequence[int],
) -> Columns:
    """Share out the width of a page.

    Requested widths, in points and with the padding, hold as far as the page is wide enough; the
    rest is for the other columns, by what they want. ``header_widths`` and ``cell_widths`` are
    each column's widest text, in units.
    """
    free = [index for index, width in enumerate(requested) if width is None]
    taken, left = _grant(page.text_width, [width for width in requested if width], len(free))
    header_size = max(page.type_size, min(_SMALLEST_HEADER, page.footer_size))
    wants = [
        max(
            cell_widths[index] / UNITS_PER_EM * page.type_size,
            header_widths[index] / UNITS_PER_EM * header_size,
        )
        + (2 * _PADDING_EMS + _SLACK_EMS) * header_size
        for index in free
    ]
    shrink = _shrink(wants, left, header_size) if free else 1.0
    header_size *= shrink
    least = _LEAST_COLUMN_EMS * header_size
    widths = iter(taken)
    free_widths = iter(share([max(want * shrink, least) for want in wants], left))
    ordered = [next(free_widths if width is None else widths) for width in requested]
    return Columns(
        edges=tuple(round(edge, 2) for edge in accumulate(ordered, initial=page.margin)),
        padding=_PADDING_EMS * header_size,
        type_size=min(page.type_size, header_size),
        header_size=header_size,
    )


def _grant(total: float, requested: Sequence[float], others: int) -> tuple[list[float], float]:
    """Scale the requested widths down so that others have some room; also what is left for them."""
    reserved = others * min(24.0, total / (len(requested) + others))
    scale = min(1.0, (total - reserved) / sum(requested)) if requested else 1.0
    granted = [width * scale for width in requested]
    return granted, total - sum(granted)


def _shrink(wants: Sequence[float], total: float, type_size: float) -> float:
    """The factor by which type and columns get smaller before text is cut."""
    longest = _LONGEST_UNCUT_EMS * type_size
    needed = total / sum(min(want, longest) for want in wants)
    smallest = min(_READABLE_TYPE, total / len(wants) / _FEW_LETTERS_EMS) / type_size
    return min(1.0, max(needed, smallest))


def share(wants: Sequence[float], total: float) -> list[float]:
    """Give each what it wants and an equal part of the rest; or cut the largest to one level."""
    rest = total - sum(wants)
    if rest >= 0:
        return [want + rest / len(wants) for want in wants]
    level, left = total, total
    for granted, want in enumerate(sorted(wants)):
        level = left / (len(wants) - granted)
        if want >= level:
            break
        left -= want
    return [min(want, level) for want in wants]
