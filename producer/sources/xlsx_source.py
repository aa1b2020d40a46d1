"""XLSX to rows, by openpyxl in its read-only mode: the first row of a sheet names the columns.

Invariant: memory is bounded by one row plus the workbook's shared strings.
"""

import io
import re
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias
from zipfile import BadZipFile

from producer.sources.header import Header
from producer.sources.table import SourceError, SourceTable
from producer.sources.typed_cells import TypedColumns
from schemas.records import Cell
from schemas.sheets import MOST_SHEET_ROWS

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

# What openpyxl raises for a broken file; it has no error class of its own for that.
_BROKEN = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, zlib.error, BadZipFile),
)
_File: TypeAlias = io.BufferedReader | io.BufferedRandom
_OLD_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
_ALL_EXACT = 2**53  # a double holds every integer below
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")  # ECMA-376 Part 1, 22.9.2.19


def read_xlsx(
    stream: io.BufferedReader,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] = MappingProxyType({}),
    sheet: str | None = None,
) -> SourceTable:
    """Read a sheet, by default the first, which is noted if there are more.

    Its first row with a value is the header; ``columns`` chooses some by key. Cells are JSON values
    of their kind: dates, times and durations are texts in the forms of ISO 8601, as a cell's format
    shows them, an error is its text, and a formula the value that the workbook has of it. A row
    without a value is a row of nulls if another one follows. ``types`` as ``read_csv`` has them.

    Raises:
        SourceError: it is no workbook, or has no such sheet or column. A row that has more cells
            than the header, or one of another type, raises it as well, naming it.
    """
    file = _seekable(stream)
    found, note = _open(file, sheet)
    rows = _values(found, file)
    number, values = next(rows, (1, []))
    texts = [*map(_text, values)]
    if not texts:
        raise SourceError(f"sheet {found.title!r} is empty: there is no header row")
    header = Header(texts)
    return header.table(
        columns, _rows(rows, TypedColumns(header, types), len(header), number + 1), note
    )


def _seekable(stream: io.BufferedReader) -> _File:
    """A workbook is read from its end: what comes from a pipe waits on disk."""
    if stream.seekable():
        return stream
    copied = io.BufferedRandom(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - by ``_values``
    shutil.copyfileobj(stream, copied)
    copied.seek(0)
    return copied


def _open(file: _File, sheet: str | None) -> tuple["ReadOnlyWorksheet", str | None]:
    """The sheet, and a note if nobody chose it."""
    from openpyxl import load_workbook  # noqa: PLC0415 - slow to import

    if file.peek(8).startswith(_OLD_MAGIC):
        raise SourceError("is an old .xls, or protected by a password: save it as a plain .xlsx")
    # It warns about parts it ignores, such as drawings.
    warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
    try:
        workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except _BROKEN as error:
        raise SourceError(f"is no XLSX workbook: {error}") from None
    sheets = {one.title: one for one in workbook.worksheets}
    if not sheets:
        # openpyxl knows no sheet of a workbook that is "Strict Open XML".
        raise SourceError("has no sheet that can be read: save it as a plain .xlsx")
    names = ", ".join(map(repr, sheets))
    if sheet is None:
        first = next(iter(sheets))
        note = f"has {len(sheets)} sheets, {names}: {first!r} is read" if len(sheets) > 1 else None
        return sheets[first], note
    if sheet not in sheets:
        raise SourceError(f"there is no sheet {sheet!r}, but {names}")
    return sheets[sheet], None


def _rows(
    rows: Iterator[tuple[int, list[Cell]]], typed: TypedColumns, width: int, expected: int
) -> Iterator[list[Cell]]:
    for number, values in rows:
        if len(values) > width:
            raise SourceError(f"row {number}: {len(values)} cells, where the header has {width}")
        # Emit rows without a value only once a later row follows.
        for _ in range(number - expected):
            yield [None] * width
        expected = number + 1
        row = values + [None] * (width - len(values))
        yield typed.row(f"row {number}", row) if typed else row


def _values(sheet: "ReadOnlyWorksheet", file: _File) -> Iterator[tuple[int, list[Cell]]]:
    """Rows that have a value, up to their last one, with their numbers. Closes the file."""
    # A sheet's declared size may be wrong and would cut rows.
    sheet.reset_dimensions()
    number = 0
    with file:
        try:
            for number, cells in enumerate(sheet.iter_rows(), 1):
                # openpyxl fills gaps in row numbers with rows, and a row number may be anything.
                if number > MOST_SHEET_ROWS:
                    raise SourceError(f"row {number}: a sheet has no such row")
                values = _values_of(cells, f"row {number}")
                while values and values[-1] is None:
                    values.pop()
                if values:
                    yield number, values
        except _BROKEN as error:
            raise SourceError(f"row {number + 1}: can't be read: {error}") from None


def _values_of(cells: Sequence[Any], place: str) -> list[Cell]:
    try:
        return [*map(_value, cells)]
    except (TypeError, ValueError) as error:
        raise SourceError(f"{place}: {error}") from None


def _value(cell: Any) -> Cell:  # noqa: ANN401 - openpyxl has no types
    value = cell.value
    match value:
        case str():
            # openpyxl leaves escapes of characters that XML can't hold.
            return _unescaped(value) if "_x" in value else value
        case None | bool() | int():
            return value
        case float():
            return _number(value)
        case datetime():
            return _moment(value, cell.number_format)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return _duration(value)
        case _:
            raise TypeError(f"a cell holds a {type(value).__name__}")


def _unescaped(text: str) -> str:
    text = _ESCAPED.sub(lambda number: chr(int(number[1], 16)), text)
    # Two halves of a surrogate pair are a character, one alone is none.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _number(value: float) -> int | float:
    """A whole number is an integer, however a program wrote it: POI has ``5.0`` for each 5."""
    if not isfinite(value):
        raise ValueError("a number is beyond a double's range")
    return int(value) if value.is_integer() and abs(value) < _ALL_EXACT else value


def _moment(value: datetime, number_format: str) -> str:
    """A date, or a date and time, as the cell's format shows."""
    from openpyxl.styles.numbers import is_datetime  # noqa: PLC0415 - as above

    if is_datetime(number_format) == "date" and value.time() == time():
        return value.date().isoformat()
    return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")


def _duration(value: timedelta) -> str:
    """Hours, minutes and seconds, as a spreadsheet shows it: hours may be any number."""
    seconds = round(abs(value).total_seconds())
    sign = "-" if value < timedelta() else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _text(value: Cell) -> str:
    """A header: of a number, as a year is, its digits."""
    if isinstance(value, bool):
        return str(value).upper()
    return "" if value is None else str(value)
