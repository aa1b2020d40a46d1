"""An upstream that sends a batch before its request, then others: no crash changes the verdict."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.chaos.node import Point, Side, Step
from tests.support.nodes import node_on, settings_for
from tests.support.outcomes import by_id, committed, events
from tests.support.upstream import Upstream, csv_bytes

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.parametrize("topics", [1], indirect=True),
]

EARLY, RIGHT = [[1, "early"], [2, "early"]], [[1, "right"]]


@asynccontextmanager
async def doomed_node(environment: dict[str, str], point: Point) -> AsyncIterator[None]:
    """A node that has to die at the point before the block's end."""
    node = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.node", str(point), env=environment
    )
    try:
        yield
        async with asyncio.timeout(30):
            assert await node.wait() == -9
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()


async def open_a_neighbour(upstream: Upstream) -> None:
    """An export that stays open, so that a replay begins before all that follows."""
    await upstream.request("x")
    await upstream.batch("x", 0, [[0, "x"]])
    await asyncio.sleep(1.5)  # so that it is committed


async def test_an_orphan_stays_one_after_a_kill(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, SESSION_TIMEOUT_SECONDS=2) as node:
        await open_a_neighbour(upstream)
        await upstream.batch("y", 0, EARLY)
        await committed(bootstrap_servers, topics.dead_letters, at_least=1)
        await upstream.request("y")
        await upstream.batch("y", 0, RIGHT)
        await asyncio.sleep(1.5)
        node.kill()
        await node.start()
        await upstream.batch("y", 1, [[9, "right"]], last=True)
        (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
        letters = await committed(bootstrap_servers, topics.dead_letters)
    assert event.rows == 2
    assert (tmp_path / "exports" / "y.csv").read_bytes() == csv_bytes([*RIGHT, [9, "right"]])
    assert len(letters) == 1


async def test_an_export_that_was_decided_is_not_lost_for_an_orphan(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    """Killed between manifest and rename; its orphan lies above the resume offset."""
    environment = settings_for(
        bootstrap_servers, topics, tmp_path / "exports", SESSION_TIMEOUT_SECONDS=2
    )
    async with doomed_node(environment, Point(Side.AFTER, Step.MANIFEST, 1)):
        await open_a_neighbour(upstream)
        await upstream.batch("y", 0, EARLY)
        await committed(bootstrap_servers, topics.dead_letters, at_least=1)
        await upstream.request("y")
        await upstream.batch("y", 0, RIGHT, last=True)
    assert (tmp_path / "exports" / "y.manifest.json").exists()
    assert not (tmp_path / "exports" / "y.csv").exists()
    async with node_on(bootstrap_servers, topics, tmp_path):
        await upstream.batch("x", 1, [[5, "x"]], last=True)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
        letters = await committed(bootstrap_servers, topics.dead_letters)
    assert {export_id: event.type for export_id, event in done.items()} == {
        "x": "export.completed",
        "y": "export.completed",
    }
    assert (tmp_path / "exports" / "y.csv").read_bytes() == csv_bytes(RIGHT)
    assert len(letters) == 1
