"""A storage that vanishes is an error for real nodes, never a new, empty one."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.integration.test_bad_start import the_line
from tests.support.clients import http_client
from tests.support.nodes import SERVE, NodeProcess, node_on, settings_for
from tests.support.outcomes import by_id, events
from tests.support.serving import assert_problem
from tests.support.shell import Shell
from tests.support.upstream import Upstream

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROWS = [[1, "x"]]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """``exports`` as a mount point; what is mounted there is ``disk``."""
    place, disk = tmp_path / "exports", tmp_path / "disk"
    place.mkdir()
    disk.mkdir()
    if not mount(place):
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


def mount(place: Path) -> bool:
    command = ["mount", "--bind", str(place.with_name("disk")), str(place)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def storage_id(root: Path) -> str:
    found: str = json.loads((root / ".sluice.json").read_bytes())["storage_id"]
    return found


async def one_export(upstream: Upstream, export_id: str) -> None:
    await upstream.request(export_id)
    await upstream.batch(export_id, 0, ROWS, last=True)


async def until_ready_says(node: NodeProcess, words: str) -> list[str]:
    """All that it says then; no words: that it is ready."""
    async with http_client(node.url) as client, asyncio.timeout(30):
        while True:
            found: list[str] = (await client.get("/ready")).json()["problems"]
            if any(words in problem for problem in found) if words else not found:
                return found
            await asyncio.sleep(0.2)


async def test_a_storage_that_is_unmounted_is_not_made_again(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path, mounted: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        await one_export(upstream, "before")
        await events(bootstrap_servers, topics.completions, at_least=1)
        subprocess.run(["umount", "--lazy", str(mounted)], check=True)
        await until_ready_says(node, "is not the storage that it was")
        async with http_client(node.url) as client:
            assert_problem(await client.get("/export/status/before"), 503)
            assert_problem(await client.get("/export/download/before"), 503)
        await one_export(upstream, "meanwhile")
        await upstream.batch("before", 0, ROWS)  # late; whether it is can't be seen
        await asyncio.sleep(3)
        assert len(await events(bootstrap_servers, topics.completions)) == 1
        assert names(mounted) == set()
        refused = the_line(settings_for(bootstrap_servers, topics, mounted))
        assert "holds nothing, but the group" in refused
        assert mount(mounted)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
        assert {one: event.type for one, event in done.items()} == {
            "before": "export.completed",
            "meanwhile": "export.completed",
        }
        await until_ready_says(node, "")
        assert await asyncio.to_thread(node.terminate) == 0
    assert {"before.csv", "meanwhile.csv"} < names(mounted)


async def test_another_storage_in_its_place_is_reported(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    exports = tmp_path / "exports"
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        await one_export(upstream, "one")
        await events(bootstrap_servers, topics.completions, at_least=1)
        founded = storage_id(exports)
        exports.rename(tmp_path / "aside")
        exports.mkdir()
        (exports / ".sluice.json").write_text(json.dumps({"storage_id": "another"}))
        (problem,) = await until_ready_says(node, "is not the storage that it was")
        assert problem.endswith(f"has the id another, and this node works with {founded}")
        shutil.rmtree(exports)
        (tmp_path / "aside").rename(exports)
        await until_ready_says(node, "")


async def test_nodes_that_start_at_once_agree(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with (
        asyncio.timeout(60),
        node_on(bootstrap_servers, topics, tmp_path, "0.log") as one,
        node_on(bootstrap_servers, topics, tmp_path, "1.log") as two,
    ):
        await until_ready_says(one, "")
        await until_ready_says(two, "")
    founded = [
        line["storage_id"]
        for node in (one, two)
        for line in node.lines()
        if line["event"] == "node started"
    ]
    assert len(founded) == 2
    assert set(founded) == {storage_id(tmp_path / "exports")}


async def test_a_lost_storage_is_made_again_by_a_person_only(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, shell: Shell, tmp_path: Path
) -> None:
    exports = tmp_path / "exports"
    shell.run("topics", "create")
    founded = storage_id(exports)
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        await one_export(upstream, "one")
        await events(bootstrap_servers, topics.completions, at_least=1)
        assert node.terminate() == 0
    assert storage_id(exports) == founded
    shutil.rmtree(exports)
    assert "`sluice topics create --new-storage`" in the_line(shell.environment)
    shell.run("topics", "create")
    assert not exports.exists()
    shell.run("topics", "create", "--new-storage")
    assert storage_id(exports) != founded
    async with node_on(bootstrap_servers, topics, tmp_path, "again.log"):
        await one_export(upstream, "two")
        await events(bootstrap_servers, topics.completions, at_least=2)


async def test_a_storage_of_an_older_build_is_adopted(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        await one_export(upstream, "one")
        await events(bootstrap_servers, topics.completions, at_least=1)
        assert node.terminate() == 0
    (tmp_path / "exports" / ".sluice.json").unlink()
    async with node_on(bootstrap_servers, topics, tmp_path, "again.log") as node:
        adopted = storage_id(tmp_path / "exports")
        async with http_client(node.url) as client:
            assert (await client.get("/export/download/one")).status_code == 200
    (line,) = [one for one in node.lines() if one["event"].startswith("storage of an older build")]
    assert (line["level"], line["storage_id"]) == ("warning", adopted)


async def test_a_node_whose_storage_hangs_at_its_start_ends_at_once(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    fifo = tmp_path / "exports" / ".sluice.json"
    fifo.parent.mkdir()
    os.mkfifo(fifo)
    environment = settings_for(bootstrap_servers, topics, fifo.parent)
    with subprocess.Popen(SERVE, env=environment, stderr=subprocess.PIPE) as node:
        writer = await opened_by_a_reader(fifo)
        assert node.poll() is None
        begun = time.monotonic()
        node.send_signal(signal.SIGTERM)
        _, errors = await asyncio.to_thread(node.communicate, timeout=20)
        # The storage has 30 s to answer; the rest is for busy machines.
        assert (node.returncode, time.monotonic() - begun < 9) == (0, True), errors
        os.close(writer)


async def opened_by_a_reader(fifo: Path) -> int:
    """A descriptor for writing, once the node has the FIFO open: it reads, and nothing comes."""
    async with asyncio.timeout(60):
        while True:
            with suppress(OSError):
                return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            await asyncio.sleep(0.05)
