"""Status, download and cancellation: any export of the group, on any node."""

import asyncio
import hashlib
from typing import Any

import httpx
import pytest

from consumer.core.backlog import Unfinished
from schemas.completions import Source
from schemas.requests import ExportRequested
from schemas.vocabulary import Format
from tests.support.http import World, assert_problem, serving_world

CONTENT = b"a,b\r\n" + b"1,2\r\n" * 200
TAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
NO_IDS = ("%2e%2e", "..%2f..%2fetc", "%00", "a%0a", "-a", "%C3%BC", "a" * 129, "a%20b", "%ff")


def request(world: World, export_id: str, user: str = "anonymous") -> None:
    wanted = {"export_id": export_id, "format": "csv", "columns": ["a"], "user": user}
    world.requests.append(ExportRequested.model_validate(wanted))


# Status


async def status(client: httpx.AsyncClient, export_id: str) -> dict[str, Any]:
    answer = await client.get(f"/export/status/{export_id}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json()
    return found


async def test_status_follows_an_export(client: httpx.AsyncClient, world: World) -> None:
    request(world, "e-1")
    queued = {"export_id": "e-1", "state": "queued", "rows": None, "bytes": None, "event": None}
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
    assert ended["event"]["sha256"] == TAG.strip('"')


@pytest.mark.parametrize("state", ["failed", "cancelled"])
async def test_status_of_an_export_without_a_file(
    client: httpx.AsyncClient, world: World, state: str
) -> None:
    request(world, "e-1")
    world.end("e-1", state)
    found = await status(client, "e-1")
    assert (found["state"], found["event"]["type"]) == (state, f"export.{state}")
    assert (found["rows"], found["bytes"]) == (1, None)


async def test_a_decided_end_counts_once_its_event_is_committed(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request(world, "e-1")
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
    request(world, "e-1")
    world.end("e-1", content=CONTENT)
    elsewhere = Source(topic="export.requests", partition=1, offset=7)

    async def find(export_id: str, **_: bool) -> Unfinished:
        return Unfinished(export_id, "mallory", Format.CSV, elsewhere, begun=False)

    monkeypatch.setattr(world, "find", find)
    assert (await status(client, "e-1"))["state"] == "completed"
    assert (await client.get("/export/download/e-1")).content == CONTENT


@pytest.mark.parametrize("path", ["status", "download"])
async def test_what_is_unknown_or_no_id_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert_problem(await client.get(f"/export/{path}/e-9"), 404, "there is no export 'e-9'")
    for no_id in NO_IDS:
        assert_problem(await client.get(f"/export/{path}/{no_id}"), 404)


async def test_without_kafka_only_ends_are_known(client: httpx.AsyncClient, world: World) -> None:
    request(world, "e-1")
    request(world, "e-2")
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
        request(world, export_id)
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


# Download


async def ended(world: World) -> None:
    request(world, "e-1")
    world.end("e-1", content=CONTENT)


async def get(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.get("/export/download/e-1", headers=named)


async def test_the_file_and_its_headers(client: httpx.AsyncClient, world: World) -> None:
    await ended(world)
    answer = await get(client)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    headers = {
        "content-length": str(len(CONTENT)),
        "content-type": "text/csv; charset=utf-8",
        "content-disposition": 'attachment; filename="e-1.csv"',
        "etag": TAG,
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }
    assert headers.items() <= dict(answer.headers).items()
    head = await client.head("/export/download/e-1")
    assert (head.status_code, head.content) == (200, b"")
    assert headers.items() <= dict(head.headers).items()


@pytest.mark.parametrize(
    ("extension", "media_type"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("csv.gz", "application/gzip"),
        ("csv.zst", "application/zstd"),
        ("pdf", "application/pdf"),
        ("ndjson", "application/x-ndjson"),
        ("json", "application/json"),
        ("json.gz", "application/gzip"),
        ("xml", "application/xml"),
        ("xml.zst", "application/zstd"),
    ],
)
async def test_a_download_has_the_media_type_and_name_of_its_file(
    client: httpx.AsyncClient, world: World, extension: str, media_type: str
) -> None:
    request(world, "e-1")
    world.end("e-1", content=CONTENT, extension=extension)
    answer = await get(client)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="e-1.{extension}"'
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("header", "content", "content_range"),
    [
        ("bytes=0-0", CONTENT[:1], "bytes 0-0/1005"),
        ("bytes=5-9", CONTENT[5:10], "bytes 5-9/1005"),
        ("bytes=1000-", CONTENT[1000:], "bytes 1000-1004/1005"),
        ("bytes=-5", CONTENT[-5:], "bytes 1000-1004/1005"),
        ("bytes=-5000", CONTENT, "bytes 0-1004/1005"),
        ("bytes=1000-9999", CONTENT[1000:], "bytes 1000-1004/1005"),
        ("BYTES = 0-0".replace(" ", ""), CONTENT[:1], "bytes 0-0/1005"),
        ("bytes=2000-3000, 3-4", CONTENT[3:5], "bytes 3-4/1005"),
        (f"bytes=0-{'9' * 4000}", CONTENT, "bytes 0-1004/1005"),
    ],
)
async def test_a_range(
    client: httpx.AsyncClient, world: World, header: str, content: bytes, content_range: str
) -> None:
    await ended(world)
    answer = await get(client, range=header)
    assert (answer.status_code, answer.content) == (206, content)
    assert answer.headers["content-range"] == content_range
    assert answer.headers["content-length"] == str(len(content))


async def test_two_ranges(client: httpx.AsyncClient, world: World) -> None:
    await ended(world)
    answer = await get(client, range="bytes=0-1,-2")
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert b"bytes 0-1/1005\r\n\r\n" + CONTENT[:2] in answer.content
    assert b"bytes 1003-1004/1005\r\n\r\n" + CONTENT[-2:] in answer.content


@pytest.mark.parametrize(
    "header",
    [
        "lines=0-1",
        "bytes=",
        "bytes=a-b",
        "bytes=5-3",
        "bytes=0-1,x",
        "bytes 0-1",
        "bytes=--1",
        f"bytes=0-{'9' * 5000}",
        "bytes=" + ",".join(["0-0"] * 101),
        "bytes=0-1,5-3",
        "",
    ],
)
async def test_a_range_that_is_none_is_ignored(
    client: httpx.AsyncClient, world: World, header: str
) -> None:
    await ended(world)
    answer = await get(client, range=header)
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize("header", ["bytes=1005-", "bytes=5000-6000", "bytes=-0"])
async def test_a_range_outside_the_file(
    client: httpx.AsyncClient, world: World, header: str
) -> None:
    await ended(world)
    answer = await get(client, range=header)
    assert_problem(answer, 416)
    assert answer.headers["content-range"] == "bytes */1005"


@pytest.mark.parametrize(
    ("if_range", "status_code"),
    [(TAG, 206), ('"other"', 200), (f"W/{TAG}", 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)],
)
async def test_a_range_of_the_same_file_only(
    client: httpx.AsyncClient, world: World, if_range: str, status_code: int
) -> None:
    await ended(world)
    assert (await get(client, range="bytes=0-1", if_range=if_range)).status_code == status_code
    outside = await get(client, range="bytes=5000-", if_range=if_range)
    assert outside.status_code == (416 if status_code == 206 else 200)


async def test_a_download_goes_on_where_it_broke_off(
    client: httpx.AsyncClient, world: World
) -> None:
    await ended(world)
    first = await get(client, range="bytes=0-499")
    rest = await get(client, range="bytes=500-", if_range=first.headers["etag"])
    assert first.content + rest.content == CONTENT


@pytest.mark.parametrize(
    "tags", [TAG, f"W/{TAG}", f'"x", {TAG}', "*", f',,"a,b" ,\t{TAG},', f'W/"x",{TAG}']
)
async def test_not_modified(client: httpx.AsyncClient, world: World, tags: str) -> None:
    await ended(world)
    answer = await get(client, if_none_match=tags)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", TAG)
    weak = tags.startswith("W/") and "," not in tags
    assert (await get(client, if_match=tags)).status_code == (412 if weak else 200)


@pytest.mark.parametrize(
    "tags",
    ['"x,*,y"', '*, "x"', '"x", *', "x, *", "", f"w/{TAG}", f"W/ {TAG}", f'{TAG} "x"', TAG[1:]],
)
async def test_what_names_another_tag_or_is_no_list_of_tags(
    client: httpx.AsyncClient, world: World, tags: str
) -> None:
    await ended(world)
    assert (await get(client, if_none_match=tags)).status_code == 200
    assert_problem(await get(client, if_match=tags), 412)


async def test_tags_on_two_lines_are_one_list(client: httpx.AsyncClient, world: World) -> None:
    await ended(world)
    lines = [("If-Match", '"x"'), ("If-Match", TAG)]
    assert (await client.get("/export/download/e-1", headers=lines)).status_code == 200
    lines = [("If-None-Match", '"x"'), ("If-None-Match", TAG)]
    assert (await client.get("/export/download/e-1", headers=lines)).status_code == 304


async def test_another_tag(client: httpx.AsyncClient, world: World) -> None:
    await ended(world)
    assert (await get(client, if_none_match='"x"')).status_code == 200
    assert_problem(await get(client, if_match='"x"'), 412)


async def test_a_range_of_head_is_ignored(client: httpx.AsyncClient, world: World) -> None:
    await ended(world)
    answer = await client.head("/export/download/e-1", headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.headers["content-length"]) == (200, "1005")


@pytest.mark.parametrize("state", ["queued", "failed", "cancelled"])
async def test_no_file_is_a_conflict(client: httpx.AsyncClient, world: World, state: str) -> None:
    request(world, "e-1")
    if state != "queued":
        world.end("e-1", state)
    detail = f"the export is {state}: it has no file"
    assert_problem(await get(client), 409, detail)
    assert (await client.head("/export/download/e-1")).status_code == 409


async def test_a_file_that_was_removed(client: httpx.AsyncClient, world: World) -> None:
    await ended(world)
    (world.directory / "e-1.csv").unlink()
    assert_problem(await get(client), 404, "the file is not in the storage any more")


async def test_a_large_file_is_streamed(client: httpx.AsyncClient, world: World) -> None:
    request(world, "e-1")
    content = bytes(range(256)) * 40_000
    world.end("e-1", content=content)
    async with client.stream("GET", "/export/download/e-1") as answer:
        digest = hashlib.sha256()
        async for piece in answer.aiter_bytes(100_000):
            digest.update(piece)
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'


# Cancelling


async def test_a_cancellation_is_requested_whatever_is_known(
    client: httpx.AsyncClient, world: World
) -> None:
    request(world, "e-1")
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
    request(world, "open", "alice")
    request(world, "done", "alice")
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
    ("GET", "/docs"),
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
            assert answer.headers["www-authenticate"] == "Bearer"
        good = await client.request(method, path, headers=BOB)
        assert good.status_code not in {401, 500}
        for open_to_all in ("/health", "/ready", "/metrics", "/export/metrics"):
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
