"""The two input topics, read by time and offset for a replay.

Invariant: nothing published after the source was opened is read, so a replay never reads its own
messages.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from clients.topic_reader import TopicReader
from clients.topics import check_pair
from schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """The messages committed to the input topics before the source was opened."""

    topics: Topics
    partitions: int
    reader: TopicReader

    async def offsets(
        self, partition: TopicPartition, since_ms: int, until_ms: int | None
    ) -> range:
        """The offsets between two Kafka timestamps, or to the source's end.

        They begin with the first message at or after ``since_ms`` and end before the first one at
        or after ``until_ms``; in between, timestamps may be out of order.

        Raises:
            ClientError: Kafka fails to answer.
        """
        begin = await self.reader.first_offset_at(partition, since_ms)
        end = self.reader.spans[partition].stop
        if until_ms is not None:
            end = min(end, await self.reader.first_offset_at(partition, until_ms))
        return range(begin, end)


@asynccontextmanager
async def replay_source(
    topics: Topics,
    **client_options: Any,  # noqa: ANN401 - aiokafka's own
) -> AsyncIterator[ReplaySource]:
    """Connect for the block, and fix where the source ends.

    Raises:
        ClientError: Kafka can't be reached, a topic is missing, or the two have unequal partition
            counts.
    """
    # Records that retention removes meanwhile are an error: an export would lack batches.
    reader = TopicReader(topics.requests, topics.records, skip_removed=False, **client_options)
    async with reader:
        counts = Counter(partition.topic for partition in reader.spans)
        check_pair(topics, counts)
        yield ReplaySource(topics, counts[topics.requests], reader)
