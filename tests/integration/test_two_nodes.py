"""Partitions that move between nodes: one event each, the right bytes, nothing stray."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, committed, events
from tests.support.topics import PARTITIONS
from tests.support.upstream import Upstream, csv_bytes, file_names, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

IDS = [f"export-{number}" for number in range(24)]
SETTINGS: dict[str, Any] = {"SESSION_TIMEOUT_SECONDS": 2, "DRAIN_TIMEOUT_SECONDS": 1}


async def publish(upstream: Upstream, seqs: range, last: int) -> None:
    for seq in seqs:
        for export_id in IDS:
            await upstream.batch(export_id, seq, rows_of(100 * seq, 100), last=seq == last)


async def check(bootstrap_servers: str, topics: Topics, directory: Path, batches: int) -> None:
    """Exactly one event each, whole files, and nothing else."""
    done = by_id(await events(bootstrap_servers, topics.completions, at_least=len(IDS)))
    assert set(done) == set(IDS)
    expected = csv_bytes(rows_of(0, 100 * batches))
    for export_id, event in done.items():
        assert event.type == "export.completed", event
        assert (directory / "exports" / f"{export_id}.csv").read_bytes() == expected
    assert await committed(bootstrap_servers, topics.dead_letters) == []
    assert file_names(directory) == {
        f"{export_id}.{ending}" for export_id in IDS for ending in ("csv", "manifest.json")
    }


async def shares(*nodes: NodeProcess) -> list[set[int]]:
    """The partitions of each node, once they are all theirs."""
    async with http_client() as client:
        for _ in range(300):
            answers = [(await client.get(f"{node.url}/export/status")).json() for node in nodes]
            found = [set(answer["assigned_partitions"]) for answer in answers]
            if set().union(*found) == {*range(PARTITIONS)} and sum(map(len, found)) == PARTITIONS:
                return found
            await asyncio.sleep(0.1)
    raise AssertionError(f"partitions are not shared: {found}")


async def test_a_node_that_joins_and_one_that_leaves(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, log="one.log", **SETTINGS) as one:
        for export_id in IDS:
            await upstream.request(export_id)
        await publish(upstream, range(3), last=8)
        async with node_on(bootstrap_servers, topics, tmp_path, log="two.log", **SETTINGS) as two:
            await publish(upstream, range(3, 6), last=8)
            assert all(await shares(one, two))
            assert one.terminate() == 0
            await publish(upstream, range(6, 9), last=8)
            await check(bootstrap_servers, topics, tmp_path, batches=9)


async def test_a_node_that_is_killed(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with (
        node_on(bootstrap_servers, topics, tmp_path, log="one.log", **SETTINGS) as one,
        node_on(bootstrap_servers, topics, tmp_path, log="two.log", **SETTINGS) as two,
    ):
        for export_id in IDS:
            await upstream.request(export_id)
        assert all(await shares(one, two))
        await publish(upstream, range(3), last=5)
        one.kill()
        await publish(upstream, range(3, 6), last=5)
        await check(bootstrap_servers, topics, tmp_path, batches=6)


async def test_a_zombie_that_wakes_up_changes_nothing(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with (
        node_on(bootstrap_servers, topics, tmp_path, log="one.log", **SETTINGS) as one,
        node_on(bootstrap_servers, topics, tmp_path, log="two.log", **SETTINGS) as two,
    ):
        for export_id in IDS:
            await upstream.request(export_id)
        assert all(await shares(one, two))
        await publish(upstream, range(3), last=5)
        os.kill(one.pid, signal.SIGSTOP)
        await publish(upstream, range(3, 6), last=5)
        await shares(two)
        os.kill(one.pid, signal.SIGCONT)
        assert all(await shares(one, two)), "it comes back by itself"
        await check(bootstrap_servers, topics, tmp_path, batches=6)
