"""``GET /export/events`` on real nodes: another node's exports, 1,000 clients, and a drain."""

import asyncio
import json
import resource
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.nodes import MEASURED, NodeProcess, node_on
from tests.support.sse import listening
from tests.support.upstream import Upstream
from tests.support.waiting import until

CLIENTS = 1_000
MIB = 1024 * 1024

pytestmark = pytest.mark.kafka


@pytest.mark.slow
async def test_an_end_shows_on_another_node_within_a_second(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with (
        node_on(bootstrap_servers, topics, tmp_path, "one.log") as one,
        node_on(bootstrap_servers, topics, tmp_path, "two.log") as two,
        http_client(one.url, timeout=None) as here,
        http_client(two.url, timeout=None) as there,
        listening(here) as first,
        listening(there) as second,
    ):
        await upstream.request("e", title="Orders")
        await until(lambda: ("e", "queued") in first.shown() and ("e", "queued") in second.shown())
        await upstream.batch("e", 0, [[1, "x"]])
        await until(
            lambda: ("e", "running") in first.shown() and ("e", "running") in second.shown()
        )
        await upstream.batch("e", 1, [[2, "y"]], last=True)
        shown_at: dict[str, float] = {}
        await until(
            lambda: (
                _ended(first.shown(), "one", shown_at) and _ended(second.shown(), "two", shown_at)
            )
        )
        assert abs(shown_at["one"] - shown_at["two"]) < 1
        # The node that runs it shows its rows; no other one knows them.
        rows = [{one["rows"] for one in s.messages[:-1]} - {None, 0} for s in (first, second)]
        assert rows in ([{1}, set()], [set(), {1}])
        assert first.messages[-1].items() == second.messages[-1].items()
        assert await asyncio.to_thread(two.terminate) == 0
        await until(lambda: second.ended)
        assert not first.ended


def _ended(shown: list[tuple[str, str]], name: str, shown_at: dict[str, float]) -> bool:
    if ("e", "completed") in shown:
        shown_at.setdefault(name, time.monotonic())
    return name in shown_at


@pytest.fixture
def many_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CLIENTS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"this machine allows {hard} open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.mark.long
async def test_1000_clients_cost_less_than_100_mib(
    many_descriptors: None,
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    tmp_path: Path,
) -> None:
    async with (
        node_on(bootstrap_servers, topics, tmp_path, command=MEASURED) as node,
        AsyncExitStack() as open_streams,
    ):
        await open_streams.enter_async_context(_raw_stream(node.url))
        before = _resident_bytes(node)
        readers = [
            await open_streams.enter_async_context(_raw_stream(node.url)) for _ in range(CLIENTS)
        ]
        opened = _resident_bytes(node)
        for number in range(200):
            await upstream.request(f"e-{number}")
            await upstream.batch(f"e-{number}", 0, [[1, "x"]], last=True)
        async with asyncio.timeout(120):
            completed = await asyncio.gather(*(_until_completed(one, 200) for one in readers))
        assert completed == [200] * CLIENTS, "none missed an end"
        after = _resident_bytes(node)
        print(
            f"{CLIENTS} clients: {(opened - before) / MIB:.1f} MiB open, "
            f"{(after - before) / MIB:.1f} MiB after 200 exports each"
        )
        assert after - before < 100 * MIB
        async with http_client(node.url) as usual:
            assert (await usual.get("/export/status")).status_code == 200


@asynccontextmanager
async def _raw_stream(url: str) -> AsyncIterator[asyncio.StreamReader]:
    """A stream without a client library, of which 1,000 would be slow."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET /export/events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(b"id: ")
    yield reader
    writer.close()


async def _until_completed(reader: asyncio.StreamReader, wanted: int) -> int:
    found: set[str] = set()
    while len(found) < wanted:
        line = await reader.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            message = json.loads(line[6:])
            if message.get("state") == "completed":
                found.add(message["export_id"])
    return len(found)


def _resident_bytes(node: NodeProcess) -> int:
    shown = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(node.pid)], check=True, capture_output=True
    )
    return int(shown.stdout) * 1024
