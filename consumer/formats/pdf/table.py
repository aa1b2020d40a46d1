"""The table on each page: headers, bands and rows, as a content stream.

Rows stand in the stream as they are read, cell by cell. Invariant: what depends on the layout alone
is made once for each layout, so that a page costs its cells and little else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise, repeat
from types import NoneType
from typing import NamedTuple

from consumer.formats.cells import cell_text, number_texts
from consumer.formats.pdf.columns import Columns, Need
from consumer.formats.pdf.drawing import BAND, INK, Align, beginning, draw_line, points
from consumer.formats.pdf.fonts import UNITS_PER_EM
from consumer.formats.pdf.layout import LINE_EMS, MOST_HEADER_LINES, Rows
from consumer.formats.pdf.plan import ColumnPlan, plan
from consumer.formats.pdf.setting import (
    Measured,
    SetColumn,
    TextPlace,
    measure,
    set_cut,
    set_wrapped,
)
from consumer.formats.pdf.text import Copy, Typesetter, Wrapped
from consumer.formats.pdf.whole import NUMERIC, are_amounts, is_whole
from schemas.options import PdfOptions
from schemas.records import Cell
from schemas.requests import Column

_WORDS = {word: cell_text(word) for word in (None, True, False)}
_MIDDLE_EMS = 0.34  # of letters, above their baseline
_HEADER_BASELINE_EMS = 0.45
_LONGEST_NEED = 120 * UNITS_PER_EM  # what is longer fits no page


class Block(NamedTuple):
    """Rows that are set: what stands for each cell of each column, and lines of each row.

    ``cut`` has a row's number for each of its cells that isn't shown whole.
    """

    columns: Sequence[Sequence[bytes]]
    lines: Sequence[int]
    cut: Sequence[int]


class TableParts(NamedTuple):
    """What ``draw`` makes a page of, but for its rows; ``columns`` have a place and a need each.

    ``rows`` stand between ``before_bands`` and ``before_rows``, where their baseline follows, which
    is ``drop`` below the middle of the first. ``moves`` are as ``_between_cells`` has them.
    """

    columns: Sequence[tuple[TextPlace, Need]]
    before_bands: bytes
    band: tuple[bytes, bytes]
    before_rows: bytes
    drop: float
    moves: Sequence[bytes]
    size: bytes


class PageTable:
    """The pages of one export. Columns are laid out by the first rows, and grow with later ones."""

    def __init__(
        self,
        columns: Sequence[Column],
        options: PdfOptions,
        first_rows: Sequence[Copy],
        footer_lines: Callable[[float, float], int],
        body: Typesetter,
        heading: Typesetter,
    ) -> None:
        """``first_rows`` has a copy for each column, or none if there are no rows."""
        self.truncated_cells = 0
        self._body, self._heading = body, heading
        self._types = [column.type for column in columns]
        self._headers = heading.prepare([column.header for column in columns])
        texts = [copy.texts for copy in first_rows] or [()] * len(columns)
        self._aligns = [
            _alignment(column, shown, body) for column, shown in zip(columns, texts, strict=True)
        ]
        widths = heading.least_widths(self._headers)
        self._needs = [
            Need(column.width, width) for column, width in zip(columns, widths, strict=True)
        ]
        self._grow_for_all(first_rows)
        self._plan = plan(options, self._needs, footer_lines, self._header_lines)
        self._lay_out()

    @property
    def plan(self) -> ColumnPlan:
        """How pages are laid out now."""
        return self._plan

    def set(self, page: Sequence[Copy]) -> Block:
        """Set rows, in columns that are wide enough for them; a copy for each column."""
        measured = self._measure(page)
        grown = [
            self._grow(index, column.copy, column.wide)
            for index, column in enumerate(measured)
            if column.wide
        ]
        if any(grown):
            # Others had room by chance, and may lose it to those that grow.
            self._grow_for_all(page)
            self._plan = self._plan.grown(self._needs)
            self._lay_out()
            measured = self._measure(page)
        placed = zip(measured, self._places, strict=False)
        if self._plan.sheet.wraps:
            rows = self._plan.rows
            columns = [
                set_wrapped(self._body, column, place, self._size, rows) for column, place in placed
            ]
        else:
            columns = [set_cut(self._body, column, place, self._size) for column, place in placed]
        return _block(columns, _count(page))

    def page_end(self, block: Block, start: int) -> tuple[int, bool]:
        """Where a page ends that begins with a row, and whether no more rows could stand on it."""
        rows, most = self._plan.rows, self._plan.sheet.records_per_page
        last = min(start + most, len(block.lines))
        if not self._plan.sheet.wraps:
            return last, last - start == most
        heights = accumulate(_height(rows, lines) for lines in block.lines[start:last])
        end = start + sum(height <= rows.room for height in heights)
        return end, end < last or end - start == most

    def draw(self, block: Block, start: int, end: int) -> bytes:
        """The headers and some rows of a block as a page."""
        if start == end:
            return b"%b\n%b" % (INK, self._header_row)
        if block.cut:
            self.truncated_cells += sum(start <= row < end for row in block.cut)
        lines = block.lines[start:end]
        bands = self._bands(lines)
        return b"\n".join(
            (BAND, *bands, b"f", INK, self._header_row, self._rows(block, start, lines))
        )

    def parts(self) -> TableParts:
        """The page as it is laid out now."""
        left, size = points(self._places[-1].left), self._size
        begin = b"BT /%b %b Tf %b " % (self._body.base_font, size, left)
        return TableParts(
            columns=[*zip(self._places, self._needs, strict=True)],
            before_bands=BAND,
            band=self._band(),
            before_rows=b"\n".join((b"f", INK, self._header_row, begin)),
            drop=_MIDDLE_EMS * self._plan.columns.type_size,
            moves=self._moves,
            size=size,
        )

    def _grow_for_all(self, page: Sequence[Copy]) -> None:
        for index, copy in enumerate(page):
            self._grow(index, copy, dict(enumerate(self._body.measure(copy))))

    def _grow(self, index: int, copy: Copy, wide: dict[int, int]) -> bool:
        """Take note of the widths of some cells; whether one is the widest so far."""
        need, column_type = self._needs[index], self._types[index]
        whole, text = need.whole, need.text
        for row, width in wide.items():
            if width > whole and is_whole(self._body.source(copy, row), column_type):
                whole = width
            elif width > text:
                text = min(width, _LONGEST_NEED)
        self._needs[index] = grown = need._replace(whole=whole, text=text)
        return grown != need

    def _measure(self, page: Sequence[Copy]) -> list[Measured]:
        return [
            measure(self._body, copy, place, self._size)
            for copy, place in zip(page, self._places, strict=False)
        ]

    def _lay_out(self) -> None:
        self._size = points(self._plan.columns.type_size)
        self._places = self._place(self._plan.columns.type_size)
        self._moves = self._between_cells()
        self._header_row = self._draw_headers()
        self._uniform_bands: list[bytes] = []

    def _place(self, size: float) -> list[TextPlace]:
        columns = self._plan.columns
        return [
            TextPlace(
                columns.edges[index] + columns.padding, columns.room(index, size), align, kind
            )
            for index, (align, kind) in enumerate(zip(self._aligns, self._types, strict=True))
        ]

    def _header_lines(self, columns: Columns) -> int:
        """How many lines the headers need."""
        size = columns.header_size
        rooms = [columns.room(index, size) for index in range(len(self._headers.texts))]
        return max(
            len(header.lines) for header in self._wrapped_headers(rooms, size, MOST_HEADER_LINES)
        )

    def _wrapped_headers(self, rooms: Sequence[int], size: float, most: int) -> Iterator[Wrapped]:
        type_size = points(size)
        lines = self._heading.lines(self._headers, type_size)
        for index, room in enumerate(rooms):
            yield self._heading.wrapped(self._headers, lines, index, room, most, type_size)

    def _draw_headers(self) -> bytes:
        """Headers are aligned as their columns, stand on one line and have a rule below them."""
        columns, top = self._plan.columns, self._plan.rows.top
        size = columns.header_size
        places = self._place(size)
        headers = self._wrapped_headers(
            [place.room for place in places], size, self._plan.header_lines
        )
        drawn = [
            draw_line(
                self._heading,
                line,
                place.left + beginning(place.align, place.room, width) * size / UNITS_PER_EM,
                top + (_HEADER_BASELINE_EMS + LINE_EMS * (len(header.lines) - 1 - number)) * size,
                size,
            )
            for header, place in zip(headers, places, strict=True)
            for number, (line, width) in enumerate(zip(header.lines, header.widths, strict=True))
        ]
        left, right = map(points, (columns.edges[0], columns.edges[-1]))
        y = points(top)
        return b"\n".join((*drawn, b"0.13 G 0.6 w %b %b m %b %b l S" % (left, y, right, y)))

    def _bands(self, lines: Sequence[int]) -> Sequence[bytes]:
        """Behind every second row, so that the eye keeps to its line."""
        if self._plan.sheet.wraps:
            return [*self._shapes(lines)]
        if len(self._uniform_bands) < len(lines) // 2:
            self._uniform_bands = [*self._shapes(lines)]
        return self._uniform_bands[: len(lines) // 2]

    def _band(self) -> tuple[bytes, bytes]:
        """Where bands begin, and how wide they are."""
        edges = self._plan.columns.edges
        return points(edges[0]), points(edges[-1] - edges[0])

    def _shapes(self, lines: Sequence[int]) -> Iterator[bytes]:
        top = self._plan.rows.top
        left, width = self._band()
        heights = [_height(self._plan.rows, count) for count in lines]
        for height, depth in [*zip(heights, accumulate(heights), strict=True)][1::2]:
            yield b"%b %b %b %b re" % (left, points(top - depth), width, points(height))

    def _between_cells(self) -> list[bytes]:
        """The way from one cell to the next in a row, and the beginning of that one's string.

        The first is the way across from the last column, without the way down. Where text is moved
        right, its string's beginning ends within the number by which.
        """
        lefts = [round(place.left, 2) for place in self._places]
        ways = (lefts[0] - lefts[-1], *(right - left for left, right in pairwise(lefts)))
        return [
            b")Tj\n%b %%b Td %b" % (points(x), b"(" if place.align == "left" else b"[-")
            for x, place in zip(ways, self._places, strict=True)
        ]

    def _rows(self, block: Block, start: int, lines: Sequence[int]) -> bytes:
        plan, count = self._plan, len(lines)
        first, *others = self._moves
        if plan.sheet.wraps:
            downs = {number: first % points(-_height(plan.rows, number)) for number in {*lines}}
            starts: Iterable[bytes] = [downs[lines[0]], *(downs[number] for number in lines[:-1])]
        else:
            starts = repeat(first % points(-plan.rows.height), count)
        separators = (starts, *(repeat(other % b"0", count) for other in others))
        columns = chain.from_iterable(
            (separator, cells if count == len(cells) else cells[start : start + count])
            for separator, cells in zip(separators, block.columns, strict=True)
        )
        rows = b"".join(chain.from_iterable(zip(*columns, strict=True)))
        # The first separator closes no string, and moves here from where a row above would end.
        above = plan.rows.top + _height(plan.rows, lines[0]) - plan.rows.height / 2
        begin = b"BT /%b %b Tf %b %b Td" % (
            *(self._body.base_font, self._size),
            points(self._places[-1].left),
            points(above - _MIDDLE_EMS * plan.columns.type_size),
        )
        return begin + rows[len(b")Tj") :] + b")Tj ET"


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


def _height(rows: Rows, lines: int) -> float:
    return rows.height + (lines - 1) * rows.line


def _block(columns: Sequence[SetColumn], count: int) -> Block:
    lines = [1] * count
    for column in columns:
        for row, more in column.lines.items():
            lines[row] = max(lines[row], more)
    cut = [row for column in columns for row in column.cut]
    return Block([column.cells for column in columns], lines, cut)


def _alignment(column: Column, texts: Sequence[str], body: Typesetter) -> Align:
    """Numbers are right-aligned: those of a type, or of a first page of numbers or amounts alone.

    So is a column of which most texts run from right to left.
    """
    if column.align is not None:
        return column.align
    if column.type in NUMERIC:
        return "right"
    shown = [*filter(None, texts)]
    if column.type is None and are_amounts(shown):
        return "right"
    return "right" if sum(map(body.is_leftward, shown)) > len(shown) / 2 else "left"
