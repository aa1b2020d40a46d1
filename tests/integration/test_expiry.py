"""An export expires: what HTTP, Kafka, the storage and ``sluice expire`` make of it."""

import asyncio
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.completions import ExportCompleted
from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, settings_for
from tests.support.outcomes import by_id, events
from tests.support.shell import Shell
from tests.support.upstream import Upstream, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(params=["local", "s3"])
def environment(
    request: pytest.FixtureRequest, bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> Callable[..., dict[str, str]]:
    """Settings of a node on each kind of storage."""
    given: dict[str, Any] = {"SESSION_TIMEOUT_SECONDS": 2, "DRAIN_TIMEOUT_SECONDS": 1}
    more: dict[str, str] = {}
    if request.param == "s3":
        given["SCRATCH_DIR"] = tmp_path / "scratch"
        more = request.getfixturevalue("bucket").environment("deep/prefix")
    return lambda **settings: (
        settings_for(bootstrap_servers, topics, tmp_path / "exports", **given, **settings) | more
    )


async def test_an_export_expires(
    environment: Callable[..., dict[str, str]],
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    tmp_path: Path,
) -> None:
    settings = environment(RETENTION_SECONDS=3600)
    shell = Shell(settings, tmp_path)
    async with (
        NodeProcess(settings, tmp_path / "node.log") as node,
        http_client(node.url, timeout=30) as client,
    ):
        await upstream.request("brief", expires_in_seconds=1)
        await upstream.batch("brief", 0, rows_of(0, 3), last=True)
        await upstream.request("kept", expires_in_seconds=7200)
        await upstream.batch("kept", 0, rows_of(0, 3), last=True)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
        brief, kept = done["brief"], done["kept"]
        assert isinstance(brief, ExportCompleted)
        assert isinstance(kept, ExportCompleted)
        lives = [
            (one.expires_at - one.completed_at).total_seconds()
            for one in (brief, kept)
            if one.expires_at
        ]
        assert lives == [1, 3600]
        await asyncio.sleep(1.1)
        gone = await client.get("/export/download/brief")
        assert gone.status_code == 410
        assert parsedate_to_datetime(gone.headers["sunset"]).timestamp() <= brief_end(brief)
        assert (await client.get("/export/status/brief")).json()["expired"]
        listed = (await client.get("/export")).json()["exports"]
        assert {one["export_id"]: one["expired"] for one in listed} == {
            "brief": True,
            "kept": False,
        }
        shown = f"brief {brief.bytes} bytes\n"
        dry = shell.run("expire", "--dry-run")
        end = f"1 files of {brief.bytes} bytes, 0 manifests\n"
        assert (dry.returncode, dry.stdout) == (0, f"{shown}would be removed: {end}")
        now = shell.run("expire")
        assert (now.returncode, now.stdout) == (0, f"{shown}removed: {end}")
        again = shell.run("expire")
        assert again.stdout == "removed: 0 files of 0 bytes, 0 manifests\n"
        assert (await client.get("/export/download/brief")).status_code == 410
        whole = await client.get("/export/download/kept")
        assert (whole.status_code, len(whole.content)) == (200, kept.bytes)
        assert "sunset" in whole.headers
        # The id is known for as long as its manifest is there.
        await upstream.request("brief")
        await upstream.request("last")
        await upstream.batch("last", 0, [], last=True)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=3))
        assert done["brief"] == brief
        old = shell.run("expire", SLUICE_MANIFEST_RETENTION_SECONDS="1")
        assert old.stdout == "brief manifest\nremoved: 0 files of 0 bytes, 1 manifests\n"
        assert (await client.get("/export/status/brief")).status_code == 404


def brief_end(event: ExportCompleted) -> float:
    assert event.expires_at
    return event.expires_at.timestamp()


def test_there_has_to_be_a_storage(tmp_path: Path) -> None:
    shell = Shell({"SLUICE_STORAGE_URL": str(tmp_path / "nothing")}, tmp_path)
    assert "is no storage of a group" in shell.fails("expire")
    assert not (tmp_path / "nothing").exists()
