"""What stands above and below the table: title, date and page number.

Invariant: it takes the same height on each page, so that each has room for as many rows.
"""

from datetime import datetime

from consumer.formats.pdf.drawing import INK, QUIET, draw_text
from consumer.formats.pdf.fonts import UNITS_PER_EM
from consumer.formats.pdf.layout import Sheet
from consumer.formats.pdf.text import Typesetter


class Frame:
    """The title is large on the first page and small on the others."""

    def __init__(
        self, sheet: Sheet, title: str, date: datetime | None, body: Typesetter, heading: Typesetter
    ) -> None:
        """``date`` is in UTC; None shows none."""
        self._sheet = sheet
        self._body = body
        large, small = sheet.title_size, sheet.footer_size
        (shown,) = heading.prepare([title]).texts  # once, so that its missing glyphs count once
        self._first_top = self._line(INK, heading, shown, large, sheet.title_baseline)
        self._top = self._line(QUIET, heading, shown, small, sheet.title_baseline)
        note = f"{date.isoformat(' ', 'minutes')[:16]} UTC" if date else ""
        self._note = self._line(QUIET, body, note, small, sheet.footer_baseline)

    def top(self, page: int) -> bytes:
        """Above the table of a page; pages count from 1."""
        return self._first_top if page == 1 else self._top

    def bottom(self, page: int) -> bytes:
        """Below the table of a page. How many pages there will be is not known yet."""
        number = draw_text(
            self._body,
            f"Page {page}",
            left=self._sheet.margin,
            baseline=self._sheet.footer_baseline,
            size=self._sheet.footer_size,
            room=self._room(self._sheet.footer_size),
            right_aligned=True,
        )
        return b"%b\n%b" % (self._note, number)

    def _line(
        self, shade: bytes, typesetter: Typesetter, text: str, size: float, baseline: float
    ) -> bytes:
        drawn = draw_text(
            typesetter,
            text,
            left=self._sheet.margin,
            baseline=baseline,
            size=size,
            room=self._room(size),
        )
        return b"%b\n%b" % (shade, drawn)

    def _room(self, size: float) -> int:
        return int(self._sheet.text_width / size * UNITS_PER_EM)
