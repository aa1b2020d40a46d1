"""Reads topics without a group, up to the ends they had when the reader was entered.

Invariant: reading ends, whatever is written meanwhile. Of a single partition one fetch is held in
memory, of several one record each.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from clients.aiokafka_private import fetch_without_backoff
from clients.errors import ClientError
from clients.lenient_records import read_leniently
from clients.lifecycle import CONNECT_TIMEOUT_SECONDS, RunsClients, started
from clients.topics import require_topics

_POLL_MS = 200
# With the default of 500 ms, partitions without new records delay the others.
_FETCH_WAIT_MS = 50
# An open transaction of another producer holds read_committed readers up as well.
_STALL_SECONDS = 30.0


class TopicReader(RunsClients):
    """The committed records of some topics. An async context manager, for one task.

    Records removed by retention meanwhile are skipped, or an error if not ``skip_removed``.
    """

    def __init__(
        self,
        *topics: str,
        skip_removed: bool = True,
        **client_options: Any,  # noqa: ANN401 - aiokafka's own
    ) -> None:
        super().__init__()
        self._topics = topics
        self._reset = "earliest" if skip_removed else "none"
        self._options = client_options
        self._consumer: AIOKafkaConsumer
        self.spans: dict[TopicPartition, range] = {}
        """The offsets that each partition had when the reader was entered."""

    async def __aenter__(self) -> Self:
        """Connect, and fetch where the partitions begin and end.

        Raises:
            ClientError: Kafka can't be reached, or a topic is missing.
        """
        read_leniently()
        counts = await require_topics(self._topics, **self._options)
        consumer = AIOKafkaConsumer(
            group_id=None,
            isolation_level="read_committed",
            auto_offset_reset=self._reset,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            **self._options,
        )
        self._consumer = await self._running.enter_async_context(started(consumer, self._options))
        fetch_without_backoff(consumer)
        partitions = [TopicPartition(name, n) for name in self._topics for n in range(counts[name])]
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                starts = await consumer.beginning_offsets(partitions)
                ends = await consumer.end_offsets(partitions)
        except BaseException as error:
            # Cancelled too: ``__aexit__`` is not called when entering fails.
            await self._running.aclose()
            if isinstance(error, KafkaError | TimeoutError):
                raise _unreadable(", ".join(self._topics), error) from None
            raise
        self.spans = {one: range(starts[one], ends[one]) for one in partitions}
        return self

    async def first_offset_at(self, partition: TopicPartition, at_ms: int) -> int:
        """The offset of the first record at or after a Kafka timestamp; the end if there is none.

        Raises:
            ClientError: Kafka fails to answer.
        """
        try:
            found = await self._consumer.offsets_for_times({partition: at_ms})
        except KafkaError as error:
            raise _unreadable(_name(partition), error) from None
        return found[partition].offset if found[partition] else self.spans[partition].stop

    def records(
        self, partition: TopicPartition, start: int = 0, stop: int | None = None
    ) -> AsyncGenerator[ConsumerRecord]:
        """The only stream: of a partition's records from ``start`` to below ``stop``.

        Iterating raises as for ``streams``.
        """
        span = self.spans.get(partition, range(0))
        end = span.stop if stop is None else min(span.stop, stop)
        (stream,) = self.streams({partition: range(max(span.start, start), end)})
        return stream

    def streams(
        self, offsets: Mapping[TopicPartition, range]
    ) -> list[AsyncGenerator[ConsumerRecord]]:
        """A stream of records for each partition, in the order of its log; ends former streams.

        Iterating raises a ClientError where records can't be read, or none comes for 30 s.
        """
        wanted = {partition: span for partition, span in offsets.items() if span}
        if wanted:  # assigned to nothing, aiokafka would fetch the metadata of every topic
            self._consumer.assign(list(wanted))
        for partition, span in wanted.items():
            self._consumer.seek(partition, span.start)
        # A merge holds one record per partition; a single partition has nothing to wait for.
        most_records = None if len(offsets) == 1 else 1
        return [self._stream(partition, span, most_records) for partition, span in offsets.items()]

    async def _stream(
        self, partition: TopicPartition, span: range, most_records: int | None
    ) -> AsyncGenerator[ConsumerRecord]:
        position = span.start
        while position < span.stop:
            records, position = await self._fetch(partition, position, most_records)
            for record in records:
                # A fetch may reach past the end that was noted.
                if record.offset >= span.stop:
                    break
                yield record
        if span:
            self._consumer.pause(partition)  # aiokafka would fetch on

    async def _fetch(
        self, partition: TopicPartition, position: int, most_records: int | None
    ) -> tuple[list[ConsumerRecord], int]:
        """The next records, maybe none, and the position after them."""
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                while True:
                    fetched = await self._consumer.getmany(
                        partition, timeout_ms=_POLL_MS, max_records=most_records
                    )
                    # Markers and aborted records move the position, and are not returned.
                    reached = await self._consumer.position(partition)
                    if fetched or reached > position:
                        return list(fetched.get(partition, ())), reached
        except TimeoutError:
            why = TimeoutError(f"no record came for {_STALL_SECONDS:g} s")
            raise _unreadable(_name(partition), why) from None
        except KafkaError as error:
            raise _unreadable(_name(partition), error) from None


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic} partition {partition.partition}"


def _unreadable(what: str, error: KafkaError | TimeoutError) -> ClientError:
    gone = isinstance(error, OffsetOutOfRangeError)
    why = "retention was faster" if gone else str(error) or "Kafka doesn't answer"
    return ClientError(f"{what} can't be read: {why}")
