"""Rows of a sheet as XML, by columns, some rows at a time.

A row's first cell has its reference, the others have none, which ECMA-376 leaves open (Part 1,
18.3.1.4): they follow each other. With all references files would be half as large again; without
the first, exceljs reads none. Invariant: what is held at a time is bounded by cells and characters,
whatever the rows hold, and a row is the same whatever stands beside it.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat

import orjson

from consumer.errors import ExportFailure
from consumer.formats.xlsx.cells import Values
from consumer.formats.xlsx.typed_cells import encoder
from schemas.errors import shown
from schemas.records import Cell
from schemas.requests import Column
from schemas.sheets import MOST_CELL_CHARACTERS, utf16_length
from schemas.vocabulary import FailReason

_CELLS_AT_ONCE = 4_000
_CHARACTERS_AT_ONCE = 1024 * 1024
_SURELY_SHORT = MOST_CELL_CHARACTERS // 2  # in UTF-16 it may have twice as many


class RowEncoder:
    """Encodes the rows of one export."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._keys = [column.key for column in columns]
        self._encoders = [encoder(column.type) for column in columns]
        self._rows_at_once = max(1, _CELLS_AT_ONCE // len(columns))

    def encode(self, rows: Sequence[Sequence[Cell]], number: int, index: int) -> Iterator[bytes]:
        """The XML of rows; the first is row ``number`` of its sheet and ``index`` of the export.

        Raises:
            ExportFailure: a cell has more characters than one may have.
        """
        for start in range(0, len(rows), self._rows_at_once):
            some = rows[start : start + self._rows_at_once]
            columns = [*map(Values.of, zip(*some, strict=True))]
            yield from self._bounded(columns, len(some), number + start, index + start)

    def _bounded(
        self, columns: Sequence[Values], count: int, number: int, index: int
    ) -> Iterator[bytes]:
        characters = [column.characters for column in columns]
        # Rarely: to count in UTF-16 means to encode each text.
        if max(characters) > _SURELY_SHORT:
            self._require_short_cells(columns, index)
        if sum(characters) <= _CHARACTERS_AT_ONCE:
            yield self._rows(columns, count, number)
        elif count == 1:
            yield from self._cells(columns, number)
        else:
            half = count // 2
            for start, end in ((0, half), (half, count)):
                some = [Values.of(column.values[start:end]) for column in columns]
                yield from self._bounded(some, end - start, number + start, index + start)

    def _rows(self, columns: Sequence[Values], count: int, number: int) -> bytes:
        numbers = orjson.dumps([*range(number, number + count)])[1:-1].split(b",")
        parts: list[Iterable[bytes]] = [repeat(b'<row r="', count), numbers]
        parts += [repeat(b'"><c r="A', count), numbers]
        between = b'"'
        for encode, column in zip(self._encoders, columns, strict=True):
            made = encode(column)
            parts += [repeat(between + made.before, count), made.texts]
            between = made.after + b"<c"
        parts.append(repeat(made.after + b"</row>", count))
        return b"".join(chain.from_iterable(zip(*parts, strict=True)))

    def _cells(self, columns: Sequence[Values], number: int) -> Iterator[bytes]:
        """One row, of megabytes, a cell at a time."""
        between = b'<row r="%d"><c r="A%d"' % (number, number)
        for encode, column in zip(self._encoders, columns, strict=True):
            made = encode(column)
            yield b"".join((between, made.before, *made.texts, made.after))
            between = b"<c"
        yield b"</row>"

    def _require_short_cells(self, columns: Sequence[Values], index: int) -> None:
        # Mostly many cells share the characters, and none of them is long.
        if all(max(map(len, column.texts), default=0) <= _SURELY_SHORT for column in columns):
            return
        rows = zip(*(column.values for column in columns), strict=True)
        for row_index, row in enumerate(rows, index):
            for key, value in zip(self._keys, row, strict=True):
                if not isinstance(value, str) or len(value) <= _SURELY_SHORT:
                    continue
                if (characters := utf16_length(value)) > MOST_CELL_CHARACTERS:
                    raise ExportFailure(
                        FailReason.TOO_LARGE,
                        f"row {row_index} of the export, column {shown(key)}: has {characters:,}"
                        f" characters, a cell of XLSX at most {MOST_CELL_CHARACTERS:,}",
                    )
