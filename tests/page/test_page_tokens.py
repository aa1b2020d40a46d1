"""The page asks for a token once, keeps it for the tab, and asks again when it has ended."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from sluice.access.gate import AccessGate
from sluice.access.token_file import digest_of
from sluice.access.watched_tokens import WatchedTokens
from sluice.http import events
from tests.page.browser import NOON, Opened, opened
from tests.page.test_page import assert_faultless
from tests.support.http import World
from tests.support.listing import ended_export

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_token_is_typed_once_and_in_no_url(browser: Browser, world: World) -> None:
    world.request("done", "alice")
    world.end("done")
    world.history.put(ended_export("done", NOON), NOON)
    world.history.put(ended_export("his", NOON, user="bob"), NOON)
    async with opened(browser, world, {"users_by_token": {"secret-1": "alice"}}) as one:
        page = one.page
        await page.goto(one.url)
        await page.fill("[name=token]", "wrong")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#token-error:not([hidden])")
        await page.fill("[name=token]", "secret-1")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#live[data-state=live]")
        await page.wait_for_selector("[data-id=done]")
        assert await one.ids() == ["done"]
        await page.reload()
        await page.wait_for_selector("#live[data-state=live]")
        assert not await page.is_visible("#token")
        await page.click("[data-id=done] a")
        async with page.expect_download() as downloading:
            await page.click("[data-act=download]")
        download = await downloading.value
        assert download.suggested_filename == "done.csv"
        assert _content(await download.path()) == b"a\r\n1\r\n"
        assert all("secret" not in request.url for request in one.requests)
        assert await page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        await page.keyboard.press("Escape")
        await page.click("#sign-out")
        await page.wait_for_selector("#token[open]")


async def test_it_asks_until_it_has_a_token_that_can_be_sent(
    browser: Browser, world: World
) -> None:
    async with opened(browser, world, {"users_by_token": {"secret-1": "alice"}}) as one:
        page = one.page
        await page.goto(one.url)
        await page.wait_for_selector("#token[open]")
        for _ in range(3):  # at the second one a browser closes it, whatever the page does
            await page.keyboard.press("Escape")
        await page.wait_for_selector("#token[open]")
        for wrong in ("naïve", "two words", " "):
            await _type_token(one, wrong)
            await page.wait_for_selector("#token-error:not([hidden])")
            await page.evaluate("document.querySelector('#token-error').hidden = true")
        await _type_token(one, "secret-1")
        await page.wait_for_selector("#live[data-state=live]")


async def test_signed_in_it_has_room_on_a_phone(browser: Browser, world: World) -> None:
    tokens = {"users_by_token": {"secret-1": "alice"}}
    async with opened(browser, world, tokens, viewport={"width": 390, "height": 844}) as one:
        await one.page.goto(one.url)
        await _type_token(one, "secret-1")
        await one.page.wait_for_selector("#live[data-state=live]")
        await one.page.wait_for_selector("#sign-out:not([hidden])")
        await assert_faultless(one, "signed in")
        tops = await one.page.eval_on_selector_all(
            ".bar button", "found => found.map(one => one.getBoundingClientRect().top)"
        )
        assert len(set(tops)) == 1, "all in one line"
        await one.page.route("**/export/events", lambda route: route.abort())
        await one.page.reload()
        await one.page.wait_for_selector("#live:has-text('Reconnecting')")
        await one.page.wait_for_selector("#sign-out:not([hidden])")
        await assert_faultless(one, "reconnecting")


async def test_another_s_token_shows_another_s_exports(
    browser: Browser, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.1)
    for user, place in (("alice", 0), ("bob", 1)):
        world.history.put(ended_export(f"of-{user}", NOON + place, user=user), NOON)
    file = tmp_path / "tokens.txt"
    alice, bob = (f"{digest_of(user.encode())}:{user}:user\n" for user in ("alice", "bob"))
    file.write_text(alice + bob)
    watched = WatchedTokens(file, look_seconds=0.02)
    async with watched, opened(browser, world, {"gate": AccessGate({}, watched)}) as one:
        await one.page.goto(one.url)
        await _type_token(one, "alice")
        await one.page.wait_for_selector("[data-id=of-alice]")
        file.write_text(bob)
        await one.page.wait_for_selector("#token-error:not([hidden])")
        await _type_token(one, "bob")
        await one.page.wait_for_selector("[data-id=of-bob]")
        assert await one.ids() == ["of-bob"]


def _content(path: Path) -> bytes:
    return path.read_bytes()


async def _type_token(one: Opened, token: str) -> None:
    await one.page.fill("[name=token]", token)
    await one.page.keyboard.press("Enter")
