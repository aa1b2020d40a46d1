"""Links over HTTP: who makes them, what they open and for how long, and what is logged of them."""

import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from consumer.storage.local import LocalFile, LocalStorage
from schemas.completions import ExportCompleted
from schemas.times import parse_time
from sluice.links import LinkKeys, link_url
from tests.support.http import World, serving_world
from tests.support.serving import assert_problem

OLD, NEW = "o" * 32, "n" * 32
KEYS = LinkKeys([NEW, OLD])
CONTENT = b"a,b\r\n" + b"1,2\r\n" * 200
ALICE, BOB = ({"Authorization": f"Bearer t-{name}"} for name in ("alice", "bob"))
PUBLIC = "https://exports.example.org/x"
LIMITS: dict[str, Any] = {
    "link_keys": KEYS,
    "public_url": PUBLIC,
    "users_by_token": {"t-alice": "alice", "t-bob": "bob"},
}


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    world.request("e-1", "alice")
    async with serving_world(world, **LIMITS) as client:
        yield client


async def make(client: httpx.AsyncClient, export_id: str = "e-1", **body: Any) -> httpx.Response:
    return await client.post(f"/export/{export_id}/link", json=body, headers=ALICE)


def path_of(url: str) -> str:
    """The link without what the proxy in front takes off."""
    return url.removeprefix(PUBLIC)


def signed(expires_in: float = 60, export_id: str = "e-1", keys: LinkKeys = KEYS) -> str:
    return path_of(link_url(PUBLIC, keys, export_id, int(time.time() + expires_in)))


async def test_a_link_opens_the_file_without_a_token(
    client: httpx.AsyncClient, world: World
) -> None:
    world.end("e-1", content=CONTENT)
    began = int(time.time())
    answer = await make(client)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    url = answer.json()["url"]
    assert url.startswith(f"{PUBLIC}/export/download/e-1?expires=")
    ends = parse_time(answer.json()["expires_at"]).timestamp()
    assert began + 3_600 <= ends <= time.time() + 3_600, "an hour, by default"
    assert parse_qs(urlsplit(url).query)["expires"] == [str(int(ends))]
    found = await client.get(path_of(url))
    assert (found.status_code, found.content) == (200, CONTENT)
    assert found.headers["content-disposition"] == 'attachment; filename="e-1.csv"'
    assert found.headers["cache-control"] == "private, no-cache"
    head = await client.head(path_of(url))
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(CONTENT)))
    part = await client.get(path_of(url), headers={"Range": "bytes=0-2"})
    assert (part.status_code, part.content) == (206, CONTENT[:3])
    known = await client.get(path_of(url), headers={"If-None-Match": found.headers["etag"]})
    assert known.status_code == 304
    assert (await client.get("/export/download/e-1")).status_code == 401


async def test_without_a_public_url_a_link_has_the_address_of_the_node(world: World) -> None:
    world.request("e-1")
    world.end("e-1", content=CONTENT)
    async with serving_world(world, link_keys=KEYS) as client:
        answer = await client.post("/export/e-1/link", headers={"Host": "evil.example.org"})
        assert answer.status_code == 201, answer.text
        assert answer.json()["url"].startswith(
            f"{str(client.base_url).rstrip('/')}/export/download/e-1?"
        )
        assert (await client.get(answer.json()["url"])).content == CONTENT


async def test_a_link_lasts_as_long_as_its_maker_wants(
    client: httpx.AsyncClient, world: World
) -> None:
    world.end("e-1")
    for seconds in (1, 604_800):
        answer = await make(client, expires_in_seconds=seconds)
        ends = parse_time(answer.json()["expires_at"]).timestamp()
        assert ends == pytest.approx(time.time() + seconds, abs=2)
    assert (await make(client, expires_in_seconds=None)).status_code == 201


async def test_a_link_never_outlives_the_file(client: httpx.AsyncClient, world: World) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=900_000) + timedelta(minutes=5)
    world.end("e-1", content=CONTENT, expires_at=expires_at)
    answer = await make(client, expires_in_seconds=3_600)
    assert parse_time(answer.json()["expires_at"]) == expires_at.replace(microsecond=0)
    assert (await client.get(path_of(answer.json()["url"]))).status_code == 200


async def test_of_an_expired_file_there_are_no_links(
    client: httpx.AsyncClient, world: World
) -> None:
    world.end("e-1", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert_problem(await make(client), 410, "the file has expired")
    assert_problem(await client.get(signed()), 410)


@pytest.mark.parametrize("state", ["failed", "cancelled", None])
async def test_an_export_without_a_file_has_no_link(
    client: httpx.AsyncClient, world: World, state: str | None
) -> None:
    if state:
        world.end("e-1", state)
    assert_problem(await make(client), 409)
    assert_problem(await client.get(signed()), 409)


async def test_what_is_unknown_anothers_or_gone_has_no_link(
    client: httpx.AsyncClient, world: World
) -> None:
    assert_problem(await make(client, "e-2"), 404)
    assert_problem(await make(client, "-"), 404)
    world.end("e-1")
    assert_problem(await client.post("/export/e-1/link", headers=BOB), 404)
    assert_problem(await client.post("/export/e-1/link"), 401)
    (world.directory / "e-1.csv").unlink()
    assert_problem(await make(client), 404, "the file is not in the storage any more")


async def test_a_node_without_keys_makes_none_and_takes_none(world: World) -> None:
    world.request("e-1")
    world.end("e-1")
    async with serving_world(world) as client:
        problem = assert_problem(await client.post("/export/e-1/link"), 501)
        assert "SLUICE_LINK_KEYS" in problem["detail"]
        assert_problem(await client.get(signed()), 403)
        assert (await client.get("/export/download/e-1")).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expires_in_seconds": 0}, "expires_in_seconds"),
        ({"expires_in_seconds": 604_801}, "expires_in_seconds"),
        ({"expires_in_seconds": 10**400}, "expires_in_seconds"),
        ({"expires_in_seconds": 1.0}, "expires_in_seconds"),
        ({"expires_in_seconds": True}, "expires_in_seconds"),
        ({"expires_in_seconds": "60"}, "expires_in_seconds"),
        ({"seconds": 60}, "seconds"),
        ([], ""),
        ("60", ""),
    ],
)
async def test_a_wrong_field_is_named(client: httpx.AsyncClient, body: Any, field: str) -> None:
    answer = await client.post("/export/e-1/link", json=body, headers=ALICE)
    (error,) = assert_problem(answer, 400)["errors"]
    assert error["field"] == field


async def test_a_wrong_body_is_refused(client: httpx.AsyncClient) -> None:
    path = "/export/e-1/link"
    as_json = {**ALICE, "Content-Type": "application/json"}
    assert_problem(await client.post(path, content=b"{", headers=as_json), 400)
    assert_problem(await client.post(path, content=b"\xff", headers=as_json), 400)
    assert_problem(await client.post(path, content=b"{}", headers=ALICE), 415)
    assert_problem(await client.post(path, content=b" " * 4_097, headers=as_json), 413)


def changed(link: str) -> dict[str, str]:
    """Links that are nearly this one, by what is wrong with them."""
    path, _, query = link.partition("?")
    (expires, signature) = (values[0] for values in parse_qs(query).values())
    later = int(expires) + 1
    return {
        "another id": link.replace("e-1", "e-2"),
        "a later end": f"{path}?expires={later}&signature={signature}",
        "an end that is spelt otherwise": f"{path}?expires=0{expires}&signature={signature}",
        "no end": f"{path}?signature={signature}",
        "no signature": f"{path}?expires={expires}",
        "an empty signature": f"{path}?expires={expires}&signature=",
        "cut off": link[:-1],
        "one letter more": f"{link}0",
        "capital letters": f"{path}?expires={expires}&signature={signature.upper()}",
        "other letters": f"{path}?expires={expires}&signature={'%C3%BC' * 32}",
        "no letters": f"{path}?expires={expires}&signature=%ff%00",
        "two signatures": f"{link}&signature={signature}",
        "two ends": f"{link}&expires={later}",
        "another key": signed(keys=LinkKeys(["x" * 32])),
        "an end that is no number": f"{path}?expires=never&signature={signature}",
    }


async def test_a_wrong_link_is_403(client: httpx.AsyncClient, world: World) -> None:
    world.request("e-2", "alice")
    for export_id in ("e-1", "e-2"):
        world.end(export_id, content=CONTENT)
    link = signed()
    assert (await client.get(link)).status_code == 200
    for what, wrong in changed(link).items():
        for headers in ({}, ALICE):
            answer = await client.get(wrong, headers=headers)
            assert answer.status_code == 403, what
            assert_problem(answer, 403, "the link is wrong: its signature does not match")
    assert_problem(await client.get(signed(export_id="nobodys", keys=LinkKeys(["x" * 32]))), 403)


async def test_a_late_link_is_403(client: httpx.AsyncClient, world: World) -> None:
    world.end("e-1")
    assert_problem(await client.get(signed(-1)), 403, "the link has expired")
    assert (await client.head(signed(-1))).status_code == 403


async def test_links_of_an_older_key_open_until_it_is_removed(
    client: httpx.AsyncClient, world: World
) -> None:
    world.end("e-1")
    assert (await client.get(signed(keys=LinkKeys([OLD])))).status_code == 200
    async with serving_world(world, **{**LIMITS, "link_keys": LinkKeys([NEW])}) as later:
        assert (await later.get(signed(keys=LinkKeys([OLD])))).status_code == 403


async def test_no_line_has_a_signature_and_a_link_is_one_of_the_audit_log(
    client: httpx.AsyncClient, world: World
) -> None:
    world.end("e-1")
    with capture_logs() as lines:
        answer = await make(client)
        link = path_of(answer.json()["url"])
        await client.get(link)
        await client.get(link[:-1])
    (signature,) = parse_qs(urlsplit(link).query)["signature"]
    assert signature[:20] not in str(lines)
    (audited,) = (line for line in lines if line["event"] == "audit")
    assert (audited["action"], audited["user"]) == ("link", "alice")
    assert (audited["export_id"], audited["expires_at"]) == ("e-1", answer.json()["expires_at"])


async def test_wrong_links_do_not_fill_the_log(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        for _ in range(5):
            await client.get(signed()[:-1])
            await client.get(signed(-1))
    shown = [line for line in lines if line["log_level"] != "debug"]
    assert [(line["event"], line["status"]) for line in shown] == [
        ("request without a valid token", 403)
    ]


# What a store answers for itself


class _FileOfStore(LocalFile):
    def presign(self, method: str, seconds: int) -> str | None:  # type: ignore[override]
        return f"https://store.example.org/{method}?for={seconds}"


class _Store(LocalStorage):
    """A directory whose files can be had from elsewhere."""

    def open_file(self, event: ExportCompleted) -> LocalFile | None:
        return _FileOfStore(self.directory / f"{event.export_id}.csv")


@pytest.fixture
async def stored(world: World, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    world.storage = _Store(tmp_path)
    world.request("e-1", "alice")
    async with serving_world(world, **LIMITS) as client:
        yield client


def seconds_of(answer: httpx.Response) -> int:
    assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store")
    head, _, seconds = answer.headers["location"].partition("?for=")
    assert head == f"https://store.example.org/{answer.request.method}"
    return int(seconds)


async def test_a_link_leads_to_the_store_for_as_long_as_it_lasts(
    stored: httpx.AsyncClient, world: World
) -> None:
    world.end("e-1", content=CONTENT)
    for answer in (await stored.get(signed(60)), await stored.head(signed(60))):
        assert 55 <= seconds_of(answer) <= 60
    assert seconds_of(await stored.get(signed(10_000_000))) == 604_800, "no store takes more"
    assert seconds_of(await stored.get(signed(60) + "&redirect=true")) <= 60


async def test_a_store_signs_for_no_longer_than_there_is_a_file(
    stored: httpx.AsyncClient, world: World
) -> None:
    world.end("e-1", expires_at=datetime.now(UTC) + timedelta(seconds=30))
    assert seconds_of(await stored.get(signed(10_000))) <= 30


async def test_a_link_is_streamed_where_the_store_takes_long_to_sign(
    stored: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a signature needs another service, which does not answer."""
    world.end("e-1", content=CONTENT)
    answers = threading.Event()
    monkeypatch.setattr(_FileOfStore, "presign", lambda *_: answers.wait(20) and None)
    try:
        found = await stored.get(signed())
        assert (found.status_code, found.content) == (200, CONTENT)
        assert found.headers["cache-control"] == "private, no-cache"
    finally:
        answers.set()


async def test_a_link_is_streamed_where_the_request_needs_it(
    stored: httpx.AsyncClient, world: World
) -> None:
    world.end("e-1", content=CONTENT)
    tag = (await stored.get("/export/download/e-1", headers=ALICE)).headers["etag"]
    for more, headers in (
        ("&redirect=false", {}),
        ("", {"If-Match": tag}),
        ("", {"If-Range": tag, "Range": "bytes=0-"}),
    ):
        answer = await stored.get(signed() + more, headers=headers)
        assert answer.status_code in {200, 206}, answer.text
        assert answer.content == CONTENT
    other = {"If-Range": '"of the store"', "Range": "bytes=3-"}
    assert (await stored.get(signed(), headers=other)).status_code == 307
    assert (await stored.get(signed(), headers={"If-None-Match": tag})).status_code == 304
    assert (await stored.get(signed(), headers={"Range": "bytes=9999-"})).status_code == 416
    (error,) = assert_problem(await stored.get(f"{signed()}&redirect=no"), 400)["errors"]
    assert error == {"field": "redirect", "message": "must be true or false"}
