"""HTTP while Kafka is away, and afterwards, on a broker that is killed."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from broker.embedded import EmbeddedKafka
from tests.support.clients import http_client
from tests.support.nodes import node_on
from tests.support.outcomes import by_id, events
from tests.support.topics import created_topics
from tests.support.upstream import csv_bytes, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

INSIDE = re.compile(r"Errno|Error:|AddressFamily|\(\'")  # of Python or of aiokafka
NDJSON = {"Content-Type": "application/x-ndjson"}


async def answers(client: httpx.AsyncClient) -> list[tuple[int, float]]:
    """What each endpoint says, and after how many seconds."""
    body = {"format": "csv", "columns": ["n", "t"], "data": [[1, 2]]}
    requests = [
        client.post("/export/run", json=body),
        client.post("/export/run", json={**body, "export_id": "away"}),
        client.post("/export/run?format=csv&columns=a&wait=9", content=b"[1]\n", headers=NDJSON),
        client.delete("/export/done"),
        client.get("/export/status/unknown"),
        client.get("/group"),
        client.get("/export/status/done"),
        client.get("/export/download/done"),
        client.get("/export/status"),
    ]
    began = time.monotonic()

    async def answer(question: object) -> tuple[int, float]:
        assert asyncio.iscoroutine(question)
        found = await question
        assert not INSIDE.search(found.text), found.text
        return found.status_code, time.monotonic() - began

    return await asyncio.gather(*map(answer, requests))


async def until_running(client: httpx.AsyncClient, export_id: str) -> None:
    async with asyncio.timeout(30):
        while True:
            found = (await client.get(f"/export/status/{export_id}")).json()
            if found.get("state") == "running":
                return
            await asyncio.sleep(0.05)


async def test_a_broker_that_is_away_is_reported_soon_and_forgotten_soon(
    mortal_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    kafka, servers = mortal_kafka, mortal_kafka.bootstrap_servers
    async with created_topics(servers, 4) as topics, node_on(servers, topics, tmp_path) as node:
        async with http_client(node.url, timeout=30) as client:
            body = {"format": "csv", "columns": ["n", "t"], "data": rows_of(0, 5)}
            first = await client.post("/export/run?wait=30", json={**body, "export_id": "done"})
            assert first.status_code == 200
            rest = asyncio.Event()

            async def rows() -> AsyncIterator[bytes]:
                yield b'[0,"a"]\n' * 5_000
                await rest.wait()
                yield b'[0,"a"]\n' * 5_000

            upload = asyncio.create_task(
                client.post(
                    "/export/run?format=csv&columns=n,t&export_id=through&wait=60",
                    content=rows(),
                    headers=NDJSON,
                )
            )
            await until_running(client, "through")
            kafka.kill()
            for _ in range(2):
                found = await answers(client)
                assert [status for status, _ in found] == [503] * 6 + [200] * 3
                assert max(seconds for _, seconds in found) < 9, found  # 5, and a busy machine
            kafka.start()
            rest.set()
            through = await upload
            assert (through.status_code, through.json()["rows"]) == (200, 10_000)
            async with asyncio.timeout(30):
                while True:
                    again = await client.post("/export/run?wait=30", json=body)
                    if again.status_code == 200:
                        break
                    assert again.status_code == 503
                    assert not INSIDE.search(again.text), again.text
                    await asyncio.sleep(0.2)
            file = await client.get(f"/export/download/{again.json()['export_id']}")
            assert file.content == csv_bytes(rows_of(0, 5))
        assert [line for line in node.lines() if line["level"] == "error"] == []
        done = by_id(await events(servers, topics.completions, at_least=3))
        assert {event.type for event in done.values()} == {"export.completed"}


async def until_it_says(client: httpx.AsyncClient, line: str) -> None:
    """Scrapes until this is among the metrics; none of the scrapes may wait for Kafka."""
    async with asyncio.timeout(40):
        while True:
            began = time.monotonic()
            text = (await client.get("/metrics")).text
            assert time.monotonic() - began < 4  # a call to Kafka takes its timeout of 5 s
            if line in text.splitlines():
                return
            await asyncio.sleep(0.2)


@pytest.mark.long
async def test_a_scrape_tells_that_the_broker_is_away(
    mortal_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    kafka, servers = mortal_kafka, mortal_kafka.bootstrap_servers
    async with (
        created_topics(servers, 4) as topics,
        node_on(servers, topics, tmp_path) as node,
        http_client(node.url, timeout=30) as client,
    ):
        await until_it_says(client, "sluice_ready 1.0")
        kafka.kill()
        await until_it_says(client, "sluice_ready 0.0")
        assert (await client.get("/ready")).status_code == 503
        kafka.start()
        await until_it_says(client, "sluice_ready 1.0")
