"""What the lanes of one member share, and each lane's limits. Data only."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from clients.record_stream import MAX_RECORD_BYTES
from consumer.cluster import Cluster
from consumer.exports.export_context import ExportContext
from consumer.lanes.feed import Feed, Held
from consumer.lanes.published_events import PublishedEvents
from consumer.lanes.slots import Slots
from consumer.lanes.transactions import Destination
from schemas.limits import LARGE_BYTES

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """A lane's limits: open exports before requests wait, timeouts, and message bytes."""

    max_open_exports: int
    idle_timeout_seconds: float
    storage_timeout_seconds: float
    max_record_bytes: int = MAX_RECORD_BYTES


@dataclass(frozen=True, slots=True)
class LaneContext:
    """What the lanes of one member share."""

    consumer: AIOKafkaConsumer
    cluster: Cluster
    published_events: PublishedEvents
    destination: Destination
    export_context: ExportContext
    slots: Slots
    threads: Executor
    limits: LaneLimits
    held: Held

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call on ``threads``, as it may hang; return its result."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    def feeds(self, partition: int, moved: Callable[[], None]) -> tuple[Feed, Feed]:
        """Create a partition's feeds, of requests and records. No large request is held."""
        topics, most_bytes = self.destination.topics, self.limits.max_record_bytes
        requests = TopicPartition(topics.requests, partition)
        records = TopicPartition(topics.records, partition)
        return (
            Feed(requests, self.consumer, moved, self.held, LARGE_BYTES),
            Feed(records, self.consumer, moved, self.held, most_bytes),
        )
