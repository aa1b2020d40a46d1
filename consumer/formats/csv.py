"""CSV: rows to UTF-8 text, to the letter of the contract's "Cells in CSV" and "Formula escaping".

Not Python's ``csv.writer``: the contract wants quotes for the delimiter, ``"``, CR and LF alone; it
quotes a lone empty field too and, in Python 3.11 with LF as the line ending, leaves a CR bare.
Invariant: each field is what ``_field`` makes of its cell; the ways around it, a whole column at a
time, only save time.
"""

import re
from collections.abc import Iterator, Sequence
from types import NoneType

from consumer.formats.cells import LONG_TEXT, cell_text, number_texts
from schemas.options import CsvOptions
from schemas.records import Cell
from schemas.requests import ExportRequested

_ROWS_AT_ONCE = 1_000
_SAMPLE_ROWS = 64
_FEW = 4  # one in so many cells of a sample differs: it is worth to look for distinct ones
_FORMULA_STARTS = frozenset("=+-@\t\r")
# ASCII digits, at most one point, an exponent: no spaces, separators, other bases or "inf".
# Nothing is given back (++), or a long text that is nearly one would take quadratic time.
_NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_NUMBERS = frozenset({int, float})
_WORDS = frozenset({bool, NoneType})
_BETWEEN = "\0"  # any character that is no formula start, CR or LF; a cell may well hold it


class CsvWriter:
    """Writes one export as CSV; a ``FormatWriter``.

    The byte order mark and the header row come first, even if no row follows. Every line has its
    line ending. A row of one column whose field is empty is an empty line, as nothing in it calls
    for quotes; some readers, Python's among them, take that for no cell rather than an empty one.
    """

    def __init__(self, request: ExportRequested) -> None:
        options = request.options
        if not isinstance(options, CsvOptions):
            raise TypeError(f"the options of {request.format} are not those of csv")
        self._delimiter = options.delimiter
        self._line_ending = "\r\n" if options.line_ending == "crlf" else "\n"
        self._escapes = options.escape_formulas
        self._specials = tuple(f'{options.delimiter}"\r\n')
        self._find_special = re.compile(f'[{re.escape(options.delimiter)}"\r\n]').search
        self._words = {
            word: self._quoted(cell_text(word, options.null)) for word in (None, True, False)
        }
        self._numbers_are_plain = options.delimiter not in "0123456789+-.e"
        self._head = self._first_bytes(request, options)

    @property
    def pages(self) -> None:
        """A CSV has no pages."""

    @property
    def replaced_characters(self) -> None:
        """UTF-8 has every character."""

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Encode rows: whole lines."""
        return b"".join(self._pieces(rows))

    def finish(self) -> Iterator[bytes]:
        """Nothing, or what comes first if there was no ``append``."""
        if self._head:
            yield self.append(())

    def _first_bytes(self, request: ExportRequested, options: CsvOptions) -> bytes:
        mark = "\ufeff" if options.bom else ""
        headers = [self._field(column.header) for column in request.columns]
        line = self._delimiter.join(headers) + self._line_ending if options.header else ""
        return (mark + line).encode()

    def _pieces(self, rows: Sequence[Sequence[Cell]]) -> Iterator[bytes]:
        yield self._head
        self._head = b""
        if len(rows) == 1:
            yield from self._line(rows[0])
            return
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            yield self._lines(rows[start : start + _ROWS_AT_ONCE])

    def _line(self, row: Sequence[Cell]) -> Iterator[bytes]:
        """The line of a row that comes alone, as one does whose cells have megabytes."""
        for number, cell in enumerate(row):
            yield self._delimiter.encode() if number else b""
            if isinstance(cell, str) and len(cell) > LONG_TEXT:
                yield from self._long_field(cell)
            else:
                yield self._field(cell).encode()
        yield self._line_ending.encode()

    def _long_field(self, text: str) -> Iterator[bytes]:
        mark = "'" if self._escapes and _is_formula(text) else ""
        quote = '"' if any(sign in mark or sign in text for sign in self._specials) else ""
        yield f"{quote}{mark}".encode()
        for start in range(0, len(text), LONG_TEXT):
            yield text[start : start + LONG_TEXT].replace('"', '""').encode()
        yield quote.encode()

    def _lines(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        columns = [self._fields(column) for column in zip(*rows, strict=True)]
        lines = map(self._delimiter.join, zip(*columns, strict=True))
        return (self._line_ending.join(lines) + self._line_ending).encode()

    def _fields(self, column: Sequence[Cell]) -> Sequence[str]:
        """The fields of a column's cells, by the shortest way for the types that are in it."""
        kinds = set(map(type, column))
        if kinds == {str}:
            return self._strings(column)
        if kinds <= _NUMBERS and self._numbers_are_plain:
            return number_texts(column)
        if kinds <= _WORDS:
            return [self._words[cell] for cell in column]
        if kinds == {str, NoneType}:
            strings = self._strings([cell or "" for cell in column])
            null = self._words[None]
            if not null:
                return strings  # as an empty string is its own field
            return [
                null if cell is None else field for cell, field in zip(column, strings, strict=True)
            ]
        return [self._field(cell) for cell in column]

    def _strings(self, column: Sequence[str]) -> Sequence[str]:
        """The fields of strings; a string without anything special is its own field.

        Checks the whole column at once for special ones. To find one in vain, as where
        a cell itself holds the character between them, costs time only.
        """
        joined = _BETWEEN + _BETWEEN.join(column)
        has_formulas = self._escapes and any(
            start in joined and _BETWEEN + start in joined for start in _FORMULA_STARTS
        )
        specials = [special for special in self._specials if special in joined]
        if not has_formulas and not specials:
            return column
        if len({*column[:_SAMPLE_ROWS]}) * _FEW <= min(_SAMPLE_ROWS, len(column)):
            fields = {text: self._field(text) for text in {*column}}
            return [fields[text] for text in column]
        if has_formulas:
            column = [_escaped(text) if text[:1] in _FORMULA_STARTS else text for text in column]
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
        text = cell_text(cell)
        if self._escapes and isinstance(cell, str):
            text = _escaped(text)
        return self._quoted(text)

    def _quoted(self, text: str) -> str:
        return _in_quotes(text) if self._find_special(text) else text


def _in_quotes(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _escaped(text: str) -> str:
    """``text`` with a ``'`` before it if a spreadsheet might run it as a formula."""
    return "'" + text if _is_formula(text) else text


def _is_formula(text: str) -> bool:
    return text[:1] in _FORMULA_STARTS and not _NUMBER.fullmatch(text)
