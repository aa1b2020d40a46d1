"""Batches of many tiny compression frames, on a real Kafka: what is beside them goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from consumer.backlog import backlog
from consumer.errors import BacklogUnavailable
from schemas.topics import Topics
from tests.hostile.bounds import STALL_SECONDS
from tests.hostile.stalls import stalls_of
from tests.integration.test_backlog import backlog_on
from tests.support.batches import CODECS, framed, record, send_batch
from tests.support.beside import beside
from tests.support.clients import http_client
from tests.support.nodes import MEASURED, node_on
from tests.support.outcomes import by_id, events
from tests.support.tiny_frames import SENT_KINDS, tiny_frames
from tests.support.topics import configure
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.parametrize("topics", [1], indirect=True),
]

SIZE_BYTES = 4_000_000
_RETRIES = 30  # a POST gets 503 while the node reads the requests topic: on a slow machine for long
REQUEST: dict[str, Any] = {
    "type": "export.requested",
    "export_id": "tiny",
    "format": "csv",
    "columns": ["n", "t"],
}
LAST = {"export_id": "tiny", "seq": 0, "rows": rows_of(0, 100), "last": True}
POSTED = {"format": "csv", "columns": ["n"], "data": [[1]], "export_id": "posted"}
RUN = "/export/run?wait=60"


@pytest.fixture
async def producer(bootstrap_servers: str, topics: Topics) -> AsyncIterator[AIOKafkaProducer]:
    """The topics take its batches."""
    limit = {"max.message.bytes": str(2 * SIZE_BYTES)}
    await configure(bootstrap_servers, (topics.requests, topics.records), limit)
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, max_request_size=2 * SIZE_BYTES
    ) as producer:
        yield producer


def tiny(kind: str, message: dict[str, Any], size_bytes: int = SIZE_BYTES) -> bytes:
    """A batch of one message, in tiny frames."""
    value = json.dumps(message).encode() + b" " * (size_bytes // 20)
    content = b"".join(record(0, b"tiny", value))
    return framed(CODECS[kind], tiny_frames(kind, content, size_bytes), 1)


@pytest.mark.parametrize(
    "kind",
    [kind if kind == "zstd" else pytest.param(kind, marks=pytest.mark.long) for kind in SENT_KINDS],
)
async def test_exports_and_posts_beside_them_go_on(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    tmp_path: Path,
    kind: str,
) -> None:
    batches = {topics.requests: tiny(kind, REQUEST), topics.records: tiny(kind, LAST)}
    async with (
        node_on(bootstrap_servers, topics, tmp_path, command=MEASURED, QUEUE_LIMIT=10_000) as node,
        http_client(node.url, timeout=60) as client,
        beside(node, _RETRIES) as small,
    ):
        for topic, batch in batches.items():
            await send_batch(producer, topic, 0, batch)
        async with asyncio.timeout(90):
            while (posted := await client.post(RUN, json=POSTED)).status_code == 503:
                await asyncio.sleep(0.2)
        await upstream.request("good")
        await upstream.batch("good", 0, rows_of(0, 3), last=True)
        ended: dict[str, Any] = {}
        async with asyncio.timeout(60):
            while not {"tiny", "good"} <= ended.keys():
                ended = by_id(await events(bootstrap_servers, topics.completions))
        stalls = await stalls_of(node)
    assert (posted.status_code, posted.json()["rows"]) == (200, 1)
    assert {ended[one].type for one in ("tiny", "good")} == {"export.completed"}
    assert (tmp_path / "exports" / "tiny.csv").read_bytes() == csv_bytes(rows_of(0, 100))
    assert stalls
    assert max(stalls.logged_seconds, default=0.0) <= STALL_SECONDS
    small.check()


@pytest.mark.long
async def test_while_the_requests_topic_is_read_a_question_is_refused_with_that_reason(
    bootstrap_servers: str,
    topics: Topics,
    producer: AIOKafkaProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch of 8 MB in empty blocks takes half a second and more; an answer may take 5 s."""
    batch = tiny("snappy", REQUEST, 2 * SIZE_BYTES - 10_000)
    async with backlog_on(bootstrap_servers, topics) as here:
        assert await here.find("nobody") is None
        monkeypatch.setattr(backlog, "_ANSWER_SECONDS", 1.0)
        for _ in range(3):
            await send_batch(producer, topics.requests, 0, batch)
        with pytest.raises(BacklogUnavailable, match="the requests topic is still being read"):
            await here.find("nobody")
        async with asyncio.timeout(120):
            while True:
                with suppress(BacklogUnavailable):
                    assert await here.find("nobody") is None
                    break
        assert await here.find("tiny")
