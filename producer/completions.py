"""Follows the completions topic: terminal events as they are committed.

Reads without a group and commits nothing. Invariant: the start offsets are fixed when the feed is
entered, so the event of an export that is published afterwards is always read.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from clients.errors import ClientError
from clients.lenient_records import read_leniently
from clients.lifecycle import CONNECT_TIMEOUT_SECONDS, RunsClients, started
from clients.topics import require_topics
from producer.errors import ProducerError
from schemas.completions import Source, TerminalEvent, decode_event
from schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class Completion:
    """A record of the completions topic. ``value`` is its JSON text."""

    topic: str
    partition: int
    offset: int
    export_id: str
    value: bytes

    def event(self) -> TerminalEvent:
        """The event.

        Raises:
            ClientError: the record is no terminal event; the message names its offset.
        """
        try:
            return decode_event(self.value)
        except ValueError as error:
            place = f"{self.topic} partition {self.partition} offset {self.offset}"
            raise ProducerError(f"{place} is no terminal event: {error}") from None


class CompletionFeed(RunsClients):
    """Completions of all partitions, from the moment it is entered or from the beginning.

    Only committed events, in order within a partition. ``client_options`` are aiokafka's. Waits
    while the broker is down.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        from_beginning: bool = False,
        **client_options: Any,  # noqa: ANN401 - aiokafka's own
    ) -> None:
        super().__init__()
        self._topic = topics.completions
        self._from_beginning = from_beginning
        self._options = client_options
        self._consumer: AIOKafkaConsumer

    async def __aenter__(self) -> Self:
        """Connect and fix the start offsets.

        Raises:
            ClientError: Kafka can't be reached, or the topic is missing.
        """
        counts = await require_topics([self._topic], **self._options)
        read_leniently()
        consumer = AIOKafkaConsumer(
            group_id=None,
            isolation_level="read_committed",
            # An offset that retention has removed is an error, never a silent jump.
            auto_offset_reset="none",
            **self._options,
        )
        self._consumer = await self._running.enter_async_context(started(consumer, self._options))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await self._begin(counts[self._topic])
        except (KafkaError, TimeoutError) as error:
            await self._running.aclose()
            why = str(error) or "Kafka doesn't answer"
            raise ClientError(f"{self._topic} can't be read: {why}") from None
        return self

    def __aiter__(self) -> Self:
        """The feed is its own iterator; it never ends by itself."""
        return self

    async def __anext__(self) -> Completion:
        """The next completion.

        Raises:
            ClientError: it can't be read, for example because retention removed it.
        """
        try:
            record = await self._consumer.getone()
        except KafkaError as error:
            raise ClientError(f"{self._topic} can't be read: {error}") from None
        export_id = (record.key or b"").decode(errors="replace")
        return Completion(
            record.topic, record.partition, record.offset, export_id, record.value or b""
        )

    async def endings(self, sources: Mapping[str, Source | None]) -> AsyncIterator[TerminalEvent]:
        """The terminal event of each request in ``sources``, which maps export ids to places.

        None stands for any request with the id, as several equal ones may exist.

        Raises:
            ClientError: an id was used before: Sluice ignores a repeated request.
        """
        waiting = dict(sources)
        while waiting:
            completion = await anext(self)
            if completion.export_id not in waiting:
                continue
            event, source = completion.event(), waiting[completion.export_id]
            if source and event.source != source:
                raise ProducerError(
                    f"{event.export_id} was requested before, and that ended as "
                    f"{event.type.removeprefix('export.')}: a repeated id is ignored"
                )
            del waiting[completion.export_id]
            yield event

    async def _begin(self, partitions: int) -> None:
        everywhere = [TopicPartition(self._topic, number) for number in range(partitions)]
        self._consumer.assign(everywhere)
        find = (
            self._consumer.beginning_offsets if self._from_beginning else self._consumer.end_offsets
        )
        for partition, offset in (await find(everywhere)).items():
            self._consumer.seek(partition, offset)
