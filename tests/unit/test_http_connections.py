"""What a client can hold up on its connection, and for how long; and what is logged of requests."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from sluice.http import connections
from tests.support.clients import http_client
from tests.support.http import World, app_of, serving_world
from tests.support.serving import serving
from tests.support.waiting import until

CUT_OFF = "response cut off: the client does not read"
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = (
    b"POST /export/run HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has a second in ``client`` has less."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)


@pytest.fixture
async def client(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(connections, "_MOST_CONNECTIONS", 5)
    async with serving_world(world) as client:
        yield client


class Raw:
    """A connection that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def rest(self, seconds: float = 5.0) -> bytes:
        """All that comes until the server hangs up."""
        try:
            return await asyncio.wait_for(self.reader.read(), seconds)
        except ConnectionError:
            return b""

    async def answer(self) -> bytes:
        """A head and as much of the body as there is."""
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)


@asynccontextmanager
async def raw(client: httpx.AsyncClient, sent: bytes = b"") -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(sent)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


async def drip(one: Raw, text: bytes) -> None:
    for byte in text:
        one.writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("sent", [b"", POST], ids=["silent", "slow bodies"])
async def test_a_probe_among_a_flood_of_connections_is_answered(
    world: World, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """All wait to be accepted while the loop is busy; each beyond 50 makes another one go."""
    monkeypatch.setattr(connections, "_MOST_CONNECTIONS", 50)
    async with serving_world(world) as client, AsyncExitStack() as flood:
        assert (await client.get("/health")).status_code == 200  # it listens
        place = (client.base_url.host, client.base_url.port)
        # In this thread, so that none is accepted meanwhile.
        opened = [flood.enter_context(socket.create_connection(place)) for _ in range(150)]
        for one in opened:
            one.sendall(sent)
        probe = flood.enter_context(socket.create_connection(place))
        probe.sendall(GET + b"\r\n")
        opened = [flood.enter_context(socket.create_connection(place)) for _ in range(150)]
        for one in opened:
            one.sendall(sent)
        answer = await asyncio.to_thread(probe.recv, 1_000)
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_connection_without_a_head_is_closed(
    client: httpx.AsyncClient, hasty: None
) -> None:
    async with raw(client) as silent, raw(client, GET) as half, raw(client) as slow:
        dripping = asyncio.create_task(drip(slow, GET))
        assert await silent.rest() == b""
        for one in (half, slow):
            answer = await one.rest()
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"application/problem+json" in answer
        dripping.cancel()


async def test_the_next_head_has_as_long(client: httpx.AsyncClient, hasty: None) -> None:
    async with raw(client, GET + b"\r\n") as one:
        assert (await one.answer()).startswith(b"HTTP/1.1 200 ")
        dripping = asyncio.create_task(drip(one, GET))
        assert b"HTTP/1.1 408 " in await one.rest()
        dripping.cancel()
    async with raw(client, GET + b"Content-Length: 1000\r\n\r\n") as one:
        assert (await one.answer()).startswith(b"HTTP/1.1 200 ")
        dripping = asyncio.create_task(drip(one, b"x" * 100))
        await one.rest()  # a body that nobody reads holds it up no longer
        dripping.cancel()


async def test_a_request_may_take_its_time(
    client: httpx.AsyncClient, world: World, hasty: None
) -> None:
    sent = b'{"format":"csv","columns":["a"],"data":[[1]]}'
    head = b"POST /export/run?wait=0.5 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    async with raw(client, head + b"Content-Length: %d\r\n\r\n" % len(sent)) as one:
        await asyncio.sleep(0.5)
        one.writer.write(sent)
        assert (await one.answer()).startswith(b"HTTP/1.1 202 ")
    assert len(world.requested()) == 1


@pytest.mark.parametrize("size", [70_000, 300_000])
async def test_a_head_has_a_bound(client: httpx.AsyncClient, size: int) -> None:
    async with raw(client, GET + b"X-Large: " + b"x" * size) as one:
        answer = await one.rest()  # lost, where the server hangs up before all is sent
        assert b"HTTP/1.1 431 " in answer or (answer == b"" and size > 128 * 1024)
    async with raw(client, GET + b"X-Large: " + b"x" * 60_000 + b"\r\n\r\n") as one:
        assert (await one.answer()).startswith(b"HTTP/1.1 200 ")


async def test_who_comes_last_gets_in_where_free_connections_take_all_places(
    client: httpx.AsyncClient,
) -> None:
    async with (
        raw(client) as first,
        raw(client, b"G"),
        raw(client),
        raw(client),
        raw(client),
        raw(client, GET + b"\r\n") as last,
    ):
        assert (await last.answer()).startswith(b"HTTP/1.1 200 ")
        assert await first.rest(0.5) == b""


async def test_requests_under_way_keep_their_places(
    client: httpx.AsyncClient, world: World
) -> None:
    world.room.clear()
    body = {"format": "csv", "columns": ["a"], "data": []}
    under_way = []
    for _ in range(5):
        one = http_client(client.base_url)
        under_way.append((one, asyncio.create_task(one.post("/export/run", json=body))))
    await until(lambda: world.waiting == 5)
    async with raw(client, GET.replace(b"health", b"export/status") + b"\r\n") as one_more:
        assert (await one_more.rest()).startswith(b"HTTP/1.1 503 ")
    async with AsyncExitStack() as many:
        # Probes are answered all the same, and those that send nothing make room for them.
        for _ in range(30):
            await many.enter_async_context(raw(client))
        for path in (b"health", b"ready", b"metrics", b"export/metrics"):
            probe = await many.enter_async_context(raw(client, GET.replace(b"health", path)))
            probe.writer.write(b"\r\n")
            assert (await probe.answer()).startswith(b"HTTP/1.1 200 "), path
    async with raw(client, GET.replace(b"health", b"export/status") + b"\r\n") as one_more:
        assert (await one_more.rest()).startswith(b"HTTP/1.1 503 ")
    world.room.set()
    for one, answer in under_way:
        assert (await answer).status_code == 202
        await one.aclose()


async def test_a_client_that_reads_nothing_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.2)
    world.others["e-1"] = "anonymous"
    world.end("e-1", content=b"x" * 40_000_000)
    with capture_logs() as logs:
        async with (
            serving_world(world) as client,
            raw(client, GET.replace(b"health", b"export/download/e-1") + b"\r\n") as one,
        ):
            await until(lambda: CUT_OFF in [line["event"] for line in logs])
            assert len(await one.rest()) < 30_000_000


# The log


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []

    def keep(_logger: object, name: str, fields: MutableMapping[str, Any]) -> str:
        found.append({**fields, "level": name})
        raise structlog.DropEvent

    caplog.set_level(logging.DEBUG)
    before = structlog.get_config()
    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    yield found
    structlog.configure(**before)


TOKENS: dict[str, Any] = {"users_by_token": {"hush": "alice"}}


async def test_each_request_is_a_line(world: World, lines: list[dict[str, Any]]) -> None:
    async with app_of(world, **TOKENS) as app, serving(app) as client:
        headers = {"Authorization": "Bearer hush"}
        sent = {"format": "csv", "columns": ["a"], "data": [[1]], "title": "secret"}
        await client.post("/export/run?wait=0.1", json=sent, headers=headers)
        await client.get("/export/status/unknown?key=hush", headers=headers)
        await client.get("/health")
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["level"], line["path"], line["status"]) for line in requests] == [
        ("info", "/export/run", 202),
        ("info", "/export/status/unknown", 404),
        ("debug", "/health", 200),
    ]
    assert [line["user"] for line in requests] == ["alice", "alice", None]
    first = requests[0]
    assert (first["method"], first["client"]) == ("POST", "127.0.0.1")
    assert first["received_bytes"] > 50
    assert first["sent_bytes"] > 50
    assert first["duration_ms"] >= 100
    assert "hush" not in str(lines)
    assert "secret" not in str(lines)


async def test_refused_tokens_are_warnings_and_few(
    world: World, lines: list[dict[str, Any]]
) -> None:
    async with app_of(world, **TOKENS) as app, serving(app) as client:
        for number in range(20):
            headers = {"Authorization": f"Bearer wrong-{number}"}
            answer = await client.get("/export/status", headers=headers)
            assert answer.status_code == 401
    warnings = [line for line in lines if line["level"] == "warning" and line["event"] != "audit"]
    assert [line["event"] for line in warnings] == ["request without a valid token"]
    assert (warnings[0]["path"], warnings[0]["status"]) == ("/export/status", 401)
    assert "wrong-" not in str(lines)


async def test_a_body_of_tiny_chunks_leaves_the_loop_to_others(
    world: World, client: httpx.AsyncClient
) -> None:
    """30,000 events in one read: others have their turns between slices of it."""
    lines = b'{"a": "' + b"x" * 30_000 + b'"}\n'
    head = (
        b"POST /export/run?export_id=tiny&format=csv&columns=a HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in lines) + b"0\r\n\r\n"
    gaps: list[float] = []

    async def measure_turns() -> None:
        """CPU seconds between turns of the loop."""
        began = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            gaps.append(now - began)
            began = now

    measuring = asyncio.create_task(measure_turns())
    async with raw(client, head + chunks) as one:
        assert b" 202 " in await one.answer()
    measuring.cancel()
    assert max(gaps) < sum(gaps) / 3
    assert world.published_rows("tiny") == [{"a": "x" * 30_000}]


async def test_pipelined_requests_are_answered_each_in_order(client: httpx.AsyncClient) -> None:
    requests = b"".join(
        b"GET /nowhere/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(1_500)
    )
    last = b"GET /nowhere/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with raw(client, requests + last) as one:
        answers = await one.rest(60)
    assert answers.count(b"HTTP/1.1 404 ") == 1_501
    assert answers.index(b"/nowhere/0") < answers.index(b"/nowhere/1499")
    assert b"/nowhere/last" in answers
