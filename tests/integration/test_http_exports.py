"""Exports over HTTP, from the upload to the file, on real nodes and a real Kafka."""

import asyncio
import hashlib
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.hasty_node import hasty
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, committed, events
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

NDJSON = {"Content-Type": "application/x-ndjson"}
QUERY = "format=csv&columns=n,t"


@asynccontextmanager
async def asking(node: NodeProcess, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(node.url, headers=headers, timeout=60) as client:
        yield client


async def run(client: httpx.AsyncClient, query: str = "", **fields: Any) -> httpx.Response:
    body = {"format": "csv", "columns": ["n", "t"], "data": rows_of(0, 10), **fields}
    return await client.post(f"/export/run{query}", json=body)


async def upload(client: httpx.AsyncClient, body: Any, query: str) -> httpx.Response:
    return await client.post(f"/export/run?{QUERY}&{query}", content=body, headers=NDJSON)


def lines(rows: list[list[Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def resident_bytes(pid: int) -> int:
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True)
    return int(shown.stdout) * 1024


async def state(client: httpx.AsyncClient, export_id: str, *wanted: str) -> dict[str, Any]:
    """The status of an export, once it is one of those that are wanted."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(30):
        while found.get("state") not in wanted:
            found = (await client.get(f"/export/status/{export_id}")).json()
            await asyncio.sleep(0.05)
    return found


async def test_whole_exports_and_the_same_id_again(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    rows = rows_of(0, 2_500)
    async with node_on(bootstrap_servers, topics, tmp_path) as node, asking(node) as client:
        answer = await run(client, "?wait=30", export_id="j", data=rows)
        assert answer.status_code == 200, answer.text
        event = answer.json()
        assert (event["type"], event["rows"]) == ("export.completed", 2_500)
        again = await run(client, "?wait=30", export_id="j", data=[])
        assert (again.status_code, again.json()) == (200, event)
        sent = await upload(client, lines(rows), "export_id=n&wait=30")
        assert sent.json()["sha256"] == event["sha256"]
        accepted = (await run(client, export_id="pdf", format="pdf", data=rows[:99])).json()
        ended = await state(client, "pdf", "completed", "failed")
        assert ended["event"]["pages"] == 2
        file = await client.get(accepted["download_url"])
        assert file.headers["content-type"] == "application/pdf"
        assert hashlib.sha256(file.content).hexdigest() == ended["event"]["sha256"]
        assert (await client.get("/export/download/j")).content == csv_bytes(rows)
    done = by_id(await events(bootstrap_servers, topics.completions, at_least=3))
    assert set(done) == {"j", "n", "pdf"}
    assert len(await committed(bootstrap_servers, topics.requests)) == 3
    assert await committed(bootstrap_servers, topics.dead_letters) == []


@pytest.mark.long
async def test_a_million_rows_are_uploaded_in_flat_memory(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    rows, chunk = 1_000_000, 10_000

    async def body() -> AsyncIterator[bytes]:
        for first in range(0, rows, chunk):
            peak.append(resident_bytes(node.pid))
            yield b"".join(
                b'[%d,"row %d of many, with text"]\n' % (n, n) for n in range(first, first + chunk)
            )

    peak: list[int] = []
    async with node_on(bootstrap_servers, topics, tmp_path) as node, asking(node) as client:
        await run(client, "?wait=30")
        answer = await client.post(
            f"/export/run?{QUERY}&export_id=big&wait=120",
            content=body(),
            headers=NDJSON,
            timeout=240,
        )
        assert (answer.status_code, answer.json()["rows"]) == (200, rows), answer.text
        assert (await client.head("/export/download/big")).headers["etag"]
    early, late = max(peak[10:30]), max(peak[70:])
    print(f"\nresident while uploading: {early / 2**20:.0f} MiB early, {late / 2**20:.0f} MiB late")
    assert late < early + 60 * 2**20


async def test_a_broken_upload_and_a_bad_line_are_cancelled(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node, asking(node) as client:
        bad = await upload(client, lines(rows_of(0, 3_000)) + b"[1\n", "export_id=bad")
        assert bad.status_code == 400
        assert bad.json()["errors"][0]["field"] == "line 3001"
        url = client.base_url
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(
            f"POST /export/run?{QUERY}&export_id=broken HTTP/1.1\r\nHost: x\r\n"
            "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        piece = lines(rows_of(0, 2_000))
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert (await state(client, "broken", "running", "queued"))["event"] is None
        writer.close()
        for export_id in ("bad", "broken"):
            ended = await state(client, export_id, "cancelled", "completed", "failed")
            assert ended["state"] == "cancelled"
            assert (await client.get(f"/export/download/{export_id}")).status_code == 409


async def test_a_queue_is_full_on_every_node_and_any_node_answers(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"QUEUE_LIMIT": 4, "SESSION_TIMEOUT_SECONDS": 2}
    async with (
        node_on(bootstrap_servers, topics, tmp_path, log="one.log", **settings) as first,
        node_on(bootstrap_servers, topics, tmp_path, log="two.log", **settings) as second,
        asking(first) as one,
        asking(second) as two,
    ):
        for number in range(4):
            await upstream.request(f"open-{number}")
        for client in (one, two):
            refused = await run(client)
            assert refused.status_code == 429, refused.text
            assert int(refused.headers["retry-after"]) >= 1
        await upstream.batch("open-0", 0, rows_of(0, 500))
        for client in (one, two):
            assert (await state(client, "open-0", "running"))["event"] is None
            assert (await client.get("/export/status/open-1")).json()["state"] == "queued"
        counted = [(await c.get("/export/status/open-0")).json()["rows"] for c in (one, two)]
        assert sorted(counted, key=str) == [500, None], "only who runs it counts rows"
        await upstream.batch("open-0", 1, [], last=True)
        for client in (one, two):
            assert (await state(client, "open-0", "completed"))["event"]["rows"] == 500
            file = await client.get("/export/download/open-0")
            assert file.content == csv_bytes(rows_of(0, 500))
        assert (await run(two, export_id="last", data=rows_of(0, 3))).status_code == 202
        await state(one, "last", "completed")
        assert second.terminate() == 0
        for number in range(1, 4):
            assert (await one.delete(f"/export/open-{number}")).status_code == 202
            await state(one, f"open-{number}", "cancelled")
    done = by_id(await events(bootstrap_servers, topics.completions, at_least=5))
    assert len(done) == 5


async def test_a_restart_forgets_nothing(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, SESSION_TIMEOUT_SECONDS=2) as node:
        async with asking(node) as client:
            await run(client, "?wait=30", export_id="done")
            await upstream.request("open")
            await upstream.batch("open", 0, rows_of(0, 5))
            await state(client, "open", "running")
        node.kill()
        await node.start()
        async with asking(node) as client:
            assert (await client.get("/export/status/done")).json()["state"] == "completed"
            assert (await state(client, "open", "running"))["event"] is None
            assert (await run(client, export_id="open")).status_code == 202
            await upstream.batch("open", 1, rows_of(5, 5), last=True)
            await state(client, "open", "completed")
            file = await client.get("/export/download/open")
            assert file.content == csv_bytes(rows_of(0, 10)), "the second run published nothing"


async def test_a_cancellation_in_the_middle_of_an_upload(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    command = hasty("sluice.http.run:_LOOK_SECONDS=0.5")
    async with (
        node_on(bootstrap_servers, topics, tmp_path, command=command) as node,
        asking(node) as client,
    ):
        cancelled = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield lines(rows_of(0, 2_000))
            await state(client, "e", "running")
            assert (await client.delete("/export/e")).status_code == 202
            await state(client, "e", "cancelled")
            cancelled.set()
            for _ in range(40):
                await asyncio.sleep(0.05)
                yield lines(rows_of(0, 100))

        answer = await upload(client, body(), "export_id=e&wait=10")
        assert (answer.status_code, answer.json()["type"]) == (200, "export.cancelled")
        assert cancelled.is_set()
        assert (await client.delete("/export/e")).status_code == 202, (
            "too late, and reported nowhere"
        )
        assert (await client.get("/export/status/e")).json()["state"] == "cancelled"


async def test_an_open_transaction_delays_no_answer_that_waits(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async def taken(client: httpx.AsyncClient) -> tuple[int, float]:
        began = time.monotonic()
        return (await run(client, "?wait=3")).status_code, time.monotonic() - began

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, transactional_id="open")
    await producer.start()
    try:
        async with node_on(bootstrap_servers, topics, tmp_path) as node, asking(node) as client:
            await producer.begin_transaction()
            await Upstream(producer, topics).request("hidden")
            # Those that lie behind it in its partition are not accepted yet.
            found = await asyncio.gather(*(taken(client) for _ in range(8)))
            ended = [seconds for status, seconds in found if status == 200]
            assert ended
            assert max(ended) < 2
            assert (await client.get("/export/status/unknown")).status_code == 503
            await producer.abort_transaction()
            assert (await client.get("/export/status/unknown")).status_code == 404
    finally:
        await producer.stop()


async def test_tokens_part_users(bootstrap_servers: str, topics: Topics, tmp_path: Path) -> None:
    async with (
        node_on(
            bootstrap_servers, topics, tmp_path, API_TOKENS="of-alice:alice,of-bob:bob"
        ) as node,
        asking(node, Authorization="Bearer of-alice") as alice,
        asking(node, Authorization="Bearer of-bob") as bob,
        asking(node) as nobody,
    ):
        event = (await run(alice, "?wait=30", export_id="e")).json()
        assert event["user"] == "alice"
        for client, status in ((alice, 200), (bob, 404), (nobody, 401)):
            for path in ("status", "download"):
                assert (await client.get(f"/export/{path}/e")).status_code == status
        for export_id in ("e", "unknown"):
            assert (await bob.delete(f"/export/{export_id}")).status_code == 202
        assert (await run(bob, export_id="e")).status_code == 409
        assert (await run(bob, user="alice")).json()["errors"][0]["field"] == "user"
        assert "of-alice" not in node.log.read_text()
