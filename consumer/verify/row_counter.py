"""Counts the rows in finished files again: bytes in, rows out, without the request.

It understands only what our own writers write. Invariant: memory doesn't grow with the file,
whatever is in it.
"""

import codecs
import re
import zlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

from consumer.verify.xlsx_row_counter import XlsxRowCounter
from schemas.vocabulary import Format

_MOST_STREAM_BYTES = 64 * 1024 * 1024  # of a page; one of 1,000 rows in 256 columns has a tenth


class RowCounter(Protocol):
    """What every format's counter does. Feed it the file in pieces of any size, then read it."""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the file."""

    @property
    def rows(self) -> int:
        """Rows so far. Of a CSV, records: a header line is one of them."""

    @property
    def pages(self) -> int | None:
        """Pages so far, or None where the format has none."""


def row_counter(file_format: Format) -> RowCounter:
    """Counts the rows of a file of this format."""
    return _COUNTERS[file_format]()


class CsvRowCounter:
    """A record ends at an LF outside quotes.

    Neither delimiter nor line ending need be known: a field that holds a quote, CR or LF is quoted
    and quotes in it are doubled, so an LF is outside quotes if an even number of them came before.
    """

    def __init__(self) -> None:
        self._ended = 0
        self._quoted = False
        self._last = b"\n"
        self._beginning = b""

    def feed(self, piece: bytes) -> None:
        """See ``RowCounter.feed``."""
        parts = piece.split(b'"')
        self._ended += sum(part.count(b"\n") for part in parts[self._quoted :: 2])
        self._quoted ^= len(parts) % 2 == 0
        self._last = piece[-1:] or self._last
        self._beginning = (self._beginning + piece[:4])[:4]

    @property
    def rows(self) -> int:
        """See ``RowCounter.rows``. A record that has no end counts too."""
        is_open = self._quoted or self._last != b"\n"
        return self._ended + (is_open and self._beginning != codecs.BOM_UTF8)

    @property
    def pages(self) -> None:
        """A CSV has no pages."""


class PdfRowCounter:
    """A row is a step down in a page's content stream that no step up undoes.

    Wrapped cells step down for each further line, and then up again; no string holds a line break.

    See ``consumer.formats.pdf``: a page's object is followed by its content, whose length is given.
    """

    _PAGE = re.compile(
        rb"<< /Type /Page /Parent \d+ 0 R /Contents (\d+) 0 R(?: /Resources \d+ 0 R)? >>\nendobj\n"
        rb"\1 0 obj\n<< /Filter /FlateDecode /Length (\d+) >>\nstream\n"
    )
    _LONGEST_HEAD = 256
    _STEP = re.compile(
        rb"^-?[0-9.]+ (-?(?!0 )[0-9]{1,5})(?:\.([0-9]{1,3}))? Td [(\[]", re.MULTILINE
    )

    def __init__(self) -> None:
        self.rows = 0
        self.pages = 0
        self._unread = bytearray()
        self._stream_bytes: int | None = None

    def feed(self, piece: bytes) -> None:
        """See ``RowCounter.feed``."""
        self._unread += piece
        while self._advance():
            pass

    def _advance(self) -> bool:
        """Take one thing off the unread bytes; whether there was enough of them."""
        if self._stream_bytes is None:
            head = self._PAGE.search(self._unread)
            if head is None:
                # A head may begin in what is left.
                del self._unread[: -self._LONGEST_HEAD]
                return False
            # The length is the file's own claim.
            self._stream_bytes = min(int(head[2]), _MOST_STREAM_BYTES)
            del self._unread[: head.end()]
            return True
        if len(self._unread) < self._stream_bytes:
            return False
        self.pages += 1
        self.rows += self._rows_on(bytes(self._unread[: self._stream_bytes]))
        del self._unread[: self._stream_bytes]
        self._stream_bytes = None
        return True

    def _rows_on(self, stream: bytes) -> int:
        try:
            content = zlib.decompressobj().decompress(stream, _MOST_STREAM_BYTES)
        except zlib.error:
            # Nothing to count: the file's hash shows that it is broken.
            return 0
        # Between columns no step goes up or down, and is passed over.
        downs: list[int] = []
        for whole, decimals in self._STEP.findall(content):
            thousandths = int(whole + decimals.ljust(3, b"0"))
            if thousandths < 0:
                downs.append(thousandths)
            while thousandths > 0 and downs:
                thousandths += downs.pop()
        return len(downs)


class LineCounter:
    """A row a line: no cell's text holds a line break. ``others`` are lines that are no rows."""

    def __init__(self, others: int) -> None:
        self._others = others
        self._lines = 0

    def feed(self, piece: bytes) -> None:
        """See ``RowCounter.feed``."""
        self._lines += piece.count(b"\n")

    @property
    def rows(self) -> int:
        """See ``RowCounter.rows``."""
        return max(0, self._lines - self._others)

    @property
    def pages(self) -> None:
        """There are no pages."""


_COUNTERS: dict[Format, Callable[[], RowCounter]] = {
    Format.CSV: CsvRowCounter,
    Format.PDF: PdfRowCounter,
    Format.XLSX: XlsxRowCounter,
    Format.NDJSON: partial(LineCounter, 0),
    Format.JSON: partial(LineCounter, 2),  # the brackets
    Format.XML: partial(LineCounter, 3),  # the declaration, the root and its end
}
_RECORD = re.compile(rb'(?:[^"\n]++|"[^"]*+"|(?!))*+\n')  # (?!): see schemas.json_text
_DIGIT = re.compile(rb"[0-9]")


def looks_headed(beginning: bytes) -> bool:
    """Whether the first record of a CSV stands out: it has no digit, and each one after it has.

    A guess, for where there is nothing better; no guess is made of a single record.
    """
    first, *others = _RECORD.findall(beginning) or [b""]
    return bool(others) and not _DIGIT.search(first) and all(map(_DIGIT.search, others))
