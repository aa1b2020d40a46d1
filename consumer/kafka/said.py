"""Which events the completions topic has already, asked where the commits alone might not tell.

The group's commits say what was said, in the transaction that said it. Should they ever go back,
as a broker's did in a storm (docs/guarantees.md), all since then would be said again. So an event
whose manifest was there before its request was read is looked for, from shortly before its end on.
Flat: only ids that were asked for are held. Invariant: what a fenced predecessor has committed is
found, as it lies below an end that was fetched after the fencing.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from consumer.kafka.alone import reading_alone
from consumer.kafka.cluster import Cluster
from schemas.completions import TerminalEvent
from schemas.times import to_millis

APART_MS = 60_000
"""How far the clocks of nodes and of Kafka may be apart for an event to be found."""

# Longer than a transaction of another partition, whose owner has died, can stay open.
_STALLED_SECONDS = 60.0
_POLL_MS = 200
_POLL_RECORDS = 500


class SaidEvents:
    """The completions topic, asked for some events."""

    def __init__(self, cluster: Cluster, client_options: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._options = client_options

    async def among(self, events: Sequence[TerminalEvent]) -> set[str]:
        """Of these events, the ids of the exports whose event was committed.

        Reads until all are found, or else to the end, which waits for open transactions.

        Raises:
            KafkaError, TimeoutError, OSError: Kafka doesn't answer.
        """
        since = min(to_millis(event.completed_at) for event in events) - APART_MS
        spans = await self._cluster.completions_since(max(0, since))
        if not spans:
            return set()
        wanted = {event.event_id.encode(): event.export_id for event in events}
        async with reading_alone(self._options) as consumer:
            consumer.assign(list(spans))
            for partition, (first, _) in spans.items():
                consumer.seek(partition, first)
            ends = {partition: end for partition, (_, end) in spans.items()}
            return await _found(consumer, ends, wanted)


async def _found(
    consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int], wanted: dict[bytes, str]
) -> set[str]:
    """The values of ``wanted`` whose keys are ids of events below the ends."""
    found: set[str] = set()
    moved_at, before = time.monotonic(), 0
    while len(found) < len(wanted):
        fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
        for records in fetched.values():
            ids = (value for one in records for name, value in one.headers if name == "ce_id")
            found |= {wanted[one] for one in ids if one in wanted}
        positions = {partition: await consumer.position(partition) for partition in ends}
        if all(positions[partition] >= end for partition, end in ends.items()):
            break
        now, behind = time.monotonic(), sum(positions.values())
        if behind > before:
            moved_at, before = now, behind
        elif now > moved_at + _STALLED_SECONDS:
            raise KafkaTimeoutError("a transaction stays open on the completions topic")
    return found
