"""One partition's transactional producer: events, dead letters and offsets, atomically.

Facts about aiokafka 0.14 that this relies on: a failed send does not fail the transaction, so every
send is awaited before the commit; TxnOffsetCommit v0 does not fence by generation, so a stable
transactional id per partition does; ``stop`` can hang while the broker is down, so every call has a
deadline. Invariant: after any error the producer is unusable, and the commits have to be fetched
again.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata

from clients.aiokafka_private import cut_off_producer, discard_transaction_error
from consumer.core.resume import Committed, ResumePoint
from consumer.exports.messages import DeadLetter, Outcome
from schemas.completions import cloud_event_headers, encode_event
from schemas.limits import MOST_FORWARDED_BYTES
from schemas.topics import Topics
from schemas.unread_value import UnreadValue

# A dead owner's transaction may stay open this long if no successor fences it; read_committed
# readers of the completions wait for it.
TRANSACTION_TIMEOUT_MS = 30_000
_usual_partition = DefaultPartitioner()
_HASHED_BYTES = 1024
_CALL_SECONDS = 20.0  # below both the transaction's and aiokafka's request timeout (40 s)
# Applies to the stop and to the cut-off; both fit the two seconds that a member gives its lanes.
_STOP_SECONDS = 0.7
_ENVELOPE_BYTES = 4096  # overhead of a record batch and our headers, rounded up
_LENGTH_BYTES = 5  # the length before each key, value, header name or header value is a varint
# With a longer key, the headers that name the message's place might not fit.
_MOST_KEY_BYTES = 1024
_NULL = bytes(bytearray(b"null"))
"""Stands for a null value: aiokafka asserts that one of key and value is not null."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where transactions go. ``dead_letter_bytes`` is the dead-letter topic's message limit."""

    topics: Topics
    group_id: str
    client_options: Mapping[str, Any] = field(repr=False)  # contains the password
    dead_letter_bytes: int

    def transactional_id(self, partition: int) -> str:
        """Stable per partition, so that starting the producer fences the previous owner."""
        return f"{self.group_id}.{self.topics.requests}.{partition}"


class PartitionProducer:
    """One partition's producer, from its fencing start until it is dropped.

    If ``dead_letter_bytes`` is below the topic's limit, more is left out of large letters. The
    broker aborts a transaction that exceeds its timeout, and fences its producer.
    """

    def __init__(
        self,
        partition: int,
        destination: Destination,
        dead_letter_bytes: int | None = None,
        transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS,
    ) -> None:
        self._partition = partition
        self._to = destination
        self._dead_letter_bytes = (
            destination.dead_letter_bytes if dead_letter_bytes is None else dead_letter_bytes
        )
        self._producer = AIOKafkaProducer(
            **destination.client_options,
            transactional_id=destination.transactional_id(partition),
            transaction_timeout_ms=transaction_timeout_ms,
            # With aiokafka's default of 100 a lane reached only 25 transactions a second.
            retry_backoff_ms=20,
            # aiokafka compresses on the event loop: gzip took 2.9 s for a MiB of "a" and "b". The
            # broker compresses instead; see ``sluice topics create``.
            compression_type=None,
            # A message may have arrived compressed and is sent uncompressed: the topic's limit
            # applies, not this one.
            max_request_size=2 * MOST_FORWARDED_BYTES,
            value_serializer=_bytes_or_null,
            partitioner=partition_of,
        )

    async def start(self) -> None:
        """Fence the predecessor and wait until its transaction has ended.

        Raises:
            KafkaError, TimeoutError: drop it.
        """
        async with asyncio.timeout(_CALL_SECONDS):
            await self._producer.start()

    async def commit(self, outcome: Outcome, point: ResumePoint) -> None:
        """Publish an outcome and commit the resume point in one transaction.

        If cancelled or failed, the transaction may or may not have been committed: drop the
        producer, and fetch the commits after starting the next one.

        Raises:
            KafkaError, TimeoutError: drop it.
        """
        async with asyncio.timeout(_CALL_SECONDS):
            # 3. Send events and dead letters.
            await self._producer.begin_transaction()
            # Don't wait for each acknowledgement, which takes a round trip; all are awaited below.
            deliveries = [
                *await self._send_events(outcome),
                *await self._send_dead_letters(outcome),
            ]
            # 4. Await each acknowledgement: a failed send does not fail the transaction.
            await asyncio.gather(*deliveries)
            # 5. Add both offsets, with their metadata.
            await self._producer.send_offsets_to_transaction(
                self._offsets(point), self._to.group_id
            )
            # 6. Commit.
            await self._producer.commit_transaction()

    async def drop(self) -> None:
        """Stop the producer, or at least cut it off; never raises."""
        with contextlib.suppress(Exception):
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    # This hangs while the broker is down: the sender keeps retrying in its own
                    # tasks.
                    await self._producer.stop()
            except TimeoutError:
                await cut_off_producer(self._producer, _STOP_SECONDS)
            finally:
                discard_transaction_error(self._producer)

    async def _send_events(self, outcome: Outcome) -> list[asyncio.Future[Any]]:
        return [
            await self._send(
                self._to.topics.completions,
                key=event.export_id.encode(),
                value=encode_event(event),
                headers=cloud_event_headers(event),
            )
            for event in outcome.events
        ]

    async def _send_dead_letters(self, outcome: Outcome) -> list[asyncio.Future[Any]]:
        return [
            await self._send(
                self._to.topics.dead_letters,
                **dead_letter_record(letter, self._dead_letter_bytes),
            )
            for letter in outcome.dead_letters
        ]

    async def _send(self, topic: str, **record: Any) -> asyncio.Future[Any]:  # noqa: ANN401
        """The pending acknowledgement; not logged if another send fails and nobody awaits it."""
        delivery: asyncio.Future[Any] = await self._producer.send(topic, **record)
        delivery.add_done_callback(lambda done: done.cancelled() or done.exception())
        return delivery

    def _offsets(self, point: ResumePoint) -> dict[TopicPartition, OffsetAndMetadata]:
        topics = self._to.topics
        return {
            TopicPartition(topics.requests, self._partition): _offset(point.committed_requests()),
            TopicPartition(topics.records, self._partition): _offset(point.committed_records()),
        }


def partition_of(key: bytes | None, partitions: list[int], available: list[int]) -> int:
    """The partition for a record: Kafka's default, from the first KiB of the key.

    aiokafka hashes in Python on the event loop: a dead letter's key of 900 KB took 0.27 s.
    """
    begin = key[:_HASHED_BYTES] if key else key
    return int(_usual_partition(begin, partitions, available))


def dead_letter_record(letter: DeadLetter, most_bytes: int) -> dict[str, Any]:
    """Key, value and headers of a dead letter: the original ones, and where it came from.

    If the topic would refuse it, it goes without its value and a header says so.
    """
    message = letter.message
    ours = [
        ("sluice_reason", letter.reason.value.encode()),
        ("sluice_topic", message.topic.encode()),
        ("sluice_partition", str(message.partition).encode()),
        ("sluice_offset", str(message.offset).encode()),
    ]
    # A message that was requeued and failed again has headers naming its earlier place.
    theirs = [(name, text) for name, text in message.headers if not name.startswith("sluice_")]
    key, value = message.key, message.value
    if key is None and value is None:
        value = _NULL
    whole = not isinstance(value, UnreadValue)
    if whole and _fits([key, value, *_texts(theirs)], most_bytes):
        return {"key": key, "value": value, "headers": theirs + ours}
    truncated = [*ours, ("sluice_truncated", b"true")]
    if not _fits([key], most_bytes):
        key = (key or b"")[:_MOST_KEY_BYTES]  # otherwise the headers naming its place wouldn't fit
    return {"key": key, "value": b"", "headers": truncated}


def _bytes_or_null(value: bytes) -> bytes | None:
    return None if value is _NULL else value


def _texts(headers: list[tuple[str, bytes | None]]) -> Iterator[bytes]:
    for name, text in headers:
        yield name.encode()
        yield text or b""


def _fits(parts: list[bytes | None], most_bytes: int) -> bool:
    size = sum(len(part or b"") for part in parts)
    around = _ENVELOPE_BYTES + _LENGTH_BYTES * len(parts)
    return size <= MOST_FORWARDED_BYTES and size + around <= most_bytes


def _offset(committed: Committed) -> OffsetAndMetadata:
    return OffsetAndMetadata(committed.offset, committed.metadata)
