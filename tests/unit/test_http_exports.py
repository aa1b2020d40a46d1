"""Status and cancellation of any export of the group, on any node; and whose they are."""

import asyncio
import hashlib
from typing import Any

import httpx
import pytest

from consumer.core.backlog import UnfinishedRequest
from schemas.completions import Source
from schemas.vocabulary import Format
from tests.support.http import World, serving_world
from tests.support.serving import assert_problem

CONTENT = b"a,b\r\n1,2\r\n"
NO_IDS = ("%2e%2e", "..%2f..%2fetc", "%00", "a%0a", "-a", "%C3%BC", "a" * 129, "a%20b", "%ff")


# Status


async def status(client: httpx.AsyncClient, export_id: str) -> dict[str, Any]:
    answer = await client.get(f"/export/status/{export_id}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json()
    return found


async def test_status_follows_an_export(client: httpx.AsyncClient, world: World) -> None:
    world.request("e-1")
    begun = {"export_id": "e-1", "state": "queued", "rows": None, "bytes": None, "event": None}
    queued = {**begun, "expired": False}
    assert await status(client, "e-1") == queued
    world.rows["e-1"] = (0, 0)
    assert await status(client, "e-1") == {**queued, "rows": 0, "bytes": 0}
    world.begun.add("e-1")
    del world.rows["e-1"]
    assert await status(client, "e-1") == {**queued, "state": "running"}, "on another node"
    world.rows["e-1"] = (7, 70)
    assert await status(client, "e-1") == {**queued, "state": "running", "rows": 7, "bytes": 70}
    world.end("e-1", content=CONTENT)
    ended = await status(client, "e-1")
    assert ended["state"] == "completed"
    assert ended["event"]["type"] == "export.completed"
    assert (ended["rows"], ended["bytes"]) == (1, len(CONTENT))
    assert ended["event"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("state", ["failed", "cancelled"])
async def test_status_of_an_export_without_a_file(
    client: httpx.AsyncClient, world: World, state: str
) -> None:
    world.request("e-1")
    world.end("e-1", state)
    found = await status(client, "e-1")
    assert (found["state"], found["event"]["type"]) == (state, f"export.{state}")
    assert (found["rows"], found["bytes"]) == (1, None)


async def test_a_decided_end_counts_once_its_event_is_committed(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.request("e-1")
    unfinished = await world.find("e-1")
    world.end("e-1")

    async def find(_export_id: str, **_: bool) -> Any:
        return unfinished

    monkeypatch.setattr(world, "find", find)
    assert (await status(client, "e-1"))["state"] == "queued"
    assert_problem(await client.get("/export/download/e-1"), 409)


async def test_a_repeat_that_waits_hides_no_ended_export(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.request("e-1")
    world.end("e-1", content=CONTENT)
    elsewhere = Source(topic="export.requests", partition=1, offset=7)

    async def find(export_id: str, **_: bool) -> UnfinishedRequest:
        return UnfinishedRequest(export_id, "mallory", Format.CSV, elsewhere, begun=False)

    monkeypatch.setattr(world, "find", find)
    assert (await status(client, "e-1"))["state"] == "completed"
    assert (await client.get("/export/download/e-1")).content == CONTENT


@pytest.mark.parametrize("path", ["status", "download"])
async def test_what_is_unknown_or_no_id_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert_problem(await client.get(f"/export/{path}/e-9"), 404, "there is no export 'e-9'")
    for no_id in NO_IDS:
        assert_problem(await client.get(f"/export/{path}/{no_id}"), 404)


async def test_without_kafka_only_ends_are_known(client: httpx.AsyncClient, world: World) -> None:
    world.request("e-1")
    world.request("e-2")
    world.end("e-1", content=CONTENT)
    world.is_down = True
    assert (await status(client, "e-1"))["state"] == "completed"
    assert (await client.get("/export/download/e-1")).content == CONTENT
    for answer in [await client.get(f"/export/{path}/e-2") for path in ("status", "download")]:
        assert_problem(answer, 503)
    assert_problem(await client.delete("/export/e-2"), 503, "Kafka doesn't answer")


async def test_an_open_transaction_hides_nothing_that_has_ended(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.http.repeats._ANSWER_SECONDS", 0.3)
    for export_id in ("e-1", "e-2", "e-3"):
        world.request(export_id)
    world.end("e-1", content=CONTENT)
    world.end("e-2", "failed")
    world.hides = True
    assert (await status(client, "e-1"))["state"] == "completed"
    assert (await status(client, "e-2"))["state"] == "failed"
    assert (await status(client, "e-3"))["state"] == "queued", "it was found"
    (world.directory / "e-1.csv").unlink()
    assert (await status(client, "e-1"))["state"] == "completed"
    problem = assert_problem(await client.get("/export/status/e-4"), 503)
    assert problem["detail"] == "an open transaction holds requests back"


async def test_a_manifest_that_cannot_be_read_is_no_500(
    client: httpx.AsyncClient, world: World
) -> None:
    (world.directory / "e-1.manifest.json").write_text("{}")
    assert_problem(await client.get("/export/status/e-1"), 503)


# Cancelling


async def test_a_cancellation_is_requested_whatever_is_known(
    client: httpx.AsyncClient, world: World
) -> None:
    world.request("e-1")
    for export_id in ("e-1", "e-9", "run", "status"):
        answer = await client.delete(f"/export/{export_id}")
        assert (answer.status_code, answer.json()["export_id"]) == (202, export_id)
    assert world.cancelled() == ["e-1", "e-9", "run", "status"]
    world.end("e-1")
    assert (await client.delete("/export/e-1")).status_code == 202


async def test_nothing_is_requested_for_what_is_no_id(
    client: httpx.AsyncClient, world: World
) -> None:
    for no_id in NO_IDS:
        answer = await client.delete(f"/export/{no_id}")
        assert answer.status_code == (404 if "2f" in no_id else 202), no_id
    assert world.requests == []


# Whose exports they are

TOKENS = {"users_by_token": {"ta": "alice", "geheißnis": "bob"}}
ALICE = {b"Authorization": b"Bearer ta"}
BOB = {b"Authorization": "bearer geheißnis".encode()}


async def test_exports_of_others_are_not_there(world: World) -> None:
    world.request("open", "alice")
    world.request("done", "alice")
    world.end("done", content=CONTENT)
    async with serving_world(world, **TOKENS) as client:
        for export_id in ("open", "done"):
            nothing = f"there is no export {export_id!r}"
            for path in ("status", "download"):
                answer = await client.get(f"/export/{path}/{export_id}", headers=BOB)
                assert_problem(answer, 404, nothing)
            for other in (export_id, "unknown"):
                answer = await client.delete(f"/export/{other}", headers=BOB)
                assert (answer.status_code, answer.json()["export_id"]) == (202, other)
        assert world.cancelled() == []
        assert (await client.get("/export/status/open", headers=ALICE)).status_code == 200
        assert (await client.get("/export/download/done", headers=ALICE)).status_code == 200
        assert (await client.delete("/export/open", headers=ALICE)).status_code == 202
        assert world.cancelled() == ["open"]
        assert (await client.delete("/export/unknown", headers=ALICE)).status_code == 202


GUARDED = [
    ("POST", "/export/run"),
    ("GET", "/export/status"),
    ("GET", "/export/status/a"),
    ("GET", "/export/download/a"),
    ("HEAD", "/export/download/a"),
    ("DELETE", "/export/a"),
    ("GET", "/openapi.json"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_with_tokens_everything_but_health_and_metrics_asks_for_one(
    world: World, method: str, path: str
) -> None:
    async with serving_world(world, **TOKENS) as client:
        for bad in (b"Bearer t-3", b"Bearer", b"Bearer \xff", b"Basic dDE6", b"", b"Bearer ta ta"):
            answer = await client.request(method, path, headers={b"Authorization": bad})
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
        good = await client.request(method, path, headers=BOB)
        assert good.status_code not in {401, 500}
        for open_to_all in ("/health", "/ready", "/metrics", "/export/metrics", "/docs"):
            assert (await client.get(open_to_all)).status_code == 200


async def test_bytes_that_are_no_http_are_a_problem_too(client: httpx.AsyncClient) -> None:
    host, port = client.base_url.host, client.base_url.port
    for nonsense in (b"\x00\x01\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(nonsense)
        answer = await asyncio.wait_for(reader.read(), 2)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in answer
        writer.close()
