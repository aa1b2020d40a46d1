"""Clients that want to hold a real node up, and texts that want to get into its metrics and log."""

import asyncio
import re
import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.completions import ExportFailed
from schemas.topics import Topics
from tests.support.beside import beside
from tests.support.clients import http_client
from tests.support.hasty_node import hasty
from tests.support.nodes import MEASURED, NodeProcess, node_on
from tests.support.outcomes import events
from tests.support.probed import probed
from tests.support.upstream import Upstream, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MIB = 1024 * 1024
NDJSON = "Content-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n"
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def descriptors(node: NodeProcess) -> int:
    return len(list(Path(f"/proc/{node.pid}/fd").iterdir()))


class Connections:
    """Raw connections to a node, as many as are wanted."""

    def __init__(self, url: httpx.URL, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._url.host, self._url.port)
        self._stack.callback(writer.close)
        writer.write(sent)
        return reader, writer


async def small(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    sent = {"format": "csv", "columns": ["n", "t"], "data": rows_of(0, 3), **fields}
    return await client.post("/export/run?wait=30", json=sent)


async def test_heads_that_never_end_exhaust_nothing(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    command = hasty("sluice.http.connections:HEAD_SECONDS=4")
    async with (
        node_on(bootstrap_servers, topics, tmp_path, command=command) as node,
        http_client(node.url, timeout=60) as client,
        probed(node) as probe,
        AsyncExitStack() as stack,
        probe.watched() as seen,
    ):
        connections = Connections(client.base_url, stack)
        before = descriptors(node)
        slow = [await connections.open(b"GET /health HTTP/1.1\r\nX-Slow: ") for _ in range(700)]
        for _ in range(5):
            for _, writer in slow:
                writer.write(b"x")
            assert (await small(client)).status_code == 200
            assert descriptors(node) < before + 750
            await asyncio.sleep(0.5)
        async with asyncio.timeout(30):
            while descriptors(node) > before + 20:
                await asyncio.sleep(0.2)
    seen.check()


@pytest.mark.long
async def test_long_lines_from_many_clients_stay_within_memory(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    """Beginnings of lines that never end, and rows that are forty times their text when parsed."""
    heavy = b'[[%b],"x"]\n' % b",".join([b"[]"] * 320_000)
    too_many = b'[[%b],"x"]\n' % b",".join([b"[]"] * 1_200_000)

    def head(export_id: str) -> bytes:
        query = f"format=csv&columns=n,t&export_id={export_id}"
        return f"POST /export/run?{query} HTTP/1.1\r\nHost: x\r\n{NDJSON}\r\n".encode()

    async with (
        node_on(bootstrap_servers, topics, tmp_path, command=MEASURED, QUEUE_LIMIT=10_000) as node,
        http_client(node.url, timeout=60) as client,
        AsyncExitStack() as stack,
        beside(node) as others,
    ):
        connections = Connections(client.base_url, stack)
        refused, _ = await connections.open(head("many") + too_many)
        answer = await asyncio.wait_for(refused.readuntil(b"}]}"), 60)
        assert b"line 1: holds more than 100,000 values" in answer
        for number in range(60):
            await connections.open(head(f"open-{number}") + b"[" + b'"x",' * 950_000)
        for number in range(40):
            await connections.open(head(f"heavy-{number}") + heavy * 3)
        await asyncio.sleep(10)
        assert (await small(client)).status_code == 200
        stalls = [line for line in node.lines() if "event loop" in line["event"]]
    print(stalls)
    others.check()


async def test_control_characters_reach_no_metric(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    users = ["a\x00b", "\x1b[2J", "a\x85b", "a\u2028b", "line\nbreak"]
    async with (
        node_on(bootstrap_servers, topics, tmp_path) as node,
        http_client(node.url, timeout=60) as client,
    ):
        for number, user in enumerate(users):
            await upstream.request(f"e-{number}", user=user)
            refused = await small(client, user=user)
            assert refused.status_code == 400
            assert [error["field"] for error in refused.json()["errors"]] == ["user"]
        ended = await events(bootstrap_servers, topics.completions, at_least=len(users))
        for event in ended:
            assert isinstance(event, ExportFailed)
            assert (event.reason, event.user) == ("invalid_request", "anonymous")
            assert event.message == "user: must not hold control characters"
        assert (await small(client, user='"quoted" \\ é')).status_code == 200
        async with asyncio.timeout(10):
            while 'user="anonymous"' not in (text := (await client.get("/metrics")).text):
                await asyncio.sleep(0.1)
    assert not CONTROLS.search(text)
    requests = [
        sample.labels["user"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "export_requests_total"
    ]
    assert set(requests) == {"anonymous", '"quoted" \\ é'}
    if shutil.which("promtool"):
        checked = subprocess.run(
            ["promtool", "check", "metrics"],
            input=text,
            text=True,
            capture_output=True,
            check=False,
        )
        assert "error while linting" not in checked.stderr, checked.stderr


async def test_a_nodes_log_has_its_requests_and_no_secrets(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with (
        node_on(bootstrap_servers, topics, tmp_path, API_TOKENS="of-alice:alice") as node,
        http_client(node.url, timeout=60) as client,
    ):
        for _ in range(5):
            assert (await client.get("/export/status?token=of-alice")).status_code == 401
        client.headers["Authorization"] = "Bearer of-alice"
        assert (await small(client, export_id="e")).status_code == 200
        assert (await client.get("/export/download/e")).status_code == 200
        assert (await client.get("/health")).status_code == 200
        lines = [line for line in node.lines() if line["logger"] == "sluice.http.request_log"]
        assert "of-alice" not in node.log.read_text()
    assert [(one["level"], one["event"], one["path"], one["status"]) for one in lines] == [
        ("warning", "request without a valid token", "/export/status", 401),
        ("info", "request", "/export/run", 200),
        ("info", "request", "/export/download/e", 200),
    ]
    assert [one["user"] for one in lines] == [None, "alice", "alice"]
    assert all(isinstance(one["duration_ms"], int) for one in lines)
