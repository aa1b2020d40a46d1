"""Bounds on a real Kafka: what waits fails for nothing, and time runs out where it is busy too."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from schemas.completions import ExportFailed
from schemas.topics import Topics
from schemas.vocabulary import FailReason
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, events
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.parametrize("topics", [1], indirect=True),
]

IDS = [f"export-{number}" for number in range(1_500)]
MAX_OPEN = 800


@pytest.fixture
async def producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    yield producer
    await producer.stop()


async def send(
    producer: AIOKafkaProducer, topic: str, messages: Iterable[dict[str, object]]
) -> None:
    values = [json.dumps(message).encode() for message in messages]
    await asyncio.gather(*[await producer.send(topic, value, partition=0) for value in values])


def request(export_id: str) -> dict[str, object]:
    return {
        "type": "export.requested",
        "export_id": export_id,
        "format": "csv",
        "columns": ["n", "t"],
    }


def batch(export_id: str, seq: int = 0, *, last: bool = True) -> dict[str, object]:
    return {"export_id": export_id, "seq": seq, "rows": [[1, "x"]], "last": last}


async def until_open(node: NodeProcess, count: int) -> None:
    async with http_client() as client, asyncio.timeout(30):
        while True:
            status = (await client.get(f"{node.url}/export/status")).json()
            if status["open_exports"] >= count:
                assert status["open_exports"] == count
                return
            await asyncio.sleep(0.1)


async def test_what_waits_over_restarts_and_outages_completes(
    bootstrap_servers: str, topics: Topics, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    """More requests than may be open; then their batches, in order, while nobody is there."""
    async with node_on(bootstrap_servers, topics, tmp_path, SESSION_TIMEOUT_SECONDS=2) as node:
        await send(producer, topics.requests, map(request, IDS))
        await until_open(node, MAX_OPEN)
        await asyncio.sleep(1.5)  # so that it is committed
        node.kill()
        await node.start()
        await until_open(node, MAX_OPEN)
        await asyncio.sleep(0.5)
        assert await events(bootstrap_servers, topics.completions) == [], "the others wait"
        node.kill()
        await send(producer, topics.records, map(batch, IDS))
        await node.start()
        found = await events(bootstrap_servers, topics.completions, at_least=len(IDS), seconds=60)
    assert Counter(event.type for event in found) == {"export.completed": len(IDS)}
    assert set(by_id(found)) == set(IDS)


async def test_an_abandoned_export_ends_though_its_partition_never_runs_dry(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    tmp_path: Path,
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, IDLE_TIMEOUT_SECONDS=2):
        await upstream.publish(request("abandoned"))
        await upstream.publish(batch("abandoned", last=False))
        await upstream.publish(request("busy"))
        going_on = asyncio.create_task(keep_busy(producer, topics))
        try:
            (event,) = await events(bootstrap_servers, topics.completions, at_least=1, seconds=20)
        finally:
            going_on.cancel()
            seq = (await asyncio.gather(going_on, return_exceptions=True))[0]
    assert isinstance(event, ExportFailed)
    assert (event.export_id, event.reason) == ("abandoned", FailReason.TIMED_OUT)
    assert isinstance(seq, asyncio.CancelledError), "its partition was busy all the time"


async def keep_busy(producer: AIOKafkaProducer, topics: Topics) -> None:
    """Some 500 batches a second, until cancelled."""
    seq = 0
    while True:
        await send(
            producer, topics.records, (batch("busy", seq + n, last=False) for n in range(10))
        )
        seq += 10
        await asyncio.sleep(0.02)
