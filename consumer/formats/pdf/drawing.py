"""Operators of a content stream that more than one part of a page needs (ISO 32000-1, 8 and 9)."""

from typing import Literal

from consumer.formats.pdf.fonts import UNITS_PER_EM
from consumer.formats.pdf.text import Copy, Typesetter

INK, QUIET, BAND = b"0.13 g", b"0.42 g", b"0.945 g"
"""Shades of grey: of text, of what stands around the table, and behind every second row."""
Align = Literal["left", "right", "center"]


def points(value: float) -> bytes:
    """A number as a PDF has it: at most three decimals, no exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".").encode()


def units(width: float, size: float) -> int:
    """Points as units of a type size."""
    return int(width / size * UNITS_PER_EM)


def beginning(align: Align, room: int, width: int) -> int:
    """How far from the left a line of a width begins, all in units."""
    return {"left": 0, "center": (room - width) // 2, "right": room - width}[align]


def draw_text(
    typesetter: Typesetter,
    copy: Copy,
    *,
    left: float,
    baseline: float,
    size: float,
    room: int,
    align: Align = "left",
) -> bytes:
    """One text as one line, cut to ``room`` units and aligned in it."""
    type_size = points(size)
    lines = typesetter.lines(copy, type_size)
    if typesetter.wider(copy, room):
        line, width = typesetter.cut(copy, lines, 0, room, type_size)
    else:
        (line,), (width,) = lines, typesetter.measure(copy)
    x = left + beginning(align, room, width) * size / UNITS_PER_EM
    return draw_line(typesetter, line, x, baseline, size)


def draw_line(typesetter: Typesetter, line: bytes, x: float, baseline: float, size: float) -> bytes:
    """One line that is ready."""
    where = b"%b %b" % (points(x), points(baseline))
    return b"BT /%b %b Tf %b Td (%b)Tj ET" % (typesetter.base_font, points(size), where, line)
