"""Checks which events are already in the completions topic, in case the commits are wrong.

An event and its offsets are committed in one transaction. If committed offsets went back, as a
broker's once did in a stress test (docs/guarantees.md), every event since then would be published
again. So an event whose manifest existed before its request was read is searched for in the topic,
from shortly before its own time on. Memory is bounded by the ids searched for. Invariant: the
search finds everything a fenced predecessor committed, because that lies below end offsets fetched
after the fencing.
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

# How far node and broker clocks may differ for an event to be found.
_APART_MS = 60_000
# Longer than a dead owner's transaction in another partition can stay open.
_STALLED_SECONDS = 60.0
_CALL_SECONDS = 10.0
_POLL_MS = 200
_POLL_RECORDS = 500


class _Question:
    """Events to find, and the future set of those found."""

    def __init__(self, events: Sequence[TerminalEvent]) -> None:
        self.events = events
        self.found: set[str] | None = None


class PublishedEvents:
    """Looks events up in the completions topic. Lanes share it and its reads."""

    def __init__(self, cluster: Cluster, client_options: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._options = client_options
        self._waiting: list[_Question] = []
        self._one_look = asyncio.Lock()

    async def find(self, events: Sequence[TerminalEvent]) -> set[str]:
        """The ids of those events that were committed; may include ids of others' questions.

        Reads until all are found or the end is reached, which waits for open transactions.

        Raises:
            KafkaError, TimeoutError, OSError: Kafka doesn't answer.
        """
        question = _Question(events)
        self._waiting.append(question)
        async with self._one_look:
            if question.found is None:
                # Questions that arrived during another search are answered together. Add ours
                # again: a failed search has removed its questions from the list.
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
            # Fetch the ends once, after the fencing: others keep writing to this topic.
            ends = {partition: end for partition, (_, end) in spans.items()}
            return await _read_event_ids(consumer, ends, {event.event_id for event in events})


async def _read_event_ids(
    consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int], wanted: set[str]
) -> set[str]:
    """Those event ids that are found below the ends."""
    found: set[str] = set()
    moved_at, before = time.monotonic(), 0
    while len(found) < len(wanted):
        fetched = await bounded_getmany(consumer, _POLL_MS, _POLL_RECORDS)
        for records in fetched.values():
            async for some in unpacked(records):
                found |= wanted.intersection(_event_ids(some))
        async with asyncio.timeout(_CALL_SECONDS):
            positions = {partition: await consumer.position(partition) for partition in ends}
        # Compare positions, not record offsets: the last entry below an end may be a marker.
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
