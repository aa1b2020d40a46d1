"""Looks up single messages of the requests topic by offset, and whether a batch follows one.

Reads outside the group, one lookup at a time, with a consumer that starts on the first question;
searches for batches use a consumer of their own. Invariant: a lookup returns the message at exactly
the given offset or none.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from clients.bounded_fetch import bounded_getmany
from clients.lifecycle import RunsClients
from clients.reader import groupless_consumer
from consumer.errors import BacklogUnavailable
from consumer.unpacking import Consumed, unpacked
from schemas.completions import Source

_CALL_SECONDS = 5.0
_POLL_MS = 200
_POLL_RECORDS = 500
_SEARCH_SECONDS = 1.0


class RequestLookup(RunsClients):
    """An async context manager that connects on the first question."""

    def __init__(self, client_options: Mapping[str, Any]) -> None:
        super().__init__()
        self._options = client_options
        self._turn = asyncio.Lock()
        self._one_search = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    async def at(self, source: Source) -> Consumed | None:
        """Fetch the message at this place; None if Kafka no longer has it.

        Raises:
            BacklogUnavailable: Kafka doesn't answer.
        """
        one = TopicPartition(source.topic, source.partition)
        async with self._turn:
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    return await self._read(one, source.offset)
            except BaseException as error:
                # On cancellation too: a fetch may be half done.
                await self._close()  # after any error the next question starts a new consumer
                if isinstance(error, (KafkaError, TimeoutError, OSError)):
                    raise BacklogUnavailable("Kafka doesn't answer") from None
                raise

    async def has_batch(self, topic: str, source: Source, export_id: str) -> bool:
        """Whether a batch keyed by this id follows the request at ``source`` in the records topic.

        Counts batches in open transactions of other producers too: nodes' uploads use none. False
        if none was found within a second. Raises as ``at``.
        """
        request = await self.at(source)
        if request is None:
            return False
        one = TopicPartition(topic, source.partition)
        try:
            async with (
                self._one_search,
                groupless_consumer(self._options, isolation_level="read_uncommitted") as consumer,
            ):
                return await _is_keyed(consumer, one, request.timestamp, export_id.encode())
        except (KafkaError, TimeoutError, OSError):
            raise BacklogUnavailable("Kafka doesn't answer") from None

    async def _read(self, one: TopicPartition, offset: int) -> Consumed | None:
        consumer = await self._started()
        consumer.assign([one])
        # A read beyond the end, as after the topic was recreated, would never return.
        if (await consumer.end_offsets([one]))[one] <= offset:
            return None
        consumer.seek(one, offset)
        while await consumer.position(one) <= offset:
            fetched = await consumer.getmany(one, timeout_ms=_POLL_MS, max_records=1)
            if records := fetched.get(one):
                consumer.pause(one)  # stop prefetching
                return await _find(records, offset)
        return None

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = groupless_consumer(self._options)
            self._consumer = await self._running.enter_async_context(consumer)
        return self._consumer

    async def _close(self) -> None:
        self._consumer = None
        await self._running.aclose()


async def _find(fetched: Sequence[Any], offset: int) -> Consumed | None:
    """Pick the message at an offset from those fetched."""
    async for some in unpacked(fetched, offset):
        for message in some:
            return message if message.offset == offset else None
    return None


async def _is_keyed(
    consumer: AIOKafkaConsumer, one: TopicPartition, since_ms: int, key: bytes
) -> bool:
    """Whether a message with this key exists at or after a timestamp.

    An upload's first batch comes right after its request, so there is little to read.
    """
    consumer.assign([one])
    # Negative times stand for a log's start and end.
    begin = (await consumer.offsets_for_times({one: max(0, since_ms)}))[one]
    end = (await consumer.end_offsets([one]))[one]
    if begin is None:
        return False
    consumer.seek(one, begin.offset)
    with suppress(TimeoutError):
        async with asyncio.timeout(_SEARCH_SECONDS):
            while await consumer.position(one) < end:
                fetched = await bounded_getmany(consumer, _POLL_MS, _POLL_RECORDS)
                async for some in unpacked(fetched.get(one, [])):
                    if any(message.key == key for message in some):
                        return True
    return False
