"""XML: a table as SQL/XML maps it (ISO/IEC 9075-14), a row a line, an element for each cell.

Built a column at a time. Invariant: a line break in the file ends a line of ours, as one in a cell
is a character reference; and a reader of XML 1.0 gets back each cell's text, but for what XML can't
hold, which is replaced and counted.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from types import NoneType

from consumer.errors import ExportFailure
from consumer.formats.base import WholeCells
from consumer.formats.cells import LONG_TEXT, cell_text, number_texts
from schemas.limits import MOST_BATCH_OUTPUT_BYTES
from schemas.options import XmlOptions
from schemas.records import Cell, EncodedRows
from schemas.requests import ExportRequested
from schemas.vocabulary import FailReason
from schemas.xml_names import element_name

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_ROWS_AT_ONCE = 1_000
_NUMBERS = frozenset({int, float})
_WORDS = {True: "true", False: "false"}
# XML 1.0, 2.2: what is no Char. Half of a surrogate pair never comes here.
_NO_CHARACTER = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REPLACEMENT = "\ufffd"
_BETWEEN = "\0"  # which no cell has any more when it is put between
# ">" for the sake of "]]>"; line breaks as a reader would make LF of CR, and as a row is a line.
_REFERENCES = (
    *(("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")),
    *(("\r", "&#13;"), ("\n", "&#10;")),
)
# Bytes of UTF-8 that may call for one of the above; 0xEF begins U+FFFE and U+FFFF, and others.
_SUSPECT = bytes([*range(0x20), 0xEF]).replace(b"\t", b"") + b"&<>"


class XmlWriter(WholeCells):
    """A ``FormatWriter``: the declaration, the root and in it a row a line."""

    def __init__(self, request: ExportRequested) -> None:
        options = request.options
        if not isinstance(options, XmlOptions):
            raise TypeError(f"the options of {request.format} are not those of xml")
        self.replaced_characters: int = 0
        names = [element_name(column.key) for column in request.columns]
        self._starts = [f"<{name}>" for name in names]
        self._ends = [f"</{name}>" for name in names]
        nil = options.null == "nil"
        self._nulls = [f'<{name} xsi:nil="true"/>' if nil else "" for name in names]
        self._row, self._row_end = f"<{options.row}>", f"</{options.row}>\n"
        namespace = f' xmlns:xsi="{_XSI}"' if nil else ""
        self._head = f'<?xml version="1.0" encoding="UTF-8"?>\n<{options.root}{namespace}>\n'
        self._tail = f"</{options.root}>\n"

    @property
    def native_place(self) -> bool:
        """Whether the file's beginning was handed out."""
        return not self._head

    def native_options(self) -> dict[str, object]:
        """What ``native/src/xml.rs`` needs to know, texts ready to be written."""
        elements = zip(self._starts, self._ends, self._nulls, strict=True)
        return {
            "head": self._head.encode(),
            "row": [self._row.encode(), self._row_end.encode()],
            "elements": [[text.encode() for text in element] for element in elements],
        }

    def adopt(self, rows: EncodedRows) -> bytes:
        """See ``NativeWriter``."""
        self._head = ""
        self.replaced_characters += rows.replaced_characters
        return rows.data

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Encode rows: whole lines.

        Raises:
            ExportFailure: one row alone makes more than a batch may. Its bound is looked at while
                the row is made, as a cell of 16 MiB may make 80.
        """
        return b"".join(self._pieces(rows))

    def finish(self) -> Iterator[bytes]:
        """The root's end, and before it what comes first if there was no ``append``."""
        yield (self._head + self._tail).encode()

    def _pieces(self, rows: Sequence[Sequence[Cell]]) -> Iterator[bytes]:
        yield self._head.encode()
        self._head = ""
        if len(rows) == 1:
            yield from _bounded(self._line(rows[0]))
            return
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            yield self._lines(rows[start : start + _ROWS_AT_ONCE])

    def _line(self, row: Sequence[Cell]) -> Iterator[bytes]:
        """The line of a row that comes alone, as one does whose cells have megabytes."""
        yield self._row.encode()
        for cell, start, end, null in zip(row, self._starts, self._ends, self._nulls, strict=True):
            if cell is None:
                yield null.encode()
                continue
            text = cell_text(cell)
            yield start.encode()
            for at in range(0, len(text), LONG_TEXT):
                yield self._escaped([text[at : at + LONG_TEXT]])[0].encode()
            yield end.encode()
        yield self._row_end.encode()

    def _lines(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Lines by one join: what stands between two columns' texts is the same in each row."""
        before = self._row
        parts: list[Iterable[str]] = []
        columns = zip(*rows, strict=True)
        for column, start, end, null in zip(
            columns, self._starts, self._ends, self._nulls, strict=True
        ):
            kinds = {*map(type, column)}
            if NoneType in kinds:
                parts += (repeat(before), self._elements(column, start, end, null))
                before = ""
            else:
                parts += (repeat(before + start), self._texts(column, kinds))
                before = end
        parts.append(repeat(before + self._row_end))
        # Not strict: what is repeated has no end.
        return "".join(chain.from_iterable(zip(*parts, strict=False))).encode()

    def _elements(self, column: Sequence[Cell], start: str, end: str, null: str) -> list[str]:
        """Each cell's element, of a column where some are null."""
        cells = [cell for cell in column if cell is not None]
        texts = iter(self._texts(cells, {*map(type, cells)}))
        return [null if cell is None else f"{start}{next(texts)}{end}" for cell in column]

    def _texts(self, column: Sequence[Cell], kinds: set[type]) -> Sequence[str]:
        """The content of each cell's element; none is null."""
        if kinds == {str}:
            return self._escaped(column)
        if kinds <= _NUMBERS:
            return number_texts(column)
        if kinds == {bool}:
            return [_WORDS[cell] for cell in column]
        return self._escaped([*map(cell_text, column)])

    def _escaped(self, texts: Sequence[str]) -> Sequence[str]:
        joined = "".join(texts)
        encoded = joined.encode()
        if len(encoded.translate(None, _SUSPECT)) == len(encoded):
            return texts
        if _NO_CHARACTER.search(joined):
            texts = [*map(self._replaced, texts)]
        joined = _BETWEEN.join(texts)
        for character, reference in _REFERENCES:
            joined = joined.replace(character, reference)
        return joined.split(_BETWEEN)

    def _replaced(self, text: str) -> str:
        text, count = _NO_CHARACTER.subn(_REPLACEMENT, text)
        self.replaced_characters += count
        return text


def _bounded(row: Iterator[bytes]) -> Iterator[bytes]:
    left = MOST_BATCH_OUTPUT_BYTES
    for piece in row:
        left -= len(piece)
        if left < 0:
            most = f"{MOST_BATCH_OUTPUT_BYTES:,}"
            message = f"a row makes more than {most} bytes of the file"
            raise ExportFailure(FailReason.TOO_LARGE, message)
        yield piece
