"""``GET /group`` on a real Kafka: every node with its partitions, and what nobody has read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from consumer.cluster import Cluster
from consumer.group.group_reader import GroupReader
from schemas.topics import Topics
from tests.integration.test_two_nodes import SETTINGS, shares
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, node_on, settings_for
from tests.support.topics import PARTITIONS
from tests.support.upstream import Upstream, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def group_at(node: NodeProcess) -> dict[str, Any]:
    async with http_client(node.url) as client:
        answer = await client.get("/group")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def group_of_nodes(node: NodeProcess, count: int, lag: int = 0) -> dict[str, Any]:
    """The group once it has so many nodes, owns all partitions, and has this lag."""
    async with asyncio.timeout(30):
        while True:
            found = await group_at(node)
            owned = all(one["node"] for one in found["partitions"])
            if len(found["nodes"]) == count and owned and found["lag"] == lag:
                return found
            await asyncio.sleep(0.1)


async def completed(node: NodeProcess, export_id: str) -> None:
    async with http_client(node.url) as client, asyncio.timeout(30):
        while (await client.get(f"/export/status/{export_id}")).json()["state"] != "completed":
            await asyncio.sleep(0.1)


@asynccontextmanager
async def reading(servers: str, topics: Topics, group_id: str) -> AsyncIterator[GroupReader]:
    """A reader of a group that isn't ours."""
    options = {"bootstrap_servers": servers}
    async with Cluster(topics, group_id, options) as cluster, GroupReader(cluster, "me") as reader:
        yield reader


async def test_nodes_and_lag_are_those_of_the_whole_group(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with (
        node_on(bootstrap_servers, topics, tmp_path, log="one.log", **SETTINGS) as one,
        node_on(bootstrap_servers, topics, tmp_path, log="two.log", **SETTINGS) as two,
    ):
        by_status = await shares(one, two)
        found = await group_of_nodes(one, 2)
        assert found["state"] == "Stable"
        names = [f"sluice-{socket.gethostname()}-{node.pid}" for node in (one, two)]
        by_name = {node["name"]: set(node["partitions"]) for node in found["nodes"]}
        assert by_name == dict(zip(names, by_status, strict=True)), "disjoint, and all together"
        assert {node["host"] for node in found["nodes"]} == {"127.0.0.1"}
        assert found["answered_by"] == names[0]
        assert {**found, "answered_by": names[1]} == await group_at(two)

        one.kill()
        left = await group_of_nodes(two, 1)
        assert left["nodes"][0]["partitions"] == [*range(PARTITIONS)]
        assert {part["node"] for part in left["partitions"]} == {names[1]}

        # A whole export, so that there are commits.
        await upstream.request("first")
        await upstream.batch("first", 0, rows_of(0, 10), last=True)
        await completed(two, "first")
        await group_of_nodes(two, 1)

    # The other one was killed too: nobody reads.
    for export_id in ("second", "third"):
        await upstream.request(export_id)
        for seq in range(3):
            await upstream.batch(export_id, seq, rows_of(0, 10))
    group_id = settings_for(bootstrap_servers, topics, tmp_path)["SLUICE_GROUP_ID"]
    async with reading(bootstrap_servers, topics, group_id) as reader, asyncio.timeout(30):
        while (found_by_no_node := await reader.overview()).nodes:
            await asyncio.sleep(0.1)
    assert found_by_no_node.state == "Empty"
    assert found_by_no_node.lag == 8
    assert {part.node for part in found_by_no_node.partitions} == {None}
    async with reading(bootstrap_servers, topics, f"{group_id}-other") as reader:
        never_committed = await reader.overview()
    assert (never_committed.state, never_committed.nodes) == ("Dead", [])
    assert never_committed.lag == 10
