"""What the cluster answers, on a Kafka that is just starting."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from broker.embedded import EmbeddedKafka
from consumer.cluster import Cluster
from consumer.core.resume import Committed
from consumer.errors import NodeRefused
from schemas.topics import Topics
from tests.support.topics import created_topics

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

COMMITS = 100
SLOW_LOAD = {"offsets.load.buffer.size": "1"}  # a batch at a time


@pytest.mark.long
async def test_a_coordinator_that_loads_is_not_a_group_that_never_committed(
    tmp_path: Path,
) -> None:
    """Kafka answers with one error and no partitions then, at which aiokafka doesn't look."""
    with EmbeddedKafka(tmp_path / "kafka", properties=SLOW_LOAD) as kafka:
        servers = kafka.bootstrap_servers
        async with created_topics(servers, 1) as topics:
            await commit_often(servers, topics)
            # Kafka acknowledges a transaction before its marker is written: until then it answers
            # with the commit before it, after a kill too.
            await last_is_visible(servers, topics)
            await asyncio.to_thread(kafka.kill)
            starting = asyncio.create_task(asyncio.to_thread(kafka.start))
            await asyncio.gather(*(ask(servers, topics, starting) for _ in range(4)))


async def ask(servers: str, topics: Topics, starting: asyncio.Task[None]) -> None:
    """Ask over and over while it starts, and then some more: it loads for a moment only."""
    answers, until = 0, time.monotonic() + 60
    while not starting.done() or answers < 5:
        assert time.monotonic() < until
        with suppress(NodeRefused, TimeoutError):
            async with Cluster(topics, "g", {"bootstrap_servers": servers}) as cluster:
                assert await cluster.fetch_committed(0) == (Committed(COMMITS, ""), None)
                answers += 1


async def last_is_visible(servers: str, topics: Topics) -> None:
    async with Cluster(topics, "g", {"bootstrap_servers": servers}) as cluster, asyncio.timeout(30):
        while await cluster.fetch_committed(0) != (Committed(COMMITS, ""), None):
            await asyncio.sleep(0.01)


async def commit_often(servers: str, topics: Topics) -> None:
    """So often that the coordinator takes a moment to load it."""
    requests = TopicPartition(topics.requests, 0)
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, transactional_id=topics.requests, retry_backoff_ms=20
    )
    await producer.start()
    try:
        for number in range(COMMITS):
            metadata = "m" * 4000 if number < COMMITS - 1 else ""
            async with producer.transaction():
                await producer.send_offsets_to_transaction(
                    {requests: OffsetAndMetadata(number + 1, metadata)}, "g"
                )
    finally:
        await producer.stop()
