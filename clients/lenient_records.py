"""Reads every record batch, including those that aiokafka's parser can't.

aiokafka decompresses whole batches on the event loop. At a record it can't parse, every poll raises
and the good records before it are lost, so one message would stop all partitions of a member.
Therefore aiokafka's parser gets only batches that are *light* even after decompression. The records
of other batches are read one by one; or the batch is passed on unparsed, if the consumer was
started in ``batches_handed_on``. Invariant: a batch yields all of its records, in order.
"""

import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import Any

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords

from clients.aiokafka_private import replace_record_classes
from clients.bounded_fetch import BoundedFetchResult
from clients.inflate import NONE, inflated_within
from clients.record_stream import MOST_HEADERS, PackedBatch, RecordStream, StreamedRecord, is_flood
from schemas.limits import LARGE_BYTES

_LENGTH_AT, _OVERHEAD = 8, 12  # of a record batch: base offset (8 bytes), then its length (4)
# Bytes from a batch's beginning, in magic 2.
_MAGIC_AT, _ATTRIBUTES_AT, _RECORDS_AT = 16, 21, 61
_CODEC = 0x07

_handing_on: ContextVar[bool] = ContextVar("handing_on", default=False)


@contextmanager
def batches_handed_on() -> Iterator[None]:
    """Consumers started in this block return batches that aren't light unparsed.

    Each is one message, with the offset of the batch's last record and a ``PackedBatch`` as value.
    """
    token = _handing_on.set(True)
    try:
        yield
    finally:
        _handing_on.reset(token)


class LenientRecords:
    """Replaces aiokafka's ``MemoryRecords``; its batches are ``LenientBatch``."""

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0
        # Read in the fetcher's task, which began in the block; batches are iterated elsewhere.
        self._hands_on = _handing_on.get()

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
        data = self._data[begin : self._at]
        return LenientBatch(self._records.next_batch(), data, hands_on=self._hands_on)


class LenientBatch:
    """Wraps aiokafka's record batch so that iterating never raises."""

    def __init__(self, batch: Any, data: memoryview, *, hands_on: bool) -> None:  # noqa: ANN401 - no types there
        self._batch = batch
        self._data = data
        self._hands_on = hands_on

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of a batch
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # noqa: ANN401 - a record
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        first_offset = self._batch.base_offset
        batch = self._light()
        if batch is not None:
            try:
                for record in batch:
                    # Too many headers have been parsed; without them the record takes little
                    # memory.
                    yield (
                        record if len(record.headers) <= MOST_HEADERS else _without_headers(record)
                    )
                    # If the parser fails midway, the stream continues after the last good record.
                    first_offset = record.offset + 1
            except (ValueError, CorruptRecordException):  # such as a header's name that isn't UTF-8
                pass
            else:
                return
        yield from self._heavy(first_offset)

    def _light(self) -> Any:  # noqa: ANN401 - aiokafka's batch
        """The decompressed batch for aiokafka's parser; None if it isn't light."""
        data = self._data
        if data[_MAGIC_AT] < 2:
            return self._batch  # of a Kafka before 0.11
        (attributes,) = struct.unpack_from(">h", data, _ATTRIBUTES_AT)
        inflated = inflated_within(attributes & _CODEC, data[_RECORDS_AT:], LARGE_BYTES)
        if inflated is None or is_flood(inflated):
            return None
        if attributes & _CODEC == NONE:
            return self._batch
        # The same batch, uncompressed: aiokafka's parser reads length and codec from its header.
        whole = bytearray(data[:_RECORDS_AT])
        struct.pack_into(">i", whole, _LENGTH_AT, _RECORDS_AT - _OVERHEAD + len(inflated))
        struct.pack_into(">h", whole, _ATTRIBUTES_AT, attributes & ~_CODEC)
        whole += inflated
        return DefaultRecordBatch(bytes(whole))

    def _heavy(self, first_offset: int) -> Iterator[StreamedRecord]:
        if not self._hands_on:
            with closing(RecordStream(self._data, first_offset=first_offset)) as stream:
                yield from filter(None, stream)  # it keeps none of them, as a variable would
            return
        packed = PackedBatch(self._data)
        packed.first_offset = first_offset
        # Its last offset, so that the consumer's position moves past the whole batch.
        last_offset = self._batch.next_offset - 1
        yield StreamedRecord(last_offset, self._batch.max_timestamp, 0, None, packed)


def _without_headers(record: Any) -> StreamedRecord:  # noqa: ANN401 - aiokafka's
    return StreamedRecord(
        record.offset, record.timestamp, record.timestamp_type, record.key, record.value
    )


def read_leniently() -> None:
    """Make every consumer of this process read this way, a bounded amount per call. Idempotent."""
    replace_record_classes(LenientRecords, BoundedFetchResult)
