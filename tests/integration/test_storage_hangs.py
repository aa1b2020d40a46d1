"""A storage that hangs: a FIFO stands in the place of a file, as opening one waits for ever.

Nothing but what needs that very file may wait for it, and SIGTERM ends the node all the same.
"""

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from schemas.completions import ExportCancelled, Source, encode_event
from schemas.topics import Topics
from schemas.vocabulary import Format
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, events
from tests.support.serving import assert_problem
from tests.support.upstream import Upstream

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DRAIN_SECONDS = 2
STOP_SECONDS = DRAIN_SECONDS + 7.0
ROWS = [[1, "x"]]
MOMENT = datetime(2026, 11, 21, 10, tzinfo=UTC)
OF_ANOTHER_PARTITION = ExportCancelled(
    export_id="one",
    user="anonymous",
    rows=0,
    requested_at=MOMENT,
    started_at=None,
    completed_at=MOMENT,
    duration_ms=0,
    source=Source(topic="export.requests", partition=9, offset=0),
    format=Format.CSV,
    message="cancelled on request",
)
RUN = {"format": "csv", "columns": ["n"], "data": [[1]]}


async def ended_in_time(node: NodeProcess) -> None:
    begun = time.monotonic()
    assert await asyncio.to_thread(node.terminate, 60) == 0
    assert time.monotonic() - begun < STOP_SECONDS


async def until_ready_says(node: NodeProcess, *words: str) -> list[str]:
    async with http_client(node.url) as client, asyncio.timeout(30):
        while True:
            found: list[str] = (await client.get("/ready")).json()["problems"]
            if all(any(word in problem for problem in found) for word in words):
                return found
            await asyncio.sleep(0.2)


async def test_status_that_hangs_holds_up_nobody(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    exports = tmp_path / "exports"
    ids = [f"hangs-{number}" for number in range(7)]
    async with node_on(
        bootstrap_servers, topics, tmp_path, DRAIN_TIMEOUT_SECONDS=DRAIN_SECONDS
    ) as node:
        for export_id in ids:
            os.mkfifo(exports / f"{export_id}.manifest.json")
        async with http_client(node.url) as client:
            client.timeout = httpx.Timeout(30)
            looking = [
                asyncio.create_task(client.get(f"/export/status/{export_id}"))
                for export_id in [*ids, *[ids[0]] * 20]
            ]
            await asyncio.sleep(0.5)
            begun = time.monotonic()
            assert (await client.post("/export/run", json=RUN)).status_code == 202
            waited = await client.post("/export/run?wait=20", json={**RUN, "export_id": "named"})
            assert (waited.status_code, waited.json()["rows"]) == (200, 1)
            assert (await client.get("/export/download/named")).content == b"n\r\n1\r\n"
            assert time.monotonic() - begun < 5
            for answer in await asyncio.gather(*looking):
                assert_problem(answer, 503, "the storage does not answer")
                assert answer.headers["retry-after"] == "1"
            named = await client.post("/export/run", json={**RUN, "export_id": ids[0]})
            assert_problem(named, 503, "the storage does not answer")
            assert (await client.get("/ready")).status_code == 200
        await ended_in_time(node)


async def test_a_download_that_hangs_is_refused(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    empty = {**RUN, "data": [], "options": {"header": False}, "export_id": "empty"}
    async with node_on(
        bootstrap_servers, topics, tmp_path, DRAIN_TIMEOUT_SECONDS=DRAIN_SECONDS
    ) as node:
        async with http_client(node.url) as client:
            client.timeout = httpx.Timeout(30)
            assert (await client.post("/export/run?wait=20", json=empty)).json()["bytes"] == 0
            (tmp_path / "exports" / "empty.csv").unlink()
            os.mkfifo(tmp_path / "exports" / "empty.csv")  # as large as the file: 0 bytes
            answer = await client.get("/export/download/empty")
            assert_problem(answer, 503, "the storage does not answer")
        await ended_in_time(node)


@pytest.mark.parametrize("topics", [12], indirect=True)
async def test_partitions_that_hang_leave_their_slots_to_the_others(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    exports, stuck = tmp_path / "exports", range(6)  # one more than there are slots
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    upstream = Upstream(producer, topics)

    async def publish(export_id: str, partition: int) -> None:
        request = {"type": "export.requested", "export_id": export_id, "format": "csv"}
        batch = {"export_id": export_id, "seq": 0, "rows": ROWS, "last": True}
        await upstream.send(
            topics.requests, export_id, {**request, "columns": ["n", "t"]}, partition
        )
        await upstream.send(topics.records, export_id, batch, partition)

    async with node_on(
        bootstrap_servers, topics, tmp_path, DRAIN_TIMEOUT_SECONDS=DRAIN_SECONDS
    ) as node:
        for partition in stuck:
            os.mkfifo(exports / f"stuck-{partition}.manifest.json")
            await publish(f"stuck-{partition}", partition)
        for partition in range(12):
            if partition not in stuck:
                await publish(f"free-{partition}", partition)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=6))
        assert set(done) == {f"free-{partition}" for partition in range(6, 12)}
        problems = await until_ready_says(
            node, *(f"partition {number}: the storage does not answer" for number in stuck)
        )
        assert len(problems) == len(stuck)
        async with http_client(node.url) as client:
            status = (await client.get("/export/status")).json()
            assert (status["running"], status["capacity"]) == (0, 5)
            lines: list[str] = []
            async with asyncio.timeout(10):  # the lane tells the metric a moment later
                while 'sluice_partition_trouble{partition="3"} 1.0' not in lines:
                    lines = (await client.get("/metrics")).text.splitlines()
            assert 'sluice_partition_trouble{partition="7"} 0.0' in lines
        await ended_in_time(node)
    for partition in stuck:  # once it answers, the next owner goes on
        (exports / f"stuck-{partition}.manifest.json").unlink()
    async with node_on(bootstrap_servers, topics, tmp_path, "later.log"):
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=12))
        assert {event.type for event in done.values()} == {"export.completed"}
    await producer.stop()


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_turn_goes_on_when_the_storage_answers_again(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        manifest = tmp_path / "exports" / "one.manifest.json"
        os.mkfifo(manifest)
        await upstream.request("one")
        await upstream.request("two")
        await upstream.batch("two", 0, ROWS, last=True)
        await until_ready_says(node, "partition 0: the storage does not answer, for ")
        await asyncio.to_thread(manifest.write_bytes, encode_event(OF_ANOTHER_PARTITION))
        (done,) = await events(bootstrap_servers, topics.completions, at_least=1)
        assert (done.export_id, done.type) == ("two", "export.completed")
        async with http_client(node.url) as client, asyncio.timeout(10):
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.1)
            text = (await client.get("/metrics")).text
        assert 'export_requests_total{format="csv",status="duplicate",user="anonymous"} 1.0' in text
