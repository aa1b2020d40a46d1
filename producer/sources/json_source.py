"""JSON to rows: one row a line (NDJSON), or one array of rows however it is laid out.

Invariant: memory is bounded by one row of ``ITEM_MAX_BYTES``, and no integer changes.
"""

import io
import re
from collections.abc import Iterator, Sequence
from itertools import count

from producer.sources.table import Item, SourceError, SourceTable, table_of_items
from schemas import exact_json

ITEM_MAX_BYTES = 4 * 1024 * 1024
"""Of a row as it stands in the file, with its white space."""
_CHUNK_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_WHITE = b" \t\r\n"
_WHITES = re.compile(rb"[ \t\r\n]*")
# Everything up to the next bracket, over whole strings. It stops at a quote whose string has not
# been read to its end. Loops over runs, not characters, so that going back costs little; possessive
# quantifiers, made for this, match wrongly before Python 3.11.5.
_BARE, _QUOTED = rb'[^"\[\]{}]*', rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TO_BRACKET = re.compile(rb"%b(?:%b%b)*" % (_BARE, _QUOTED, _BARE), re.DOTALL)


def read_ndjson(stream: io.BufferedReader, columns: Sequence[str] | None = None) -> SourceTable:
    """Read one JSON row a line, in UTF-8; blank lines are skipped. See ``table_of_items``.

    Raises:
        SourceError: as ``table_of_items``, or the first line is malformed.
    """
    return table_of_items(_lines(stream), columns)


def read_json(stream: io.BufferedReader, columns: Sequence[str] | None = None) -> SourceTable:
    """Read one JSON array of rows, in UTF-8. See ``table_of_items``.

    Raises:
        SourceError: as ``table_of_items``, or there is no array, or its first row is malformed.
    """
    return table_of_items(_elements(stream), columns)


def _lines(stream: io.BufferedReader) -> Iterator[Item]:
    number = 0
    while line := stream.readline(ITEM_MAX_BYTES + 1):
        number += 1
        place = f"line {number}"
        if len(line) > ITEM_MAX_BYTES:
            raise SourceError(f"{place}: longer than {ITEM_MAX_BYTES:,} bytes")
        if number == 1:
            line = line.removeprefix(_BOM)
        if not line.isspace():
            yield Item(place, _parse(place, line))


def _elements(stream: io.BufferedReader) -> Iterator[Item]:
    text = _ArrayText(stream)
    if text.next_byte() != b"[":
        raise SourceError("there is no JSON array of rows: it doesn't begin with '['")
    text.skip()
    more = text.next_byte() != b"]"
    for number in count(1):
        if not more:
            break
        found = text.next_byte()
        place = f"line {text.line}, element {number} (byte {text.offset})"
        if found not in {b"{", b"["}:
            raise SourceError(f"{place}: {_shown(found)} where an object or array should begin")
        yield Item(place, _parse(place, text.take_bracketed(place)))
        more = text.next_byte() == b","
        if more:
            text.skip()
    _end(text)


def _end(text: "_ArrayText") -> None:
    """Take the array's end, and see that nothing follows."""
    if (found := text.next_byte()) != b"]":
        raise SourceError(f"byte {text.offset}: {_shown(found)} instead of ',' or ']'")
    text.skip()
    if (found := text.next_byte()) is not None:
        raise SourceError(f"byte {text.offset}: {_shown(found)} after the array's end")


def _parse(place: str, text: bytes) -> object:
    try:
        return exact_json.loads(text)
    except ValueError as error:
        raise SourceError(f"{place}: malformed JSON: {error}") from None


def _shown(found: bytes | None) -> str:
    return "the end of the file" if found is None else repr(found.decode("latin-1"))


class _ArrayText:
    """A window on the text of an array: what is not consumed yet, as far as it was read."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._text = b""
        self._at = 0
        self._dropped = 0
        self._lines_dropped = 0
        while self._fill() and len(self._text) < len(_BOM):
            pass
        if self._text.startswith(_BOM):
            self._at = len(_BOM)

    @property
    def line(self) -> int:
        """The line that the next byte is on, from 1."""
        return self._lines_dropped + self._text.count(b"\n", 0, self._at) + 1

    @property
    def offset(self) -> int:
        """Bytes of the stream that are consumed."""
        return self._dropped + self._at

    def next_byte(self) -> bytes | None:
        """The next byte that is no white space, or None at the end; it is not consumed."""
        # Nothing is in any bytes, too: so this is also the end of what was read.
        while (byte := self._text[self._at : self._at + 1]) in _WHITE:
            self._at = _WHITES.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches nothing, too
            if self._at == len(self._text) and not self._fill():
                return None
        return byte

    def skip(self) -> None:
        """Consume one byte."""
        self._at += 1

    def take_bracketed(self, place: str) -> bytes:
        """Consume the value in brackets that begins here, up to the bracket that closes it.

        Raises:
            SourceError: it doesn't end, or is larger than ``ITEM_MAX_BYTES``.
        """
        length = depth = 0
        while True:
            here = self._at + length
            stop = _TO_BRACKET.match(self._text, here).end()  # type: ignore[union-attr]  # as above
            length = stop - self._at
            if length > ITEM_MAX_BYTES:
                raise SourceError(f"{place}: longer than {ITEM_MAX_BYTES:,} bytes")
            if stop == len(self._text) or self._text[stop] == ord('"'):
                if not self._fill():
                    raise SourceError(f"{place}: the file ends within it")
                continue
            depth += 1 if self._text[stop] in b"[{" else -1
            length += 1
            if depth == 0:
                break
        element = self._text[self._at : self._at + length]
        self._at += length
        return element

    def _fill(self) -> bool:
        """Read more, and forget what is consumed. False at the end of the stream."""
        chunk = self._stream.read1(_CHUNK_BYTES)
        self._lines_dropped += self._text.count(b"\n", 0, self._at)
        self._text = self._text[self._at :] + chunk
        self._dropped += self._at
        self._at = 0
        return bool(chunk)
