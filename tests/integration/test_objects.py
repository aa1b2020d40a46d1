"""Nodes that share nothing but Kafka and a bucket of a real S3 server."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest

from schemas.completions import ExportCompleted, decode_event
from schemas.topics import Topics
from tests.support.nodes import SERVE, NodeProcess, settings_for
from tests.support.object_stores import Bucket
from tests.support.outcomes import by_id, committed, events
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PREFIX = "group/files"
SETTINGS: dict[str, Any] = {"SESSION_TIMEOUT_SECONDS": 2, "DRAIN_TIMEOUT_SECONDS": 1}


def parsed(text: str) -> dict[str, float]:
    """The samples without labels of a page of metrics."""
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value, *_ in lines if "{" not in name}


@asynccontextmanager
async def node_on(
    servers: str, topics: Topics, bucket: Bucket, directory: Path, name: str, **settings: Any
) -> AsyncIterator[NodeProcess]:
    """A ready node with a scratch directory of its own."""
    environment = settings_for(
        servers,
        topics,
        Path("unused"),
        SCRATCH_DIR=directory / f"scratch-{name}",
        **SETTINGS,
        **settings,
    )
    environment |= bucket.environment(PREFIX)
    async with NodeProcess(environment, directory / f"{name}.log") as node:
        yield node


def names(bucket: Bucket, folder: str) -> set[str]:
    """Objects below a folder of the prefix."""
    found = obstore.list(bucket.client(), f"{PREFIX}/{folder}").collect()
    return {one["path"].removeprefix(f"{PREFIX}/") for one in found}


def check_bucket(bucket: Bucket, done: dict[str, Any]) -> None:
    """Every event is in its manifest, every file is as its event says, and there is no other."""
    root = f"{bucket.url}/{PREFIX}/"
    assert names(bucket, "manifests") == {f"manifests/{export_id}.json" for export_id in done}
    named = set()
    for export_id, event in done.items():
        stored = obstore.get(bucket.client(), f"{PREFIX}/manifests/{export_id}.json").bytes()
        assert decode_event(bytes(stored)) == event
        if isinstance(event, ExportCompleted):
            assert event.location.startswith(f"{root}files/{event.source.partition}/")
            named.add(event.location.removeprefix(root))
            content = bytes(
                obstore.get(
                    bucket.client(), f"{PREFIX}/{event.location.removeprefix(root)}"
                ).bytes()
            )
            assert hashlib.sha256(content).hexdigest() == event.sha256
            assert len(content) == event.bytes
    assert names(bucket, "files") == named


async def test_an_export_is_downloaded_through_any_node(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, bucket: Bucket, tmp_path: Path
) -> None:
    servers = bootstrap_servers
    async with (
        node_on(servers, topics, bucket, tmp_path, "one") as one,
        node_on(servers, topics, bucket, tmp_path, "two") as two,
    ):
        await upstream.request("small")
        await upstream.batch("small", 0, rows_of(0, 3), last=True)
        await upstream.request("empty")
        await upstream.batch("empty", 0, [], last=True)
        await upstream.request("cancelled")
        await upstream.request("wrong")
        await upstream.batch("wrong", 5, [], last=True)
        await upstream.publish({"type": "export.cancel_requested", "export_id": "cancelled"})
        done = by_id(await events(servers, topics.completions, at_least=4))
        assert {export_id: event.type for export_id, event in done.items()} == {
            "small": "export.completed",
            "empty": "export.completed",
            "cancelled": "export.cancelled",
            "wrong": "export.failed",
        }
        check_bucket(bucket, done)
        shown = [parsed(httpx.get(f"{node.url}/metrics").text) for node in (one, two)]
        assert sum(each["sluice_storage_upload_seconds_count"] for each in shown) == 2
        uploaded = sum(each["sluice_storage_uploaded_bytes_total"] for each in shown)
        assert uploaded == done["small"].bytes + done["empty"].bytes
        assert {each["sluice_storage_uploads_running"] for each in shown} == {0}
        assert {each["sluice_scratch_bytes"] for each in shown} == {0}
        whole = csv_bytes(rows_of(0, 3))
        for node in (one, two):
            async with httpx.AsyncClient(base_url=node.url) as client:
                answer = await client.get("/export/download/small")
                assert answer.content == whole
                assert answer.headers["etag"] == f'"{done["small"].sha256}"'
                assert answer.headers["content-disposition"].endswith('filename="small.csv"')
                part = await client.get("/export/download/small", headers={"Range": "bytes=3-9"})
                assert (part.status_code, part.content) == (206, whole[3:10])
                status = (await client.get("/export/status/small")).json()
                assert status["event"]["location"] == done["small"].location
                assert (await client.get("/export/download/wrong")).status_code == 409
                assert (await client.get("/export/download/nobodys")).status_code == 404
        for node in (one, two):
            secret = bucket.credentials["AWS_SECRET_ACCESS_KEY"]
            assert secret not in node.log.read_text()
            assert node.terminate() == 0
    assert names(bucket, "uploads") == set()
    assert await committed(servers, topics.dead_letters) == []


async def test_a_node_killed_in_the_middle_is_followed_by_one_with_another_disk(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, bucket: Bucket, tmp_path: Path
) -> None:
    ids = [f"export-{number}" for number in range(24)]
    servers = bootstrap_servers
    async with (
        node_on(servers, topics, bucket, tmp_path, "one") as one,
        node_on(servers, topics, bucket, tmp_path, "two") as two,
    ):
        for export_id in ids:
            await upstream.request(export_id)
        for seq in range(6):
            for export_id in ids:
                await upstream.batch(export_id, seq, rows_of(100 * seq, 100), last=seq == 5)
            if seq == 2:
                one.kill()
        done = by_id(await events(servers, topics.completions, at_least=len(ids)))
        assert {event.type for event in done.values()} == {"export.completed"}
        expected = hashlib.sha256(csv_bytes(rows_of(0, 600))).hexdigest()
        assert {event.sha256 for event in done.values()} == {expected}
        check_bucket(bucket, done)
        assert await committed(servers, topics.dead_letters) == []
        assert two.terminate() == 0
    async with node_on(servers, topics, bucket, tmp_path, "one") as one:
        left = [path for path in (tmp_path / "scratch-one").rglob("parts/*/*") if path.is_file()]
        assert left == []
        assert one.terminate() == 0


async def test_a_large_export_goes_up_in_parts_while_others_end(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, bucket: Bucket, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, bucket, tmp_path, "one") as node:
        await upstream.request("large")
        rows = [[number, "x" * 1000] for number in range(500)]
        for seq in range(60):
            await upstream.batch("large", seq, rows, last=seq == 59)
        await upstream.request("small")
        await upstream.batch("small", 0, [[1, "a"]], last=True)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
        assert done["large"].bytes > 3 * 8 * 1024 * 1024
        check_bucket(bucket, done)
        async with httpx.AsyncClient(base_url=node.url, timeout=60) as client:
            digest = hashlib.sha256()
            async with client.stream("GET", "/export/download/large") as answer:
                async for piece in answer.aiter_bytes():
                    digest.update(piece)
        assert digest.hexdigest() == done["large"].sha256
        assert node.terminate() == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"SLUICE_STORAGE_URL": "s3://no-such-bucket/x"},
            "s3://no-such-bucket/x: there is no such bucket",
        ),
        (
            {"AWS_SECRET_ACCESS_KEY": "another"},
            "are its credentials right, in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET",
        ),
    ],
    ids=["no bucket", "another's secret"],
)
async def test_a_node_does_not_start_without_its_bucket(
    bootstrap_servers: str,
    topics: Topics,
    bucket: Bucket,
    tmp_path: Path,
    wrong: dict[str, str],
    words: str,
) -> None:
    environment = settings_for(
        bootstrap_servers, topics, Path("unused"), SCRATCH_DIR=tmp_path / "scratch"
    )
    environment |= bucket.environment() | wrong
    process = await asyncio.create_subprocess_exec(
        *SERVE, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert stderr.startswith(b"sluice: SLUICE_STORAGE_URL: ")
    assert words in stderr.decode()


async def test_files_are_verified_in_their_bucket(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, bucket: Bucket, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, bucket, tmp_path, "one"):
        await upstream.request("a")
        await upstream.batch("a", 0, rows_of(0, 3), last=True)
        await upstream.request("b")
        await upstream.batch("b", 0, rows_of(0, 5), last=True)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
    environment = settings_for(bootstrap_servers, topics, Path("unused"))
    environment |= bucket.environment(PREFIX)

    async def verify(*locations: str) -> tuple[int, list[str]]:
        process = await asyncio.create_subprocess_exec(
            SERVE[0], "verify", *locations, env=environment, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode().splitlines()

    root = f"{bucket.url}/{PREFIX}"
    names = {event.location for event in done.values()}
    code, lines = await verify(f"{root}/")
    assert (code, lines[-1]) == (0, "2 checked, all as their manifests say")
    assert {line.split()[1] for line in lines[:2]} == names
    single = [done["a"].location, f"{root}/manifests/b.json"]
    code, lines = await verify(*single)
    assert (code, [line.split()[1] for line in lines[:-1]]) == (0, single)
    obstore.put(bucket.client(), max(names).removeprefix(f"{bucket.url}/"), b"wrong")
    code, lines = await verify(root)
    assert code == 1
    assert [line.split()[1] for line in lines if line.startswith("WRONG")] == [max(names)]
