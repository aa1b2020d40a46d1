"""Records whose header names aren't UTF-8, read all the same.

aiokafka raises ``UnicodeDecodeError`` out of the poll for such a record, for ever, and skips the
good records before it: one message would take every partition of a member down. Brokers accept
them, and clients that treat a header's name as bytes can send them. So the batch in question is
read once more, by aiokafka's own parser in Python, with the odd bytes escaped. Nothing else changes
and nothing else is read twice. Invariant: a batch gives all of its records, in order.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any

import aiokafka.consumer.fetcher as aiokafka_fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT, _OVERHEAD = 8, 12  # of a record batch: base offset (8 bytes), then its length (4)


class LenientRecords:
    """``MemoryRecords`` of aiokafka, but for batches that it can't read."""

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """As aiokafka's."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """As aiokafka's."""
        return bool(self._records.has_next())

    def next_batch(self) -> "LenientBatch":
        """As aiokafka's."""
        (length,) = struct.unpack_from(">i", self._data, self._at + _LENGTH_AT)
        begin, self._at = self._at, self._at + _OVERHEAD + length
        return LenientBatch(self._records.next_batch(), self._data[begin : self._at])


class LenientBatch:
    """A record batch of aiokafka's, whose records can always be read."""

    def __init__(self, batch: Any, data: memoryview) -> None:  # noqa: ANN401 - no types there
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a batch has
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # noqa: ANN401 - a record
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        count = 0
        try:
            for record in self._batch:
                yield record
                count += 1
        except UnicodeDecodeError:
            yield from islice(_Batch(self._data), count, None)


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]  # aiokafka has no types
    def __iter__(self) -> Iterator[Any]:
        self._maybe_uncompress()
        self._buffer: bytearray = _Escaping(self._buffer)
        return self


class _Escaping(bytearray):
    """Bytes whose slices decode to text whatever they are."""

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - an int or a slice, as bytearray's
        found = super().__getitem__(index)
        return _Escaping(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        """As ``bytes.decode``, with the odd bytes escaped."""
        return super().decode(encoding, errors)


def read_leniently() -> None:
    """From now on every consumer of this process reads so."""
    aiokafka_fetcher.MemoryRecords = LenientRecords
