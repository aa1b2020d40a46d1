"""The table on each page: headers, bands and rows, as a content stream.

Rows stand in the stream as they are read, line by line. Invariant: what depends on the document
alone is made once, so that a page costs its cells and little else.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise, repeat
from types import NoneType
from typing import NamedTuple

from consumer.formats.cells import cell_text, number_texts
from consumer.formats.pdf import layout
from consumer.formats.pdf.drawing import BAND, INK, draw_text, points
from consumer.formats.pdf.fonts import UNITS_PER_EM
from consumer.formats.pdf.text import Copy, Typesetter
from schemas.records import Cell
from schemas.requests import Column

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
_WORDS = {word: cell_text(word) for word in (None, True, False)}
_MIDDLE_EMS = 0.34  # of letters, above their baseline
_NUMBER_ROOM = int(4.1 * UNITS_PER_EM)  # seven digits: later pages have longer numbers
_THOUSANDTHS_PER_UNIT = 1000 // UNITS_PER_EM


class _Place(NamedTuple):
    """A column as the rows need it: where its strings begin, and how wide they may be, in units."""

    left: float
    room: int
    numeric: bool


class Table:
    """The pages of one export. Its columns are laid out by the first page's content."""

    def __init__(
        self,
        sheet: layout.Sheet,
        columns: Sequence[Column],
        first_page: Sequence[Copy],
        body: Typesetter,
        heading: Typesetter,
    ) -> None:
        """``first_page`` has a copy for each column, or none if there are no rows."""
        self._sheet = sheet
        self._body = body
        self._numeric = [*map(_is_numeric, first_page)] or [False] * len(columns)
        headers = heading.prepare([column.header for column in columns])
        self._columns = layout.columns(
            sheet,
            [column.width for column in columns],
            heading.measure(headers),
            [
                max(_NUMBER_ROOM * numeric, *body.measure(copy))
                for copy, numeric in zip(first_page, self._numeric, strict=False)
            ]
            or [0] * len(columns),
        )
        self._size = points(self._columns.type_size)
        self._places = self._place(self._columns.type_size)
        self._separators = self._between_cells()
        self._headers = self._header_row(headers, heading)
        self._bands = self._every_second_row(_count(first_page))

    def draw(self, page: Sequence[Copy]) -> bytes:
        """The headers and the rows of a page; a copy for each column, or none of no rows."""
        if not page:
            return self._headers
        count = _count(page)
        bands = (BAND, *self._bands[: count // 2], b"f")
        return b"\n".join((*bands, INK, self._headers, self._rows(page, count)))

    def _place(self, type_size: float) -> list[_Place]:
        columns, units_per_point = self._columns, UNITS_PER_EM / type_size
        return [
            _Place(
                columns.edges[index] + columns.padding,
                int(columns.room(index) * units_per_point),
                numeric,
            )
            for index, numeric in enumerate(self._numeric)
        ]

    def _header_row(self, headers: Copy, heading: Typesetter) -> bytes:
        """Headers are aligned as their columns and have a rule below them."""
        size = self._columns.header_size
        baseline = self._sheet.header_bottom + 0.5 * size
        drawn = [
            draw_text(
                heading,
                header,
                left=place.left,
                baseline=baseline,
                size=size,
                room=place.room,
                right_aligned=place.numeric,
            )
            for header, place in zip(headers.texts, self._place(size), strict=True)
        ]
        left, right = map(points, (self._columns.edges[0], self._columns.edges[-1]))
        y = points(self._sheet.header_bottom)
        return b"\n".join((*drawn, b"0.13 G 0.6 w %b %b m %b %b l S" % (left, y, right, y)))

    def _every_second_row(self, count: int) -> list[bytes]:
        """Bands for every second row, so that the eye keeps to its line; no page has more rows."""
        left, right = self._columns.edges[0], self._columns.edges[-1]
        height = self._sheet.row_height
        shape = b"%b %b re" % (points(right - left), points(height))
        bottoms = (self._sheet.header_bottom - (row + 1) * height for row in range(1, count, 2))
        return [b"%b %b %b" % (points(left), points(bottom), shape) for bottom in bottoms]

    def _between_cells(self) -> list[bytes]:
        """What leads from one cell to the next; the first, from the end of a row to the next row.

        A numeric column's separator ends within the number by which its text is moved right.
        """
        lefts = [round(place.left, 2) for place in self._places]
        moves = [
            (lefts[0] - lefts[-1], -self._sheet.row_height),
            *((right - left, 0.0) for left, right in pairwise(lefts)),
        ]
        return [
            b")Tj\n%b %b Td %b" % (points(x), points(y), b"[-" if place.numeric else b"(")
            for (x, y), place in zip(moves, self._places, strict=True)
        ]

    def _rows(self, page: Sequence[Copy], count: int) -> bytes:
        columns = chain.from_iterable(
            (repeat(separator, count), self._cells(copy, place))
            for separator, copy, place in zip(self._separators, page, self._places, strict=True)
        )
        rows = b"".join(chain.from_iterable(zip(*columns, strict=True)))
        # The first separator closes no string, and moves here from where a row above would end.
        x = self._places[-1].left
        middle = self._sheet.header_bottom + self._sheet.row_height / 2
        y = middle - _MIDDLE_EMS * self._columns.type_size
        start = b"BT /%b %b Tf %b %b Td" % (
            *(self._body.base_font, self._size),
            *(points(x), points(y)),
        )
        return start + rows[len(b")Tj") :] + b")Tj ET"

    def _cells(self, copy: Copy, place: _Place) -> Sequence[bytes]:
        if not place.numeric:
            return self._body.fitted(copy, place.room, self._size)
        lines, widths = self._body.lines(copy, place.room, self._size)
        return [
            b"%d]TJ (%b" % ((place.room - width) * _THOUSANDTHS_PER_UNIT, line)
            for line, width in zip(lines, widths, strict=True)
        ]


def texts_of(rows: Sequence[Sequence[Cell]]) -> Iterator[Sequence[str]]:
    """The texts of each column: ``cell_text`` of each cell, by the quickest way to it."""
    for cells in zip(*rows, strict=True):
        match {*map(type, cells)}:
            case kinds if kinds == {str}:
                yield cells
            case kinds if kinds <= {int, float}:
                yield number_texts(cells)
            case kinds if kinds == {str, NoneType}:
                yield [cell or "" for cell in cells]
            case kinds if kinds <= {bool, NoneType}:
                yield [_WORDS[cell] for cell in cells]
            case _:
                yield [*map(cell_text, cells)]


def _count(page: Sequence[Copy]) -> int:
    return len(page[0].texts) if page else 0


def _is_numeric(copy: Copy) -> bool:
    """Whether all that is there is numbers, and something is."""
    shown = [*filter(None, copy.texts)]
    return bool(shown) and all(map(_NUMBER.fullmatch, shown))
