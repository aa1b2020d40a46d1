"""A column's cells, cut or wrapped to their room, as they stand in a content stream.

Only cells that don't fit, or that have line breaks, are handled one by one. Invariant: no line is
wider than its room.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from consumer.formats.pdf.drawing import Align, beginning, points
from consumer.formats.pdf.fonts import UNITS_PER_EM
from consumer.formats.pdf.layout import Rows
from consumer.formats.pdf.text import Copy, Typesetter, Wrapped, wider_than
from consumer.formats.pdf.whole import is_whole
from schemas.vocabulary import ColumnType

_LEAST_WRAPPED = 2 * UNITS_PER_EM
"""A column that holds no more than some three letters shows the beginnings of its texts alone."""
_THOUSANDTHS_PER_UNIT = 1000 // UNITS_PER_EM


class TextPlace(NamedTuple):
    """A column as the rows need it: where its lines begin, and how wide they may be, in units."""

    left: float
    room: int
    align: Align
    type: ColumnType | None


class Measured(NamedTuple):
    """A column's texts: their lines, uncut; all their widths, if it isn't left-aligned.

    ``wide`` has the widths of those that have no room, whose lines need not be right.
    """

    copy: Copy
    lines: list[bytes]
    widths: list[int] | None
    wide: dict[int, int]


class SetColumn(NamedTuple):
    """What stands for each cell, the lines of those that have several, and those not shown whole.

    A cell begins within a string and ends within one; where it isn't left-aligned, it begins with
    the number by which it is moved.
    """

    cells: Sequence[bytes]
    lines: dict[int, int]
    cut: Collection[int]


def measure(body: Typesetter, copy: Copy, place: TextPlace, size: bytes) -> Measured:
    """Find out which texts have room; ``size`` is the type's."""
    if place.align == "left":
        widths, wide = None, body.wider(copy, place.room)
    else:
        widths = body.measure(copy)
        wide = wider_than(place.room, widths)
    return Measured(copy, body.lines(copy, size, without=wide), widths, wide)


def set_cut(body: Typesetter, column: Measured, place: TextPlace, size: bytes) -> SetColumn:
    """Set a column one line a cell. The lines are no longer what was measured then."""
    copy, lines, widths, wide = column
    for row in wide:
        if is_whole(body.source(copy, row), place.type):
            line, width = body.not_shown(place.room)
        else:
            line, width = body.cut(copy, lines, row, place.room, size)
        lines[row] = line
        if widths is not None:
            widths[row] = width
    cells = lines if widths is None else _moved(lines, widths, place)
    return SetColumn(cells, {}, wide.keys())


def set_wrapped(
    body: Typesetter, column: Measured, place: TextPlace, size: bytes, rows: Rows
) -> SetColumn:
    """Set a column with the lines that its texts need. The same holds as of ``set_cut``."""
    copy, lines, widths, wide = column
    most = rows.most_lines if place.room >= _LEAST_WRAPPED else 1
    cut: list[int] = []
    several: dict[int, Wrapped] = {}
    for row in wide.keys() | {*body.with_breaks(copy)}:
        if row in wide and is_whole(body.source(copy, row), place.type):
            line, width = body.not_shown(place.room)
            wrapped = Wrapped([line], [width], cut=True)
        else:
            wrapped = body.wrapped(copy, lines, row, place.room, most, size)
        several[row] = wrapped
        if wrapped.cut:
            cut.append(row)
    cells = lines if widths is None else _moved(lines, widths, place)
    for row, wrapped in several.items():
        cells[row] = _stacked(wrapped, place, rows.line)
    return SetColumn(cells, {row: len(wrapped.lines) for row, wrapped in several.items()}, cut)


def _moved(lines: Sequence[bytes], widths: Sequence[int], place: TextPlace) -> list[bytes]:
    """Lines with how far each is moved."""
    room = place.room
    if place.align == "right":
        return [
            b"%d]TJ (%b" % ((room - width) * _THOUSANDTHS_PER_UNIT, line)
            for line, width in zip(lines, widths, strict=True)
        ]
    return [
        b"%d]TJ (%b" % ((room - width) // 2 * _THOUSANDTHS_PER_UNIT, line)
        for line, width in zip(lines, widths, strict=True)
    ]


def _stacked(wrapped: Wrapped, place: TextPlace, line_height: float) -> bytes:
    """Lines below each other, and the way back up to the first one."""
    down = b")Tj\n0 %b Td " % points(-line_height)
    if place.align == "left":
        text = (down + b"(").join(wrapped.lines)
    else:
        moved = [
            b"%d]TJ (%b" % (beginning(place.align, place.room, width) * _THOUSANDTHS_PER_UNIT, line)
            for line, width in zip(wrapped.lines, wrapped.widths, strict=True)
        ]
        text = (down + b"[-").join(moved)
    back = len(wrapped.lines) - 1
    return text + b")Tj\n0 %b Td (" % points(back * line_height) if back else text
