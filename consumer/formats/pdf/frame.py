"""Everything above and below the table: title, footer, date and page number.

The number of pages is known only at the end, so every page shows a form object written then.
Invariant: the frame has the same height on each page, so that each has the same room.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from consumer.formats.pdf.drawing import INK, QUIET, draw_line, draw_text, points, units
from consumer.formats.pdf.fonts import UNITS_PER_EM
from consumer.formats.pdf.layout import LINE_EMS, MOST_FOOTER_LINES, PageSheet
from consumer.formats.pdf.text import Copy, Typesetter

TOTAL = "N"
"""The name of the form object that shows the number of pages."""


class FrameParts(NamedTuple):
    """What stands above the table of each page but the first; below it, around the page's number.

    After the number comes its end in points: it begins at ``margin`` in type of ``size``.
    """

    top: bytes
    before_number: bytes
    after_number: bytes
    after_end: bytes
    margin: float
    size: float


class Frame:
    """The title is large on the first page and small on the others."""

    def __init__(
        self,
        sheet: PageSheet,
        title: Copy,
        footer: Copy,
        date: datetime | None,
        body: Typesetter,
        heading: Typesetter,
    ) -> None:
        """``date`` is shown in its own zone; None shows none. ``footer`` may be empty."""
        self._sheet = sheet
        self._body = body
        large, small = sheet.title_size, sheet.footer_size
        self._first_top = self._line(INK, heading, title, large)
        self._top = self._line(QUIET, heading, title, small)
        note = draw_text(
            body,
            body.prepare([_shown(date) if date else ""]),
            left=sheet.margin,
            baseline=sheet.footer_baseline,
            size=small,
            room=units(sheet.text_width, small),
            align="right",
        )
        self._size = points(small)
        # Of all that stands there only the page's number differs, so only that is set for each.
        x, y = points(sheet.margin), points(sheet.footer_baseline)
        begin = b"BT /%b %b Tf %b %b Td (" % (body.base_font, self._size, x, y)
        self._before_number = b"\n".join((QUIET, *self._footer(footer), begin))
        self._after_number = b")Tj ET\nq 1 0 0 1 "
        self._after_end = b" %b cm /%b Do Q\n%b" % (y, TOTAL.encode(), note)

    def top(self, page: int) -> bytes:
        """Above the table of a page; pages count from 1."""
        return self._first_top if page == 1 else self._top

    def bottom(self, page: int) -> bytes:
        """Below the table of a page."""
        number = self._body.prepare([f"Page {page} of "])
        (line,), (width,) = self._body.lines(number, self._size), self._body.measure(number)
        end = self._sheet.margin + width * self._sheet.footer_size / UNITS_PER_EM
        return b"".join(
            (self._before_number, line, self._after_number, points(end), self._after_end)
        )

    def parts(self) -> FrameParts:
        """What ``top`` and ``bottom`` make pages of."""
        sheet = self._sheet
        ends = (self._before_number, self._after_number, self._after_end)
        return FrameParts(self._top, *ends, sheet.margin, sheet.footer_size)

    def total(self, pages: int) -> bytes:
        """The content of the form object."""
        size = self._sheet.footer_size
        room = units(self._sheet.text_width, size)
        number = self._body.prepare([str(pages)])
        drawn = draw_text(self._body, number, left=0, baseline=0, size=size, room=room)
        return b"%b\n%b" % (QUIET, drawn)

    def _line(self, shade: bytes, typesetter: Typesetter, text: Copy, size: float) -> bytes:
        drawn = draw_text(
            typesetter,
            text,
            left=self._sheet.margin,
            baseline=self._sheet.title_baseline,
            size=size,
            room=units(self._sheet.text_width, size),
        )
        return b"%b\n%b" % (shade, drawn)

    def _footer(self, footer: Copy) -> list[bytes]:
        """Above the line with the page's number."""
        size = self._sheet.footer_size
        lines = footer_lines(self._body, footer, self._sheet.text_width, size)
        lowest = self._sheet.footer_baseline + (LINE_EMS + 0.1) * size
        return [
            draw_line(self._body, line, self._sheet.margin, lowest + place * LINE_EMS * size, size)
            for place, line in reversed([*enumerate(reversed(lines))])
        ]


def footer_lines(body: Typesetter, footer: Copy, width: float, size: float) -> list[bytes]:
    """A footer's text as lines; none if it is empty."""
    if not footer.texts[0]:
        return []
    lines = body.lines(footer, points(size))
    room = units(width, size)
    return body.wrapped(footer, lines, 0, room, MOST_FOOTER_LINES, points(size)).lines


def _shown(date: datetime) -> str:
    """To the minute, with the distance to UTC."""
    # To the minute too: before time zones, towns had their own, such as 1:56:56.
    minutes = round((date.utcoffset() or timedelta()) / timedelta(minutes=1))
    hours, minutes_left = divmod(abs(minutes), 60)
    zone = f"UTC{'-' if minutes < 0 else '+'}{hours:02}:{minutes_left:02}" if minutes else "UTC"
    return f"{date.isoformat(' ', 'minutes')[:16]} {zone}"
