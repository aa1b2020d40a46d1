"""Finds ended exports in the completions topic, by id or by how they ended, to retry them.

Invariant: events that can't matter, as of exports that completed at once, aren't kept.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from clients.topic_reader import TopicReader
from producer.replay.survey import CLOCK_SKEW_MS
from producer.retry.attempts import KnownAttempt, outcome_of
from schemas.completions import Source, TerminalEvent, decode_event
from schemas.times import to_millis
from schemas.topics import Topics

_RETRY = b"-retry-"  # in the key of each retry's event


@dataclass(frozen=True, slots=True)
class Choice:
    """Which exports to retry: all given conditions must hold.

    Times are in milliseconds since the epoch, of when it ended; ``until_ms`` is excluded.
    """

    export_ids: frozenset[str] | None
    outcomes: frozenset[str]
    since_ms: int | None = None
    until_ms: int | None = None

    def holds(self, one: "Ended") -> bool:
        """Whether an export matches."""
        return (
            (self.export_ids is None or one.export_id in self.export_ids)
            and one.known.outcome in self.outcomes
            and (self.since_ms is None or self.since_ms <= one.ended_ms)
            and (self.until_ms is None or one.ended_ms < self.until_ms)
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """An export that ended; ``ended_ms`` is when, in milliseconds since the epoch."""

    export_id: str
    source: Source
    known: KnownAttempt
    ended_ms: int


async def ended_exports(
    topics: Topics,
    export_ids: Collection[str] | None,
    since_ms: int | None,
    **client_options: Any,  # noqa: ANN401 - aiokafka's own
) -> dict[str, Ended]:
    """The exports of these ids, if given, that ended since a time, and all retries; by their ids.

    Without ids those that completed are left out, but for retries.

    Raises:
        ClientError: the topic can't be read.
    """
    found: dict[str, Ended] = {}
    keys = None if export_ids is None else {one.encode() for one in export_ids}
    async with TopicReader(topics.completions, **client_options) as reader:
        for partition in reader.spans:
            start = await _start(reader, partition, since_ms)
            async for record in reader.records(partition, start):
                key = record.key or b""
                if keys is not None and key not in keys and _RETRY not in key:
                    continue
                if event := _event_of(record):
                    one = _ended(event)
                    if keys is not None or event.retry_of or one.known.outcome != "completed":
                        found[event.export_id] = one
    return found


async def _start(reader: TopicReader, partition: TopicPartition, since_ms: int | None) -> int:
    if since_ms is None:
        return 0
    return await reader.first_offset_at(partition, max(0, since_ms - CLOCK_SKEW_MS))


def _event_of(record: ConsumerRecord) -> TerminalEvent | None:
    try:
        return decode_event(record.value or b"")
    except ValueError:
        return None  # the topic may hold what is no event


def _ended(event: TerminalEvent) -> Ended:
    known = KnownAttempt(event.source, event.retry_of, outcome_of(event))
    return Ended(event.export_id, event.source, known, to_millis(event.completed_at))
