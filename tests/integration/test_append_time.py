"""Topics whose records bear the broker's time, and messages of transactions that were aborted."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import Topics
from tests.support.batches import CODECS, packed, record, send_batch
from tests.support.nodes import node_on
from tests.support.outcomes import committed, events
from tests.support.topics import configure
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = pytest.mark.kafka

MIB = 1024 * 1024


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_exports_of_topics_that_the_broker_dates(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    """Light batches and packed ones, from an upstream whose clock stands at 1970."""
    dated = {"message.timestamp.type": "LogAppendTime"}
    await configure(bootstrap_servers, (topics.requests, topics.records), dated)
    before = datetime.now(UTC) - timedelta(seconds=1)
    request = {"type": "export.requested", "export_id": "a", "format": "csv", "columns": ["n", "t"]}
    batches = [
        {"export_id": "a", "seq": seq, "rows": rows_of(seq, 1), "last": seq == 2}
        for seq in (0, 1, 2)
    ]
    values = [json.dumps(one).encode() for one in batches]
    heavy = [record(n, b"a", value + b" " * MIB) for n, value in enumerate(values[1:])]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for topic, value in ((topics.requests, request), (topics.records, batches[0])):
            text = json.dumps(value).encode()
            sent = await producer.send_and_wait(topic, text, b"a", timestamp_ms=1_000)
            assert sent.timestamp_type == 1, "the broker dates nothing"
        await send_batch(producer, topics.records, 0, packed(CODECS["zstd"], heavy))
        async with node_on(bootstrap_servers, topics, tmp_path):
            (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
    assert event.type == "export.completed"
    assert before <= event.requested_at <= event.completed_at <= datetime.now(UTC)
    assert event.duration_ms < 1000 * (time.time() - before.timestamp())
    assert (tmp_path / "exports" / "a.csv").read_bytes() == csv_bytes(rows_of(0, 3))


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_what_was_aborted_is_as_if_it_had_not_been_sent(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    """Requests, a cancellation, batches and what is none, between those of a good export."""
    await upstream.request("a")
    await upstream.batch("a", 0, rows_of(0, 1))
    cancel = {"type": "export.cancel_requested", "export_id": "a"}
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, transactional_id=topics.requests
    ) as producer:
        aborted = Upstream(producer, topics)
        for number in range(3):
            await producer.begin_transaction()
            await aborted.request(f"never-{number}")
            await aborted.publish(cancel)
            await aborted.batch("a", 1, rows_of(7, 1), last=True)
            await aborted.send(topics.records, "a", b"{")
            for _ in range(1_000):
                await producer.send(topics.records, b"[" * 1_000, b"a")
            await producer.abort_transaction()
    await upstream.batch("a", 1, rows_of(1, 1), last=True)
    async with node_on(bootstrap_servers, topics, tmp_path):
        await upstream.request("b")
        await upstream.batch("b", 0, rows_of(0, 1), last=True)
        found = await events(bootstrap_servers, topics.completions, at_least=2)
    assert {(one.export_id, one.type) for one in found} == {
        ("a", "export.completed"),
        ("b", "export.completed"),
    }
    assert (tmp_path / "exports" / "a.csv").read_bytes() == csv_bytes(rows_of(0, 2))
    assert await committed(bootstrap_servers, topics.dead_letters) == []
