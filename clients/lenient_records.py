"""Records from aiokafka, whatever batch they came in.

aiokafka decompresses a batch at once and on the event loop, raises out of the poll for what it
can't parse, for ever, and skips the good records before it: one message would take every partition
of a member down. So a batch goes through its parser only if it is *light*, decompressed too. Of any
other the records are read one by one, or, for who asks for it, the batch is handed on as it came,
to be read elsewhere. Invariant: a batch gives all of its records, in order.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
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
_MAGIC_AT, _ATTRIBUTES_AT, _RECORDS_AT = 16, 21, 61
_CODEC = 0x07

_handing_on: ContextVar[bool] = ContextVar("handing_on", default=False)


@contextmanager
def batches_handed_on() -> Iterator[None]:
    """A consumer that is started in this block gives batches that aren't light as they came.

    Each as one message, with the offset of the batch's last record and a ``PackedBatch`` as value.
    """
    token = _handing_on.set(True)
    try:
        yield
    finally:
        _handing_on.reset(token)


class LenientRecords:
    """``MemoryRecords`` of aiokafka, but for batches that it must not or can't read."""

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0
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
    """A record batch of aiokafka's, whose records can always be read."""

    def __init__(self, batch: Any, data: memoryview, *, hands_on: bool) -> None:  # noqa: ANN401 - no types there
        self._batch = batch
        self._data = data
        self._hands_on = hands_on

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a batch has
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # noqa: ANN401 - a record
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        first_offset = self._batch.base_offset
        batch = self._light()
        if batch is not None:
            try:
                for record in batch:
                    yield (
                        record if len(record.headers) <= MOST_HEADERS else _without_headers(record)
                    )
                    first_offset = record.offset + 1
            except (ValueError, CorruptRecordException):  # such as a header's name that isn't UTF-8
                pass
            else:
                return
        yield from self._heavy(first_offset)

    def _light(self) -> Any:  # noqa: ANN401 - aiokafka's batch
        """The batch for aiokafka's parser, decompressed; None if it must not see it."""
        data = self._data
        if data[_MAGIC_AT] < 2:
            return self._batch  # of a Kafka before 0.11
        (attributes,) = struct.unpack_from(">h", data, _ATTRIBUTES_AT)
        inflated = inflated_within(attributes & _CODEC, data[_RECORDS_AT:], LARGE_BYTES)
        if inflated is None or is_flood(inflated):
            return None
        if attributes & _CODEC == NONE:
            return self._batch
        whole = bytearray(data[:_RECORDS_AT])
        struct.pack_into(">i", whole, _LENGTH_AT, _RECORDS_AT - _OVERHEAD + len(inflated))
        struct.pack_into(">h", whole, _ATTRIBUTES_AT, attributes & ~_CODEC)
        whole += inflated
        return DefaultRecordBatch(bytes(whole))

    def _heavy(self, first_offset: int) -> Iterator[StreamedRecord]:
        if not self._hands_on:
            stream = RecordStream(self._data, first_offset=first_offset)
            yield from (record for record in stream if record)
            return
        packed = PackedBatch(self._data)
        packed.first_offset = first_offset
        last_offset = self._batch.next_offset - 1
        yield StreamedRecord(last_offset, self._batch.max_timestamp, 0, None, packed)


def _without_headers(record: Any) -> StreamedRecord:  # noqa: ANN401 - aiokafka's
    return StreamedRecord(
        record.offset, record.timestamp, record.timestamp_type, record.key, record.value
    )


def read_leniently() -> None:
    """From now on every consumer of this process reads so, and gives so much at a time."""
    replace_record_classes(LenientRecords, BoundedFetchResult)
