"""Downloads: the file of an export, whole or in ranges, whichever node wrote it."""

import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.support.http import World
from tests.support.serving import assert_problem

CONTENT = b"a,b\r\n" + b"1,2\r\n" * 200

TAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


async def ended(world: World) -> None:
    world.request("e-1")
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
    world.request("e-1")
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
    world.request("e-1")
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
    world.request("e-1")
    content = bytes(range(256)) * 40_000
    world.end("e-1", content=content)
    async with client.stream("GET", "/export/download/e-1") as answer:
        digest = hashlib.sha256()
        async for piece in answer.aiter_bytes(100_000):
            digest.update(piece)
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'


async def test_until_it_expires_a_download_says_when(
    client: httpx.AsyncClient, world: World
) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=999_000) + timedelta(hours=1)
    world.end("e-1", content=CONTENT, expires_at=expires_at)
    for answer in (await get(client), await get(client, If_None_Match=TAG)):
        assert answer.status_code in {200, 304}
        sunset = parsedate_to_datetime(answer.headers["sunset"])
        assert sunset == expires_at.replace(microsecond=0)
    status = (await client.get("/export/status/e-1")).json()
    assert (status["expired"], status["event"]["expires_at"][-5:]) == (False, ".999Z")


@pytest.mark.parametrize("file_is_there", [True, False])
@pytest.mark.parametrize("is_down", [True, False])
async def test_an_expired_file_is_gone(
    client: httpx.AsyncClient, world: World, *, file_is_there: bool, is_down: bool
) -> None:
    expires_at = datetime.now(UTC) - timedelta(milliseconds=1)
    world.end("e-1", content=CONTENT, expires_at=expires_at)
    if not file_is_there:
        (world.directory / "e-1.csv").unlink()
    world.is_down = is_down
    answer = await get(client)
    assert_problem(answer, 410, "the file has expired")
    assert parsedate_to_datetime(answer.headers["sunset"]) <= datetime.now(UTC)
    assert (await client.head("/export/download/e-1")).status_code == 410
    status = (await client.get("/export/status/e-1")).json()
    assert (status["state"], status["expired"]) == ("completed", True)


async def test_a_file_that_stays_has_no_sunset(client: httpx.AsyncClient, world: World) -> None:
    await ended(world)
    assert "sunset" not in (await get(client)).headers
    assert not (await client.get("/export/status/e-1")).json()["expired"]
