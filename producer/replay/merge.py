"""The second pass: the messages of whole exports, of all partitions, ordered by time.

Each partition's messages come in log order, and a request comes before its batches. Between
partitions timestamps decide, so exports interleave as they did. Invariant: one message of
each stream is held, and ``at_ms`` never goes down.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

from aiokafka import ConsumerRecord, TopicPartition

from producer.replay.catalogue import CatalogueMessage, ExportCatalogue
from producer.replay.source import ReplaySource
from schemas.codec import decode_request
from schemas.errors import SchemaError
from schemas.records import decode_batch
from schemas.requests import ExportRequested


@dataclass(frozen=True, slots=True)
class ReplayMessage:
    """A message of a whole export.

    ``at_ms`` is its time; it never goes down. ``recorded_ms`` is its Kafka timestamp.
    """

    number: int
    export_id: str
    partition: int
    at_ms: int
    recorded_ms: int
    value: bytes
    is_request: bool
    is_last: bool


def requested(message: ReplayMessage) -> ExportRequested:
    """The request of a message that is one."""
    request = decode_request(message.value)
    if not isinstance(request, ExportRequested):
        raise TypeError(f"{message.export_id}: its request was read as another message")
    return request


async def messages_in_order(
    source: ReplaySource, exports: ExportCatalogue, latest_ms: int
) -> AsyncIterator[ReplayMessage]:
    """All messages to be replayed; none has a time after ``latest_ms``.

    Raises:
        ClientError: the topics can't be read.
    """
    requests, records = source.topics.requests, source.topics.records
    found = list(exports.offset_spans())
    offsets = {TopicPartition(requests, one.partition): one.requests for one in found}
    offsets |= {TopicPartition(records, one.partition): one.records for one in found}
    streams = source.reader.streams(offsets)
    # Requests first: of messages of one millisecond, the first stream's comes first.
    chosen = [_requests(stream, exports) for stream in streams[: len(found)]]
    chosen += [_batches(stream, exports, latest_ms) for stream in streams[len(found) :]]
    async for message in merge_by_time(chosen):
        yield message


async def merge_by_time(
    streams: Sequence[AsyncIterator[ReplayMessage]],
) -> AsyncIterator[ReplayMessage]:
    """Merge streams by time; each is sorted, and of equal times the first stream comes first."""
    heads = []
    for place, stream in enumerate(streams):
        if head := await anext(stream, None):
            heads.append((head.at_ms, place, head))
    heapify(heads)
    while heads:
        _, place, head = heads[0]
        yield head
        following = await anext(streams[place], None)
        if following:
            heapreplace(heads, (following.at_ms, place, following))
        else:
            heappop(heads)


async def _requests(
    stream: AsyncGenerator[ConsumerRecord], exports: ExportCatalogue
) -> AsyncIterator[ReplayMessage]:
    async for message in stream:
        if place := exports.request_at(message.partition, message.offset):
            yield ReplayMessage(
                place.number,
                place.export_id,
                message.partition,
                place.requested_ms,
                message.timestamp,
                message.value,
                is_request=True,
                is_last=False,
            )


async def _batches(
    stream: AsyncGenerator[ConsumerRecord], exports: ExportCatalogue, latest_ms: int
) -> AsyncIterator[ReplayMessage]:
    at_ms = 0
    async for message in stream:
        if place := _place_of(message, exports):
            at_ms = max(at_ms, min(message.timestamp, latest_ms), place.requested_ms)
            yield ReplayMessage(
                place.number,
                place.export_id,
                message.partition,
                at_ms,
                message.timestamp,
                message.value,
                is_request=False,
                is_last=place.last,
            )


def _place_of(batch: ConsumerRecord, exports: ExportCatalogue) -> CatalogueMessage | None:
    try:
        export_id = decode_batch(batch.value).export_id
    except SchemaError:
        return None  # not of a whole export
    return exports.batch_at(batch.partition, export_id, batch.offset)
