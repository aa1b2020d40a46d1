"""Which events the completions topic has already; checked where the commits alone may be wrong.

An event and the offsets behind it are committed in one transaction. Should these offsets ever go
back, as a broker's did in a storm (docs/guarantees.md), all since then would be published again. So
an event whose manifest was there before its request was read is looked for, from shortly before its
end on. Memory is that of the ids looked for. Invariant: what a fenced predecessor has committed is
found, as it lies below an end of the log that was fetched after the fencing.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from clients.bounded_fetch import bounded_getmany
from clients.reader import groupless_consumer
from consumer.cluster import Cluster
from consumer.unpacking import Consumed, unpacked
from schemas.completions import TerminalEvent
from schemas.times import to_millis

# How far the clocks of nodes and of Kafka may be apart for an event to be found.
_APART_MS = 60_000
# Longer than a transaction of another partition, whose owner has died, can stay open.
_STALLED_SECONDS = 60.0
_CALL_SECONDS = 10.0
_POLL_MS = 200
_POLL_RECORDS = 500


class _Question:
    """Some events, and which of them were found, once that is known."""

    def __init__(self, events: Sequence[TerminalEvent]) -> None:
        self.events = events
        self.found: set[str] | None = None


class PublishedEvents:
    """Looks events up in the completions topic. Lanes share it, and what it reads."""

    def __init__(self, cluster: Cluster, client_options: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._options = client_options
        self._waiting: list[_Question] = []
        self._one_look = asyncio.Lock()

    async def find(self, events: Sequence[TerminalEvent]) -> set[str]:
        """The event ids of those that were committed; ids of others' events may be among them.

        Reads until all are found, or else to the end, which waits for open transactions.

        Raises:
            KafkaError, TimeoutError, OSError: Kafka doesn't answer.
        """
        question = _Question(events)
        self._waiting.append(question)
        async with self._one_look:
            if question.found is None:
                # Questions that came while another look was under way are looked up together.
                # Ours is added: a look that failed has taken its questions off the list.
                questions, self._waiting = {question, *self._waiting}, []
                found = await self._look([event for one in questions for event in one.events])
                for one in questions:
                    one.found = found
        return question.found or set()

    async def _look(self, events: Sequence[TerminalEvent]) -> set[str]:
        since = min(to_millis(event.completed_at) for event in events) - _APART_MS
        spans = await self._cluster.fetch_completions_since(max(0, since))
        if not spans:
            return set()
        async with groupless_consumer(self._options) as consumer:
            consumer.assign(list(spans))
            for partition, (first, _) in spans.items():
                consumer.seek(partition, first)
            # Ends fetched once, after the fencing: others keep writing to this topic.
            ends = {partition: end for partition, (_, end) in spans.items()}
            return await _read_event_ids(consumer, ends, {event.event_id for event in events})


async def _read_event_ids(
    consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int], wanted: set[str]
) -> set[str]:
    """Those of the event ids that are below the ends."""
    found: set[str] = set()
    moved_at, before = time.monotonic(), 0
    while len(found) < len(wanted):
        fetched = await bounded_getmany(consumer, _POLL_MS, _POLL_RECORDS)
        for records in fetched.values():
            async for some in unpacked(records):
                found |= wanted.intersection(_event_ids(some))
        async with asyncio.timeout(_CALL_SECONDS):
            positions = {partition: await consumer.position(partition) for partition in ends}
        # Positions, not offsets of records: what is last below an end may be a marker.
        if all(positions[partition] >= end for partition, end in ends.items()):
            break
        now, read = time.monotonic(), sum(positions.values())
        if read > before:
            moved_at, before = now, read
        elif now > moved_at + _STALLED_SECONDS:
            raise KafkaTimeoutError(
                "the completions topic can't be read to its end: a transaction is open there, or "
                "Kafka doesn't answer"
            )
    return found


def _event_ids(messages: Sequence[Consumed]) -> Iterator[str]:
    for message in messages:
        for name, text in message.headers:
            if name == "ce_id":
                yield (text or b"").decode(errors="replace")
