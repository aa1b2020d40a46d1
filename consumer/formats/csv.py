"""CSV: rows to UTF-8 text, to the letter of the contract's "Cells in CSV" and "Formula escaping".

Not Python's ``csv.writer``: the contract wants quotes where some reader would see a separator, a
line's end or no row at all, and in Python 3.11 with LF as the line ending it leaves a CR bare.
Invariant: each field is what ``_field`` makes of its cell, but for the file's first one, which
``_first_line`` may quote; the ways around it, a whole column at a time, only save time.
"""

import re
from collections.abc import Iterator, Sequence
from types import NoneType

from consumer.formats.base import WholeCells
from consumer.formats.cells import LONG_TEXT, cell_text, number_texts
from schemas.formulas import PASSED_OVER, STARTS, escaped, is_formula
from schemas.options import CsvOptions
from schemas.records import Cell, EncodedRows
from schemas.requests import ExportRequested

_ROWS_AT_ONCE = 1_000
# Products, states and the like repeat: where a sample shows it, each text is made once.
_SAMPLE_ROWS = 64
_FEW = 4  # one in so many cells of a sample differs: it is worth to look for distinct ones
_SUSPECT_STARTS = STARTS | {*PASSED_OVER}
_NUMBERS = frozenset({int, float})
_WORDS = frozenset({bool, NoneType})
_BETWEEN = "\x01"  # any character that begins no formula; cells may contain it
# One search that begins with a character, at the speed of memchr. A search for each start took a
# tenth of the encoder's time.
_find_suspect = re.compile(f"{_BETWEEN}[{re.escape(''.join(_SUSPECT_STARTS))}]").search
_SEPARATORS = ",;\t"  # what readers split at, whatever the file's delimiter is
# SYLK's mark makes Excel refuse the file, and U+FEFF is taken for a byte order mark.
_MISTAKEN_BEGINNINGS = ("ID", "\ufeff")


class CsvWriter(WholeCells):
    """Writes one export as CSV; a ``FormatWriter``.

    The byte order mark and the header row come first, even if no row follows. Every line has its
    line ending.
    """

    def __init__(self, request: ExportRequested) -> None:
        options = request.options
        if not isinstance(options, CsvOptions):
            raise TypeError(f"the options of {request.format} are not those of csv")
        self._delimiter = options.delimiter
        self._line_ending = "\r\n" if options.line_ending == "crlf" else "\n"
        self._escapes = options.escape_formulas
        self._quotes_all = options.quote == "all"
        self._is_lone = len(request.columns) == 1
        self._decimal_comma = options.decimal_separator == ","
        # Each once, as the delimiter may be one of the separators.
        self._specials = (*dict.fromkeys(f'{options.delimiter}"\r\n{_SEPARATORS}'),)
        self._find_special = re.compile(f"[{re.escape(''.join(self._specials))}]").search
        self._words = {
            word: self._quoted(cell_text(word, options.null)) for word in (None, True, False)
        }
        # Otherwise numbers may need quotes and take the slow path.
        self._numbers_are_plain = options.delimiter not in "0123456789+-.e"
        self._mark = b"\xef\xbb\xbf" if options.bom else b""
        self._header = [column.header for column in request.columns] if options.header else None
        self._head_is_out = False

    @property
    def native_place(self) -> bool:
        """Whether the file's beginning was returned: the byte order mark and first line."""
        return self._head_is_out

    def adopt(self, rows: EncodedRows) -> bytes:
        """See ``NativeWriter``."""
        self._head_is_out = True
        return rows.data

    def native_options(self) -> dict[str, object]:
        """What ``native/src/csv.rs`` needs to know of the options, texts ready to be written."""
        return {
            "delimiter": self._delimiter,
            "line_ending": self._line_ending,
            "quotes_all": self._quotes_all,
            "decimal_comma": self._decimal_comma,
            "words": [self._words[None], self._words[True], self._words[False]],
            "head": self._mark + (self._first_line(self._header) if self._header else b""),
            "has_header": self._header is not None,
            "escapes": self._escapes,
            "formulas": ("".join(STARTS), PASSED_OVER),
        }

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Encode rows: whole lines."""
        return b"".join(self._pieces(rows))

    def finish(self) -> Iterator[bytes]:
        """Nothing, or the file's beginning if there was no row."""
        if not self._head_is_out:
            yield self._mark + (self._first_line(self._header) if self._header else b"")

    def _pieces(self, rows: Sequence[Sequence[Cell]]) -> Iterator[bytes]:
        if not self._head_is_out and (rows or self._header):
            self._head_is_out = True
            yield self._mark
            if self._header:
                yield self._first_line(self._header)
            else:
                yield self._first_line(rows[0])
                rows = rows[1:]
        if len(rows) == 1:
            yield from self._line(rows[0])
            return
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            yield self._lines(rows[start : start + _ROWS_AT_ONCE])

    def _first_line(self, cells: Sequence[Cell]) -> bytes:
        line = b"".join(self._line(cells))
        first = self._field(cells[0])
        if first.startswith(_MISTAKEN_BEGINNINGS):  # so there are no quotes yet
            return _in_quotes(first).encode() + line[len(first.encode()) :]
        return line

    def _line(self, row: Sequence[Cell]) -> Iterator[bytes]:
        """The line of a row encoded alone, as its cells have megabytes."""
        for number, cell in enumerate(row):
            yield self._delimiter.encode() if number else b""
            text = cell_text(cell) if isinstance(cell, str | list | dict) else ""
            if len(text) > LONG_TEXT:
                yield from self._long_field(text, may_be_formula=isinstance(cell, str))
            else:
                yield self._field(cell).encode()
        yield self._line_ending.encode()

    def _long_field(self, text: str, *, may_be_formula: bool) -> Iterator[bytes]:
        mark = "'" if may_be_formula and self._escapes and is_formula(text) else ""
        # The delimiter may be the mark itself: without quotes the field would be split at it.
        quote = '"' if self._calls_for_quotes(text) or self._delimiter == mark else ""
        yield f"{quote}{mark}".encode()
        for start in range(0, len(text), LONG_TEXT):
            yield text[start : start + LONG_TEXT].replace('"', '""').encode()
        yield quote.encode()

    def _lines(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        columns = [self._fields(column) for column in zip(*rows, strict=True)]
        lines = map(self._delimiter.join, zip(*columns, strict=True))
        return (self._line_ending.join(lines) + self._line_ending).encode()

    def _fields(self, column: Sequence[Cell]) -> Sequence[str]:
        """The fields of a column's cells, by the fastest path for the types in it."""
        kinds = set(map(type, column))
        if self._quotes_all or self._is_lone:
            return [self._field(cell) for cell in column]
        if kinds == {str}:
            return self._strings(column)
        if kinds <= _NUMBERS and self._numbers_are_plain:
            texts = number_texts(column)
            return [text.replace(".", ",") for text in texts] if self._decimal_comma else texts
        if kinds <= _WORDS:
            return [self._words[cell] for cell in column]
        if kinds == {str, NoneType}:
            strings = self._strings([cell or "" for cell in column])
            if null := self._words[None]:  # else null is an empty string's field, as it is here
                pairs = zip(column, strings, strict=True)
                strings = [null if cell is None else field for cell, field in pairs]
            return strings
        return [self._field(cell) for cell in column]

    def _strings(self, column: Sequence[str]) -> Sequence[str]:
        """The fields of strings; a string without anything special is its own field.

        Checks the whole column at once for special ones. A false find, as where a cell itself holds
        the character between them, costs time only.
        """
        joined = _BETWEEN + _BETWEEN.join(column)
        has_formulas = self._escapes and _find_suspect(joined) is not None
        specials = [special for special in self._specials if special in joined]
        if not has_formulas and not specials:
            return column
        if len({*column[:_SAMPLE_ROWS]}) * _FEW <= min(_SAMPLE_ROWS, len(column)):
            fields = {text: self._field(text) for text in {*column}}
            return [fields[text] for text in column]
        if has_formulas:
            column = [escaped(text) if text[:1] in _SUSPECT_STARTS else text for text in column]
            joined = _BETWEEN.join(column)
            specials = [special for special in self._specials if special in joined]
        match specials:
            case []:
                return column
            case [one]:
                return [_in_quotes(text) if one in text else text for text in column]
            case [one, other]:  # often the delimiter and ": twice as quick as to search
                return [
                    _in_quotes(text) if one in text or other in text else text for text in column
                ]
        return [self._quoted(text) for text in column]

    def _field(self, cell: Cell) -> str:
        """The field of one cell: escaped, then quoted. The null option is never escaped."""
        if cell is None or isinstance(cell, bool):
            return self._words[cell]
        if isinstance(cell, int | float):
            return self._number(cell)
        text = cell_text(cell)
        if self._escapes and isinstance(cell, str):
            text = escaped(text)
        return self._quoted(text)

    def _number(self, number: float) -> str:
        """Of a number only the delimiter calls for quotes: no reader runs a part of it."""
        text = cell_text(number)
        if self._decimal_comma:
            text = text.replace(".", ",")
        return _in_quotes(text) if self._quotes_all or self._delimiter in text else text

    def _quoted(self, text: str) -> str:
        return _in_quotes(text) if self._calls_for_quotes(text) else text

    def _calls_for_quotes(self, text: str) -> bool:
        """A line of nothing, or of what readers drop and trim, would be no row to some."""
        if self._quotes_all or self._find_special(text):
            return True
        return self._is_lone and not text.strip(PASSED_OVER)


def _in_quotes(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
