"""The two input topics as a recording: read by time and offset, without a group.

Invariant: nothing that was published after the recording was entered is read, so a replay never
meets its own messages; and one message of each stream is held here, whatever the topics hold.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from clients.aiokafka_private import fetch_without_backoff
from clients.errors import ClientError
from clients.lenient_records import read_leniently
from clients.lifecycle import CONNECT_TIMEOUT_SECONDS, started
from clients.topics import check_pair, require_topics
from schemas.topics import Topics

_POLL_MS = 200
_FETCH_WAIT_MS = 50
_STALL_SECONDS = 30.0


class ReplaySource:
    """What was committed to the input topics before it was entered."""

    def __init__(self, topics: Topics, **client_options: Any) -> None:  # noqa: ANN401 - aiokafka's own
        self.topics = topics
        self.partitions = 0
        self._options = client_options
        self._running = AsyncExitStack()
        self._consumer: AIOKafkaConsumer
        self._ends: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        """Connect and fix where the recording ends.

        Raises:
            ClientError: Kafka can't be reached, a topic is missing, or the two have unequal
                partition counts.
        """
        names = [self.topics.requests, self.topics.records]
        counts = await require_topics(names, **self._options)
        check_pair(self.topics, counts)
        self.partitions = counts[self.topics.requests]
        read_leniently()
        consumer = AIOKafkaConsumer(
            group_id=None,
            isolation_level="read_committed",
            # What retention removes meanwhile is an error, never a silent jump.
            auto_offset_reset="none",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            **self._options,
        )
        self._consumer = await self._running.enter_async_context(started(consumer, self._options))
        fetch_without_backoff(self._consumer)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                self._ends = await consumer.end_offsets(self._everywhere())
        except BaseException as error:
            await self._running.aclose()
            if isinstance(error, KafkaError | TimeoutError):
                raise self._unreadable(error) from None
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self._running.aclose()

    async def offsets(
        self, partition: TopicPartition, since_ms: int, until_ms: int | None
    ) -> range:
        """The offsets between two Kafka timestamps, or to the recording's end.

        They begin with the first message at or after ``since_ms`` and end before the first one at
        or after ``until_ms``; in between, timestamps may be out of order.

        Raises:
            ClientError: Kafka doesn't say.
        """
        end = self._ends[partition]
        begin = await self._first_after(partition, since_ms, end)
        if until_ms is not None:
            end = min(end, await self._first_after(partition, until_ms, end))
        return range(begin, end)

    def streams(
        self, offsets: Mapping[TopicPartition, range]
    ) -> list[AsyncGenerator[ConsumerRecord]]:
        """A stream of messages for each partition, in the order of its log; ends former ones.

        What transactions aborted is left out. Iterating raises a ClientError where messages
        can't be read, as when retention was faster.
        """
        self._consumer.assign(list(offsets))
        for partition, span in offsets.items():
            self._consumer.seek(partition, span.start)
        return [self._stream(partition, span.stop) for partition, span in offsets.items()]

    async def _stream(self, partition: TopicPartition, end: int) -> AsyncGenerator[ConsumerRecord]:
        try:
            while (position := await self._consumer.position(partition)) < end:
                record = await self._next(partition, position)
                if record and record.offset < end:
                    yield record
        except (KafkaError, TimeoutError) as error:
            raise self._unreadable(error) from None
        self._consumer.pause(partition)

    async def _next(self, partition: TopicPartition, position: int) -> ConsumerRecord | None:
        """The next message, or None where the position went on without one that is shown."""
        async with asyncio.timeout(_STALL_SECONDS):
            while True:
                fetched = await self._consumer.getmany(
                    partition, timeout_ms=_POLL_MS, max_records=1
                )
                if fetched:
                    return fetched[partition][0]
                if await self._consumer.position(partition) > position:
                    return None

    async def _first_after(self, partition: TopicPartition, at_ms: int, otherwise: int) -> int:
        try:
            found = await self._consumer.offsets_for_times({partition: at_ms})
        except KafkaError as error:
            raise self._unreadable(error) from None
        return found[partition].offset if found[partition] else otherwise

    def _everywhere(self) -> list[TopicPartition]:
        return [
            TopicPartition(topic, number)
            for topic in (self.topics.requests, self.topics.records)
            for number in range(self.partitions)
        ]

    def _unreadable(self, error: KafkaError | TimeoutError) -> ClientError:
        gone = isinstance(error, OffsetOutOfRangeError)
        why = "retention was faster" if gone else str(error) or "Kafka doesn't answer"
        return ClientError(f"{self.topics.requests}, {self.topics.records} can't be read: {why}")
