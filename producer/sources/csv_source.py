"""CSV to rows, by Python's csv module in its strict mode.

Cells are strings, but for columns with a type: there they are the JSON values that they spell.

Invariant: memory is bounded by one row, and a row by its number of cells times ``CELL_MAX``.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from producer.sources.table import SourceError, SourceTable
from schemas import exact_json
from schemas.column_types import wrong_cell
from schemas.records import Cell
from schemas.vocabulary import ColumnType

_JSON_TYPES = {ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN}
CELL_MAX = 1_000_000
"""Characters in a cell: a larger one fits no message (see ``producer.batching``)."""


def read_csv(
    stream: io.BufferedReader,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] = MappingProxyType({}),
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> SourceTable:
    """Read CSV with a header row, which names the columns; ``columns`` chooses some.

    A byte order mark is skipped, and so is a blank line, unless there is one column: there it is
    a row with an empty cell. ``encoding`` is one of Python's. ``types`` are those of
    ``schemas.column_types``, by key: a cell of one that isn't ``string`` is null where it is empty.

    Raises:
        SourceError: there is no header row, it can't be read, or lacks a chosen or typed column.
            A row with a cell of another type raises it as well, naming line and column.
    """
    # For the whole process: the csv module knows no other way.
    csv.field_size_limit(CELL_MAX)
    codec = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    records = _records(io.TextIOWrapper(stream, encoding=codec, newline=""), delimiter, encoding)
    _, header = next(records, (1, []))
    if not header:
        raise SourceError("there is no header row to take the columns from")
    typed = {_index(header, name): ColumnType(kind) for name, kind in types.items()}
    rows = _rows(records, header, typed)
    if columns is None or list(columns) == header:
        return SourceTable(tuple(header), rows)
    chosen = [_index(header, name) for name in columns]
    return SourceTable(tuple(columns), ([row[index] for index in chosen] for row in rows))


def _rows(
    records: Iterator[tuple[int, list[str]]], header: list[str], typed: dict[int, ColumnType]
) -> Iterator[list[Cell]]:
    width = len(header)
    for line, cells in records:
        if len(cells) == width:
            yield _typed(line, cells, header, typed) if typed else cells
        elif cells:
            raise SourceError(f"line {line}: {len(cells)} cells, where the header has {width}")
        elif width == 1:
            yield _typed(line, [""], header, typed)


def _typed(
    line: int, cells: list[str], header: list[str], typed: dict[int, ColumnType]
) -> list[Cell]:
    row: list[Cell] = [*cells]
    for index, kind in typed.items():
        try:
            row[index] = _value(cells[index], kind)
        except ValueError as error:
            raise SourceError(f"line {line}, column {header[index]!r}: {error}") from None
    return row


def _value(text: str, kind: ColumnType) -> Cell:
    """What a text spells, as a cell of a type.

    Raises:
        ValueError: it spells none.
    """
    if kind is ColumnType.STRING:
        return text
    if not text:
        return None
    cell: Cell = text
    if kind in _JSON_TYPES:
        with suppress(ValueError):  # then the text itself is of no such type
            cell = exact_json.loads(text.encode())
    if found := wrong_cell([cell], kind):
        raise ValueError(found[1])
    return cell


def _records(
    text: io.TextIOWrapper, delimiter: str, encoding: str
) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it begins on, counted from 1."""
    reader = csv.reader(text, strict=True, delimiter=delimiter)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        until = f" to {reader.line_num}" if reader.line_num > line else ""
        raise SourceError(f"line {line}{until}: malformed CSV: {error}") from None
    except UnicodeDecodeError as error:
        # The reader decodes a piece of the file only when all lines before it are read.
        further = error.object[: error.start].count(b"\n")
        byte = error.object[error.start]
        raise SourceError(
            f"line {reader.line_num + 1 + further}: byte 0x{byte:02x} is not {encoding.upper()}"
        ) from None
    except UnicodeError as error:  # such as UTF-16 without its byte order mark
        raise SourceError(f"line {reader.line_num + 1}: {error}") from None


def _index(keys: list[str], name: str) -> int:
    count = Counter(keys)[name]
    if count != 1:
        problem = "is not in the header" if count == 0 else "is in the header more than once"
        raise SourceError(f"column {name!r} {problem}")
    return keys.index(name)
