"""The page's files: small, whole, of this node alone, and free of anything inline."""

import re
from pathlib import Path

import httpx
import pytest

from consumer.core.listing import ExportState
from schemas.vocabulary import FailReason, Format
from tests.support.http import World, serving_world
from tests.support.serving import assert_problem

FILES = Path(__file__).parents[2] / "sluice" / "http" / "browser"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_a_browser_gets_the_page_and_a_program_the_description(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/", headers=HTML)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for accept in ("application/json", "*/*"):
        answer = await client.get("/", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["location"]) == (303, "/docs")
    assert (await client.get("/?state=failed", headers=HTML)).text == page.text


async def test_it_needs_no_token_and_says_nothing_of_exports(world: World) -> None:
    async with serving_world(world, users_by_token={"t-1": "alice"}) as client:
        assert (await client.get("/", headers=HTML)).status_code == 200
        assert (await client.get("/page/main.js")).status_code == 200
        assert_problem(await client.get("/export"), 401)


async def test_its_policy_lets_nothing_else_in(client: httpx.AsyncClient) -> None:
    for path in ("/", "/page/main.js", "/page/icon.svg"):
        headers = (await client.get(path, headers=HTML)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"


async def test_a_browser_that_has_a_file_gets_it_once(client: httpx.AsyncClient) -> None:
    first = await client.get("/page/page.css")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/page/page.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("known", ["W/{}", '"another", {}', "*"])
async def test_it_does_behind_a_proxy_too(client: httpx.AsyncClient, known: str) -> None:
    """A proxy that compresses makes the tag a weak one (RFC 9110, 8.8.3)."""
    tag = (await client.get("/page/page.css")).headers["etag"]
    headers = {"If-None-Match": known.format(tag)}
    assert (await client.get("/page/page.css", headers=headers)).status_code == 304


@pytest.mark.parametrize(
    "name", ["index.html", "none.js", "..%2Fapp.py", "..%2f..%2fnode.py", "%00"]
)
async def test_there_are_no_other_files(client: httpx.AsyncClient, name: str) -> None:
    assert_problem(await client.get(f"/page/{name}"), 404)


async def test_all_of_it_is_small_and_there(client: httpx.AsyncClient) -> None:
    """Under 100 KB in all: what is loaded, without compression."""
    page = await client.get("/", headers=HTML)
    named = set(re.findall(r'"/page/([\w.]+)"', page.text))
    scripts = {path.name for path in FILES.glob("*.js")}
    assert named == {path.name for path in FILES.iterdir()} - {"index.html"}
    loaded = len(page.content)
    for name in named:
        answer = await client.get(f"/page/{name}")
        loaded += len(answer.content)
        for imported in re.findall(r'from "\./([\w.]+)"', answer.text):
            assert imported in scripts
    assert loaded < 100_000


def test_nothing_is_inline_or_from_elsewhere() -> None:
    page = (FILES / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", page)
    for path in FILES.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"https?://|@import|url\(|innerHTML|insertAdjacentHTML|eval\(", text
        ), path


def test_every_reason_has_words() -> None:

    words = (FILES / "words.js").read_text("utf-8").partition("REASONS")[2]
    found = re.findall(r"^  (\w+): \[", words, re.MULTILINE)
    assert found == [*FailReason], "sluice/http/browser/words.js, REASONS"


def test_every_format_and_state_can_be_chosen() -> None:

    chosen = re.findall(r'<option value="(\w+)">', (FILES / "index.html").read_text("utf-8"))
    assert {*chosen} == {*ExportState, *Format}
    upload = (FILES / "upload.js").read_text("utf-8").partition("FORMATS")[2].partition("};")[0]
    assert {*re.findall(r"^  (\w+): \[", upload, re.MULTILINE)} == {*Format}
