"""Operators of a content stream that more than one part of a page needs (ISO 32000-1, 8 and 9)."""

from consumer.formats.pdf.fonts import UNITS_PER_EM
from consumer.formats.pdf.text import Typesetter

INK, QUIET, BAND = b"0.13 g", b"0.42 g", b"0.955 g"
"""Shades of grey: of text, of what stands around the table, and behind every second row."""


def points(value: float) -> bytes:
    """A number as a PDF has it: at most three decimals, no exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".").encode()


def draw_text(
    typesetter: Typesetter,
    text: str,
    *,
    left: float,
    baseline: float,
    size: float,
    room: int,
    right_aligned: bool = False,
) -> bytes:
    """One line, cut to ``room`` units; if right-aligned, it ends where the room does."""
    type_size = points(size)
    (line,), (width,) = typesetter.lines(typesetter.prepare([text]), room, type_size)
    x = left + (room - width) * size / UNITS_PER_EM if right_aligned else left
    where = b"%b %b" % (points(x), points(baseline))
    return b"BT /%b %b Tf %b Td (%b)Tj ET" % (typesetter.base_font, type_size, where, line)
