"""Reads what lies in a topic now, a partition at a time, up to the end it had when it was entered.

Without a group; nothing is committed. Invariant: reading ends, whatever is written meanwhile, and
memory holds one fetch at most.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from clients.errors import ClientError
from clients.lenient_records import read_leniently
from clients.lifecycle import CONNECT_TIMEOUT_SECONDS, started
from clients.topics import require_topics

_FETCH_MS = 100
_STALL_SECONDS = 30.0


class TopicReader:
    """The committed records of a topic. Use it as an async context manager, by one task."""

    def __init__(
        self,
        topic: str,
        **client_options: Any,  # noqa: ANN401 - aiokafka's own
    ) -> None:
        self._topic = topic
        self._options = client_options
        self._running = AsyncExitStack()
        self._consumer: AIOKafkaConsumer
        self.bounds: dict[int, tuple[int, int]] = {}
        """The first offset and the one after the last, of each partition."""

    async def __aenter__(self) -> Self:
        """Connect, and look where the partitions begin and end.

        Raises:
            ClientError: Kafka can't be reached, or the topic is missing.
        """
        read_leniently()
        counts = await require_topics([self._topic], **self._options)
        consumer = AIOKafkaConsumer(
            group_id=None,
            isolation_level="read_committed",
            # What retention removes while we read is gone: the rest is still to be read.
            auto_offset_reset="earliest",
            **self._options,
        )
        self._consumer = await self._running.enter_async_context(started(consumer, self._options))
        everywhere = [TopicPartition(self._topic, n) for n in range(counts[self._topic])]
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                starts = await consumer.beginning_offsets(everywhere)
                ends = await consumer.end_offsets(everywhere)
        except BaseException as error:
            await self._running.aclose()
            if not isinstance(error, KafkaError | TimeoutError):
                raise
            why = str(error) or "Kafka doesn't answer"
            raise ClientError(f"{self._topic} can't be read: {why}") from None
        self.bounds = {place.partition: (starts[place], ends[place]) for place in everywhere}
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self._running.aclose()

    async def records(
        self, partition: int, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[ConsumerRecord]:
        """The records of a partition with offsets from ``start`` to below ``stop``, in order.

        Raises:
            ClientError: it can't be read, or nothing comes for half a minute.
        """
        first, end = self.bounds.get(partition, (0, 0))
        begin, end = max(first, start), end if stop is None else min(end, stop)
        place = TopicPartition(self._topic, partition)
        if begin < end:
            self._consumer.assign([place])
            self._consumer.seek(place, begin)
        while begin < end:
            for record in await self._fetch(place, begin):
                if record.offset >= end:
                    return
                yield record
            # Markers and aborted messages count too, but are shown to nobody.
            begin = await self._consumer.position(place)

    async def _fetch(self, place: TopicPartition, position: int) -> list[ConsumerRecord]:
        """What comes next; empty if the position went on without a record that is shown."""
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                while True:
                    fetched = await self._consumer.getmany(place, timeout_ms=_FETCH_MS)
                    if fetched or await self._consumer.position(place) > position:
                        return list(fetched.get(place, ()))
        except TimeoutError:
            why = f"nothing came for {_STALL_SECONDS:g} s"
        except KafkaError as error:
            why = str(error)
        raise ClientError(f"{self._topic} partition {place.partition} can't be read: {why}")
