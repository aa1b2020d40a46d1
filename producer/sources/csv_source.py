"""CSV to rows, by Python's csv module in its strict mode.

Cells are strings, but for columns with a type: there they are the JSON values that they spell.

Invariant: memory is bounded by one row, and a row by its number of cells times ``CELL_MAX``.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from producer.sources.header import Header
from producer.sources.table import SourceError, SourceTable
from producer.sources.typed_cells import TypedColumns
from schemas.records import Cell

CELL_MAX = 1_000_000
"""Characters in a cell: a larger one fits no message (see ``producer.batching``)."""
_LOOKED_AT = 16  # bytes
# Of encodings for which Python keeps a byte order mark.
_MARKS = {
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
_NO_TEXT = {
    b"\x1f\x8b": "is compressed by gzip: unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd: unpack it first",
    b"PK\x03\x04": "is a zip, as workbooks are: --input-format xlsx may be meant",
}
_NAMED_DELIMITER = re.compile("sep=(.)", re.IGNORECASE)  # as Excel reads and others write it
_NAMES = {"\t": "\\t"}


def read_csv(
    stream: io.BufferedReader,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] = MappingProxyType({}),
    delimiter: str | None = None,
    encoding: str | None = None,
) -> SourceTable:
    """Read CSV with a header row, which names the columns; ``columns`` chooses some by key.

    Without a ``delimiter`` it is a comma, and a header that comes out as one column is noted. A
    byte order mark is skipped, and so are a first line that names the delimiter, as in ``sep=;``,
    and blank lines, unless there is one column: there one is a row with an empty cell. ``encoding``
    is one of Python's, by default UTF-8; without one, an error says which may be meant. ``types``
    are those of
    ``schemas.column_types``, by key: a cell of one that isn't ``string`` is null where it is empty.

    Raises:
        SourceError: there is no header row, it can't be read, or lacks a chosen or typed column.
            A row with a cell of another type raises it as well, naming line and column.
    """
    # For the whole process: the csv module knows no other way.
    csv.field_size_limit(CELL_MAX)
    start = stream.peek(_LOOKED_AT)[:_LOOKED_AT]
    if found := next((words for mark, words in _NO_TEXT.items() if start.startswith(mark)), None):
        raise SourceError(found)
    if encoding is None:
        _require_no_utf_16_or_32(start)
    named = encoding or "utf-8"
    kind = codecs.lookup(named).name
    if (mark := _MARKS.get(kind)) and start.startswith(mark):
        stream.read(len(mark))
    codec = "utf-8-sig" if kind == "utf-8" else named
    text = io.TextIOWrapper(stream, encoding=codec, newline="")
    records = _records(text, delimiter or ",", encoding)
    texts = _header_texts(records, delimiter or ",")
    if not texts:
        raise SourceError("there is no header row to take the columns from")
    header = Header(texts)
    rows = _rows(records, TypedColumns(header, types), len(header))
    return header.table(columns, rows, None if delimiter else _note_on_one_column(texts))


def _header_texts(records: Iterator[tuple[int, list[str]]], delimiter: str) -> list[str]:
    """The first line's texts, but for blank ones, and the one that names the delimiter."""
    lines = (texts for _, texts in records if texts)
    texts = next(lines, [])
    if found := _NAMED_DELIMITER.fullmatch(delimiter.join(texts)):
        if found[1] != delimiter:
            meant = _NAMES.get(found[1], found[1])
            raise SourceError(f"begins with {found[0]!r}: --input-delimiter '{meant}' may be meant")
        texts = next(lines, [])
    return texts


def _rows(
    records: Iterator[tuple[int, list[str]]], typed: TypedColumns, width: int
) -> Iterator[list[Cell]]:
    for line, cells in records:
        if len(cells) == width:
            yield typed.row(f"line {line}", cells) if typed else cells
        elif cells:
            raise SourceError(f"line {line}: {len(cells)} cells, where the header has {width}")
        elif width == 1:
            yield typed.row(f"line {line}", [""])


def _note_on_one_column(texts: Sequence[str]) -> str | None:
    """Of a whole header that came out as one column."""
    if len(texts) == 1 and (found := [mark for mark in ";\t" if mark in texts[0]]):
        meant = _NAMES.get(found[0], found[0])
        return f"has one column, {texts[0]}: --input-delimiter '{meant}' may be meant"
    return None


def _require_no_utf_16_or_32(start: bytes) -> None:
    """Refuse both; of ASCII alone they would pass as UTF-8 with NULs beside each character."""
    evens, odds = start[::2], start[1::2]
    meant = None
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise SourceError("begins as UTF-32 does: --encoding utf-32 may be meant")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        meant = "utf-16"
    elif len(evens) == len(odds) > 1:
        if all(evens) and not any(odds):
            meant = "utf-16-le"
        elif all(odds) and not any(evens):
            meant = "utf-16-be"
    if meant:
        raise SourceError(f"begins as UTF-16 does: --encoding {meant} may be meant")


def _records(
    text: io.TextIOWrapper, delimiter: str, encoding: str | None
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
        named, hint = encoding or "utf-8", "" if encoding else ": --encoding cp1252 may be meant"
        raise SourceError(
            f"line {reader.line_num + 1 + further}: byte 0x{byte:02x} is not {named.upper()}{hint}"
        ) from None
    except UnicodeError as error:  # such as UTF-16 without its byte order mark
        raise SourceError(f"line {reader.line_num + 1}: {error}") from None
