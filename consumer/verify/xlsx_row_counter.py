"""Counts the rows in an XLSX again: member by member, front to back, as ``formats.xlsx`` writes.

Invariant: what is held at a time is bounded, whatever is fed, and so is the time for it: deflate
makes at most a thousand bytes of one. Where a file is no such zip, the count ends.
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from struct import Struct

_HEADER = Struct("<4s22x2H")
_LOCAL, _DIRECTORY = b"PK\3\4", b"PK\1\2"
_DESCRIPTORS_BYTES = (16, 24)  # with sizes of 32 or of 64 bits
_SHEETS = b"xl/worksheets/"
_ROW, _FROZEN = b"<row ", b'state="frozen"'
_HEAD_BYTES = 1024
_INFLATED_BYTES = 256 * 1024


class XlsxRowCounter:
    """A ``RowCounter``. A frozen row is its sheet's header, and doesn't count."""

    def __init__(self) -> None:
        self.rows = 0
        self._unread = bytearray()
        self._steps = self._read()

    @property
    def pages(self) -> None:
        """A workbook has no pages."""

    def feed(self, piece: bytes) -> None:
        """See ``RowCounter.feed``."""
        self._unread += piece
        next(self._steps)

    def _read(self) -> Iterator[None]:
        """Members, then nothing more; each step waits for more bytes."""
        with suppress(zlib.error):
            yield from self._members()
        while True:
            self._unread.clear()
            yield

    def _members(self) -> Iterator[None]:
        while True:
            yield from self._wait_for(_HEADER.size)
            signature, *lengths = _HEADER.unpack_from(self._unread)
            if signature != _LOCAL:
                return
            yield from self._wait_for(_HEADER.size + sum(lengths))
            is_sheet = self._unread.startswith(_SHEETS, _HEADER.size)
            del self._unread[: _HEADER.size + sum(lengths)]
            yield from self._inflated(_Sheet() if is_sheet else None)
            yield from self._wait_for(max(_DESCRIPTORS_BYTES) + len(_LOCAL))
            # Only what follows a descriptor shows which of the two it is.
            ends = (
                n for n in _DESCRIPTORS_BYTES if self._unread[n : n + 4] in (_LOCAL, _DIRECTORY)
            )
            del self._unread[: next(ends, 0)]

    def _inflated(self, sheet: "_Sheet | None") -> Iterator[None]:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        while not inflate.eof:
            yield from self._wait_for(1)
            packed = bytes(self._unread)
            self._unread.clear()
            while packed and not inflate.eof:
                xml = inflate.decompress(packed, _INFLATED_BYTES)
                packed = inflate.unconsumed_tail
                if sheet:
                    self.rows += sheet.count(xml)
        self._unread += inflate.unused_data

    def _wait_for(self, count: int) -> Iterator[None]:
        while len(self._unread) < count:
            yield


class _Sheet:
    """Finds rows in the XML of a sheet, which comes in pieces."""

    def __init__(self) -> None:
        self._head = b""
        self._last = b""
        self._has_rows = False

    def count(self, xml: bytes) -> int:
        """Rows that begin in the next piece; not the first one if it is frozen."""
        self._head += xml[: _HEAD_BYTES - len(self._head)]
        seen = self._last + xml
        # A piece may end within the beginning of a row.
        self._last = seen[1 - len(_ROW) :]
        rows = seen.count(_ROW)
        is_first = rows > 0 and not self._has_rows
        self._has_rows |= is_first
        return rows - (is_first and _FROZEN in self._head)
