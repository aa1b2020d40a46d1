"""``GET /export`` and ``sluice list`` on a real Kafka: every node lists the same, restarted too."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from consumer.cluster import Cluster
from consumer.core.listing import EndedExports
from consumer.history.history import History
from schemas.topics import Topics
from tests.hostile.stalls import stalls_of
from tests.hostile.wire import Codec, Record, make_batch
from tests.integration.test_backlog import group_of
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, node_on
from tests.support.shell import Shell
from tests.support.upstream import Upstream

pytestmark = pytest.mark.kafka


async def listed(client: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/export{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["exports"]
    return found


async def states(client: httpx.AsyncClient) -> dict[str, str]:
    return {one["export_id"]: one["state"] for one in await listed(client)}


async def until_states(client: httpx.AsyncClient, expected: dict[str, str]) -> float:
    """Wait for these; how many seconds it took."""
    began = time.monotonic()
    while (found := await states(client)) != expected:
        assert time.monotonic() < began + 10, found
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def history_of(servers: str, topics: Topics, most: int) -> EndedExports:
    """What a node that starts now knows."""
    options = {"bootstrap_servers": servers}
    async with (
        Cluster(topics, group_of(topics), options) as cluster,
        History(cluster, topics, options, most) as history,
    ):
        return await history.ended(20)


@pytest.mark.slow
async def test_every_node_lists_the_same(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, shell: Shell, tmp_path: Path
) -> None:
    short: dict[str, Any] = {"SESSION_TIMEOUT_SECONDS": 3}  # that of a node that is killed
    async with (
        node_on(bootstrap_servers, topics, tmp_path, "one.log", **short) as one,
        node_on(bootstrap_servers, topics, tmp_path, "two.log", **short) as two,
        http_client(one.url) as here,
    ):
        await upstream.request("done", title="All orders", user="alice")
        await upstream.batch("done", 0, [[1, "x"]], last=True)
        await upstream.request("wrong", format="doc", title="Odd")
        await upstream.request("open", title="Later")
        ended = {"done": "completed", "wrong": "failed"}
        await until_states(here, {**ended, "open": "queued"})
        async with http_client(two.url) as there:
            await until_states(there, {**ended, "open": "queued"})
            unfinished, *ended_ones = await listed(there)
            assert (await listed(here))[1:] == ended_ones
            assert unfinished.keys() == ended_ones[0].keys()
            assert [found["title"] for found in await listed(there)] == [
                "Later",
                "Odd",
                "All orders",
            ]
            await upstream.batch("open", 0, [[1, "x"]], last=True)
            await until_states(here, {**ended, "open": "completed"})
            assert await until_states(there, {**ended, "open": "completed"}) < 1
        before = await listed(here)
        two.kill()
        await two.start()
        async with http_client(two.url) as again:
            assert await listed(again) == before, "at once, as the tail is short"
    _check_command(shell, before)


def _check_command(shell: Shell, expected: list[dict[str, Any]]) -> None:
    printed = shell.run("list", "--json").stdout.splitlines()
    assert [json.loads(line) for line in printed] == expected
    lines = shell.run("list").stdout.splitlines()  # a header is for terminals
    assert [line.split()[:2] for line in lines] == [
        [one["export_id"], one["state"]] for one in expected
    ]
    failed = shell.run("list", "--state", "failed").stdout.splitlines()
    assert [line.split()[0] for line in failed] == ["wrong"]
    assert len(shell.run("list", "--last", "1").stdout.splitlines()) == 1
    assert shell.fails("list", "--state", "done", code=2)


async def test_only_the_last_ones_are_kept(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, node: NodeProcess
) -> None:
    for number in range(12):
        await upstream.request(f"e-{number:02}", title=f"Title {number}")
        await upstream.batch(f"e-{number:02}", 0, [], last=True)
    async with http_client(node.url) as client:
        await until_states(client, {f"e-{number:02}": "completed" for number in range(12)})
    ended = await history_of(bootstrap_servers, topics, 5)
    assert len(ended) == 5
    every = await history_of(bootstrap_servers, topics, 100)
    assert [one.title for one in every.newest()] == [f"Title {n}" for n in reversed(range(12))]
    assert {one.export_id for one in ended.newest()} <= {one.export_id for one in every.newest()}


async def test_without_topics_the_command_is_refused(no_topics: Shell) -> None:
    assert no_topics.fails("list").startswith("missing topics: ")


@pytest.mark.long
async def test_lists_and_events_of_100_000_that_wait_hold_no_node_up(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    """They wait as only so many may be open; what each list does to others is the node's count."""
    async with (
        node_on(bootstrap_servers, topics, tmp_path) as node,
        http_client(node.url, timeout=60) as client,
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer,
    ):
        for first in range(0, 100_000, 1_000):
            batch = make_batch(map(waiting, range(first, first + 1_000)), Codec.LZ4)
            await (await producer.send_batch(batch, topics.requests, partition=0))
        while "e-099999" not in (await client.get("/export?q=e-099999")).text:
            await asyncio.sleep(0.2)  # it answers 503 while it reads
        before = await stalls_of(node)
        async with client.stream("GET", "/export/events"):
            lists = [listed(client, "?q=nowhere"), listed(client, "?limit=1")] * 5
            found = await asyncio.gather(*lists)
            await asyncio.sleep(2)
        after = await stalls_of(node)
        assert [len(some) for some in found] == [0, 1] * 5
        assert before
        assert after
        assert after.longest_since(before) <= 0.25  # the bound of a bucket: 0.1 is the next


def waiting(number: int) -> Record:
    """A request of which no batch comes."""
    export_id = f"e-{number:06}"
    fields = {"type": "export.requested", "export_id": export_id, "format": "csv"}
    value = {**fields, "columns": ["a"], "title": "Größe und so weiter " * 5}
    return Record(json.dumps(value).encode(), export_id.encode())
