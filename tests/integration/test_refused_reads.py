"""A storage that refuses to be read: nothing else fails for it, and no partition stands still."""

import asyncio
from pathlib import Path

import pytest

from schemas.completions import ExportFailed
from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.hasty_node import hasty
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, committed, events, headers
from tests.support.upstream import Upstream

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.parametrize("topics", [1], indirect=True),
]

ROWS = [[1, "x"]]


def swap(path: Path, aside: Path) -> None:
    """A directory takes a file's place, or gives it back."""
    if path.is_dir():
        path.rmdir()
        aside.rename(path)
    else:
        path.rename(aside)
        path.mkdir()


async def refused(node: NodeProcess, times: int) -> None:
    async with asyncio.timeout(20):
        while sum(line.get("event") == "storage refuses" for line in node.lines()) < times:
            await asyncio.sleep(0.02)


async def problems_of(node: NodeProcess) -> list[str]:
    """What ``/ready`` says."""
    async with http_client(node.url) as client:
        found: list[str] = (await client.get("/ready")).json()["problems"]
    return found


async def problem_of(node: NodeProcess, beginning: str) -> str:
    """The problem that begins so, once ``/ready`` tells of it."""
    async with asyncio.timeout(20):
        while True:
            if found := [one for one in await problems_of(node) if one.startswith(beginning)]:
                return found[0]
            await asyncio.sleep(0.1)


async def test_a_hiccup_long_ago_leaves_the_whole_retry_time(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    exports, seconds = tmp_path / "exports", 3
    async with node_on(
        bootstrap_servers, topics, tmp_path, STORAGE_TIMEOUT_SECONDS=seconds
    ) as node:
        await upstream.request("one")
        await upstream.batch("one", 0, ROWS, last=True)
        await events(bootstrap_servers, topics.completions, at_least=1)
        swap(exports / "one.manifest.json", tmp_path / "aside")
        await upstream.batch("one", 0, ROWS)  # late; whether it is can't be seen for a moment
        await refused(node, 1)
        swap(exports / "one.manifest.json", tmp_path / "aside")
        await asyncio.sleep(seconds + 1)  # all is well, and there is nothing to write
        before = sum(line.get("event") == "storage refuses" for line in node.lines())
        (exports / ".parts" / "0").rename(tmp_path / "parts")
        (exports / ".parts" / "0").write_text("in the way")
        await upstream.request("two")
        await upstream.batch("two", 0, ROWS, last=True)
        await refused(node, before + 1)
        (exports / ".parts" / "0").unlink()
        (tmp_path / "parts").rename(exports / ".parts" / "0")
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
    assert done["two"].type == "export.completed", done["two"]


async def test_a_path_that_refuses_for_ever_is_named_by_ready(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    parts = tmp_path / "exports" / ".parts" / "0"
    command = hasty("consumer.core.storage_retry:LONGEST_BACKOFF_SECONDS=1")
    async with node_on(
        bootstrap_servers, topics, tmp_path, command=command, STORAGE_TIMEOUT_SECONDS=1
    ) as node:
        parts.rename(tmp_path / "aside")
        parts.write_text("in the way")
        await upstream.request("one")
        await upstream.batch("one", 0, ROWS, last=True)
        problem = await problem_of(node, "partition 0: the storage refuses: ")
        assert problem.endswith("one.manifest.json can't be written: Not a directory")
        await asyncio.sleep(2)  # more than the longest pause between tries: it stays
        assert await problem_of(node, "partition 0: the storage refuses: ") == problem
        parts.unlink()
        (tmp_path / "aside").rename(parts)
        (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
        async with asyncio.timeout(20):
            while await problems_of(node):
                await asyncio.sleep(0.1)
    assert isinstance(event, ExportFailed)
    assert event.reason == "storage_unavailable"
    (line,) = [line for line in node.lines() if line["event"] == "export.failed"]
    assert line["level"] == "warning"
    assert (line["reason"], line["format"], line["user"]) == (event.reason, "csv", "anonymous")
    assert line["message"] == event.message


async def test_a_manifest_that_can_not_be_read_does_not_stop_its_partition(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, STORAGE_TIMEOUT_SECONDS=1) as node:
        await upstream.request("one")
        await upstream.batch("one", 0, ROWS, last=True)
        await upstream.request("other")
        await upstream.batch("other", 0, ROWS)
        await events(bootstrap_servers, topics.completions, at_least=1)
        swap(tmp_path / "exports" / "one.manifest.json", tmp_path / "aside")
        await upstream.batch("one", 0, ROWS)
        await upstream.batch("other", 1, ROWS, last=True)
        await refused(node, 2)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
        (letter,) = await committed(bootstrap_servers, topics.dead_letters, at_least=1)
    assert done["other"].type == "export.completed"
    assert headers(letter)["sluice_reason"] == "orphan_batch"
    assert headers(letter)["sluice_offset"] == "2"
