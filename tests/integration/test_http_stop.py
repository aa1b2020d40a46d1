"""What clients of a node get while it stops, by SIGTERM, and what its log says then."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, node_on
from tests.support.upstream import Upstream

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

BODY: dict[str, Any] = {"format": "csv", "columns": ["n"], "data": []}
UPLOAD = (
    "POST /export/run?format=csv&columns=n&export_id=e&wait=60 HTTP/1.1\r\nHost: x\r\n"
    "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def asking(node: NodeProcess) -> httpx.AsyncClient:
    return http_client(node.url, timeout=60)


async def connect(node: NodeProcess) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = httpx.URL(node.url)
    return await asyncio.open_connection(url.host, url.port)


async def state(client: httpx.AsyncClient, export_id: str, wanted: str) -> None:
    async with asyncio.timeout(20):
        while (await client.get(f"/export/status/{export_id}")).json().get("state") != wanted:
            await asyncio.sleep(0.05)


async def stop(node: NodeProcess) -> list[str]:
    """Stop it by SIGTERM, in bounded time; what it had to say that is more than information."""
    began, before = time.monotonic(), len(node.lines())
    assert await asyncio.to_thread(node.terminate) == 0
    assert time.monotonic() - began < 10
    assert "Traceback" not in node.log.read_text()
    loud = [line for line in node.lines()[before:] if line["level"] not in {"info", "debug"}]
    return [line["event"] for line in loud]


async def test_who_waits_is_answered_at_once_that_the_export_is_accepted(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node, asking(node) as client:
        await upstream.request("e", columns=BODY["columns"])
        await state(client, "e", "queued")
        running = client.post("/export/run?wait=60", json={**BODY, "export_id": "e"})
        answer = asyncio.create_task(running)
        assert not (await asyncio.wait([answer], timeout=1))[0]
        stopping = asyncio.create_task(stop(node))
        began = time.monotonic()
        accepted = await answer
        assert time.monotonic() - began < 4  # an answer at the end would come after the drain
        assert (accepted.status_code, accepted.json()["export_id"]) == (202, "e")
        assert await stopping == []


async def test_an_upload_is_refused_and_its_export_cancelled(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        reader, writer = await connect(node)
        writer.write(UPLOAD.encode() + b"4\r\n[1]\n\r\n")
        async with asking(node) as client:
            await state(client, "e", "running")
        stopping = asyncio.create_task(stop(node))
        head, _, problem = (await reader.read()).decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 503 ")
        assert "\r\nretry-after: 1" in head
        assert "\r\ncontent-type: application/problem+json" in head
        assert json.loads(problem)["detail"] == "the node stops"
        assert await stopping == []
        writer.close()
        await node.start()
        async with asking(node) as client:
            await state(client, "e", "cancelled")


async def test_a_download_that_nobody_reads_is_cut(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        async with asking(node) as client:
            rows = [["x" * 60_000]] * 500
            sent = {**BODY, "data": rows, "export_id": "e"}
            assert (await client.post("/export/run?wait=60", json=sent)).status_code == 200
        reader, writer = await connect(node)
        writer.write(b"GET /export/download/e HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        assert await stop(node) == ["response cut off: the node stops"]
        assert len(await reader.read()) < 30_000_000
        writer.close()
