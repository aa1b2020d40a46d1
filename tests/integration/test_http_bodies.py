"""Bodies that cost as much as they can, on a real node: its memory, and what others notice."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from schemas.topics import Topics
from tests.support.beside import beside
from tests.support.clients import http_client
from tests.support.hasty_node import hasty
from tests.support.nodes import MEASURED, node_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MIB = 1024 * 1024
JSON = {"Content-Type": "application/json"}
SHORT, LONG = b'[1,"some text of a row"]', b'[1,"%b"]' % (b"some text of a row, " * 50)
HEAD = '{"format":"csv","columns":["a","b"],"export_id":"%s","data":['


def body(export_id: str, row: bytes, size: int) -> bytes:
    head = (HEAD % export_id).encode()
    return head + ((row + b",") * ((size - len(head) - 2) // (len(row) + 1)))[:-1] + b"]}"


async def post(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    """The answer, once there is room for the body."""
    while True:
        answer = await client.post(
            "/export/run?wait=120", content=content, headers=JSON, timeout=400
        )
        if answer.status_code != 503:
            return answer
        await asyncio.sleep(1)


@pytest.mark.long
@pytest.mark.parametrize(
    "large",
    [
        pytest.param(
            {"large-0": (SHORT, 16), "large-1": (LONG, 64), "large-2": (LONG, 64)},
            id="of 64 MiB",
        ),
        # 650,000 rows each
        pytest.param(
            dict.fromkeys(("large-0", "large-1", "large-2"), (SHORT, 16)),
            id="short rows only",
        ),
    ],
)
async def test_hostile_and_large_bodies_from_several_clients_at_once(
    bootstrap_servers: str, topics: Topics, tmp_path: Path, large: dict[str, tuple[bytes, int]]
) -> None:
    wide = "\N{GRINNING FACE}".encode()
    hostile = {
        "empty": body("empty", b"[]", 16 * MIB),
        "numbers": body("numbers", b"1", 16 * MIB),
        "one-row": body("one-row", b'["%b",1]' % (b"x" * 60 * MIB + wide), 64 * MIB),
        "title": b'{"title":"%b",' % (b"x" * 30 * MIB + wide) + body("title", b"[1,2]", MIB)[1:],
        "columns": b'{"format":"csv","data":[],"columns":[%b{}]}' % (b"{}," * 5 * MIB),
        "keys": b'{"%b":1}' % (b"k" * 30 * MIB + wide),
        "deep": body("deep", b"[" * 300 + b"]" * 300, 16 * MIB),
        "open": body("open", b'[1,"x"]', 32 * MIB)[:-2],
    }
    async with (
        node_on(bootstrap_servers, topics, tmp_path, command=MEASURED, QUEUE_LIMIT=10_000) as node,
        http_client(node.url) as client,
        beside(node) as small,
    ):
        good = {name: body(name, row, mib * MIB - 1) for name, (row, mib) in large.items()}
        bodies = {**hostile, **good}
        bodies = dict(sorted(bodies.items(), key=lambda one: one[0][-1]))  # good among bad ones
        answers = await asyncio.gather(*(post(client, content) for content in bodies.values()))
        statuses = {i: answer.status_code for i, answer in zip(bodies, answers, strict=True)}
        errors = {
            i: answer.json()["errors"]
            for i, answer in zip(bodies, answers, strict=True)
            if answer.status_code == 400
        }
        assert statuses == {**dict.fromkeys(hostile, 400), **dict.fromkeys(large, 200)}
        for name in ("empty", "numbers"):
            assert len(errors[name]) == 1_001
        count = (16 * MIB - len(HEAD % "empty")) // 3
        assert errors["empty"][-1]["message"].startswith(f"and {count - 1_000:,}"[:8])
        assert errors["empty"][999] == {"field": "data.999", "message": "has 0 cells for 2 columns"}
        assert errors["one-row"] == [
            {"field": "data.0", "message": "is longer than 4,194,304 bytes"}
        ]
        assert {"field": "title", "message": "is too large"} in errors["title"]
        assert {"field": "columns", "message": "is too large"} in errors["columns"]
        assert "values are nested deeply" in errors["deep"][0]["message"]
        assert "malformed JSON" in errors["open"][0]["message"]
        longest = [line for line in node.lines() if "event loop" in line["event"]]
    print(longest)
    small.check()
    events = [answer.json() for answer in answers if answer.status_code == 200]
    assert {event["type"] for event in events} == {"export.completed"}


@pytest.mark.parametrize(
    "pace_seconds", [3, pytest.param(30, id="as it is built", marks=pytest.mark.long)]
)
async def test_bodies_that_trickle_keep_nobody_out(
    bootstrap_servers: str, topics: Topics, tmp_path: Path, pace_seconds: int
) -> None:
    """Most of a large body at once, then a byte at a time: cut off in the window after the next."""
    content = body("slow", SHORT, 60 * MIB)
    head = "POST /export/run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    trickling = asyncio.Semaphore(0)

    async def slow(url: httpx.URL) -> tuple[bytes, float]:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        began = time.monotonic()
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:-100])
        await writer.drain()
        trickling.release()
        answer = asyncio.create_task(reader.readuntil(b"\r\n"))
        for byte in content[-100:]:
            if (await asyncio.wait([answer], timeout=pace_seconds / 15))[0]:
                break
            writer.write(bytes([byte]))
        writer.close()
        return await answer, time.monotonic() - began

    command = (
        hasty(f"sluice.http.spool:_PACE_SECONDS={pace_seconds}") if pace_seconds < 30 else MEASURED
    )
    async with (
        node_on(bootstrap_servers, topics, tmp_path, command=command, QUEUE_LIMIT=10_000) as node,
        http_client(node.url, timeout=300) as client,
        beside(node) as small,
    ):
        slow_ones = [asyncio.create_task(slow(client.base_url)) for _ in range(3)]
        for _ in slow_ones:
            await trickling.acquire()
        fast = await post(client, body("fast", LONG, 20 * MIB))
        assert fast.status_code == 200, fast.text
        for status, seconds in await asyncio.gather(*slow_ones):
            assert status.startswith(b"HTTP/1.1 408 ")
            assert seconds < 2 * pace_seconds + 30  # on a busy machine, the body itself takes long
    small.check()


async def test_a_node_stops_in_time_amid_all_of_this(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    contents = [body(f"e-{number}", b"[]", 64 * MIB) for number in range(3)]
    async with (
        node_on(bootstrap_servers, topics, tmp_path) as node,
        http_client(node.url) as client,
    ):
        posting = [asyncio.create_task(post(client, content)) for content in contents]
        await asyncio.sleep(3)
        began = time.monotonic()
        assert await asyncio.to_thread(node.terminate) == 0
        assert time.monotonic() - began < 9.5
        answers = await asyncio.gather(*posting, return_exceptions=True)
        statuses = {one.status_code for one in answers if isinstance(one, httpx.Response)}
        assert statuses <= {400, 503}


@pytest.mark.long
async def test_uploads_that_trickle_hold_little_of_what_they_have_sent(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    """Nested rows, whose cells take twenty times their text; then a byte every 0.3 seconds.

    Half of the uploads send less than a chunk, so they are held before they are admitted; those
    of the other half are requested, and wait for their next chunk.
    """
    row = b'[[%b],"x"]\n' % b",".join([b"[]"] * 16_000)
    blank = b" " * 1_000

    async def upload(url: httpx.URL, number: int) -> None:
        query = f"format=csv&columns=a,b&export_id=e-{number}"
        head = (
            f"POST /export/run?{query} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson"
            "\r\nContent-Length: 1000000\r\n\r\n"
        )
        _, writer = await asyncio.open_connection(url.host, url.port)
        try:
            writer.write(head.encode() + row * (5 + number % 2))
            for byte in blank:
                await asyncio.sleep(0.3)
                writer.write(bytes([byte]))
                await writer.drain()
        finally:
            writer.close()

    async with (
        node_on(bootstrap_servers, topics, tmp_path, command=MEASURED, QUEUE_LIMIT=10_000) as node,
        http_client(node.url) as client,
        beside(node) as small,
    ):
        uploads = [asyncio.create_task(upload(client.base_url, n)) for n in range(100)]
        async with asyncio.timeout(60):
            while (await client.get("/export/status")).json()["open_exports"] < 50:
                await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        assert not [one for one in uploads if one.done()]
        for one in uploads:
            one.cancel()
    small.check(250 * MIB)
