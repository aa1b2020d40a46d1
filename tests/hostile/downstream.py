"""What the nodes have committed: how exports ended, and dead letters. Follows two topics.

Invariant: an event is kept once per export; a second one is noted as ``doubled``.
"""

import asyncio
import json
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas.topics import Topics

_FETCH_BYTES = 16 * 1024 * 1024


class Downstream:
    """``run`` follows until cancelled; the rest says what was seen so far."""

    def __init__(self, servers: str, topics: Topics, partitions: int) -> None:
        self._servers = servers
        self._topics = topics
        self._partitions = partitions
        self._moved = asyncio.Condition()
        self.events: dict[str, dict[str, Any]] = {}
        self.doubled: list[str] = []
        self.letters: Counter[str] = Counter()

    async def run(self) -> None:
        """Read both topics from their beginning."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            isolation_level="read_committed",
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        await consumer.start()
        try:
            names = (self._topics.completions, self._topics.dead_letters)
            consumer.assign([TopicPartition(n, p) for n in names for p in range(self._partitions)])
            for partition in consumer.assignment():
                consumer.seek(partition, 0)
            while True:
                for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                    is_event = partition.topic == self._topics.completions
                    for record in records:
                        self._note_event(record) if is_event else self._note_letter(record)
                    async with self._moved:
                        self._moved.notify_all()
        finally:
            await consumer.stop()

    def _note_event(self, record: ConsumerRecord) -> None:
        event = json.loads(record.value)
        if event["export_id"] in self.events:
            self.doubled.append(event["export_id"])
        self.events[event["export_id"]] = event

    def _note_letter(self, record: ConsumerRecord) -> None:
        self.letters[dict(record.headers)["sluice_reason"].decode()] += 1

    async def ended(self, export_id: str, seconds: float) -> dict[str, Any] | None:
        """The export's event, waiting at most so long for it."""
        await self.wait(lambda: export_id in self.events, seconds)
        return self.events.get(export_id)

    async def wait(self, is_there: Any, seconds: float) -> bool:
        """Whether something was seen within so many seconds."""
        try:
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(is_there)
        except TimeoutError:
            return False
        return True


def end_of(event: dict[str, Any]) -> str:
    """``completed``, ``cancelled``, or the reason of a failure."""
    return str(event.get("reason") or event["type"].removeprefix("export."))
