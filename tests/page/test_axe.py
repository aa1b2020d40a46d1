"""axe finds nothing on any view, in dark and light, narrow and wide."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.page.browser import AT_REST, NOON, Opened, opened
from tests.support.http import World
from tests.support.listing import ended_export
from tests.support.npm import node_modules
from tests.unit.test_http_dead_letters import letter

pytestmark = pytest.mark.slow

_FINDINGS = """axe.run(document, {resultTypes: ["violations"]}).then(({violations}) =>
    violations.map(({id, nodes}) => [id, ...nodes.map(({html}) => html)]))"""
_ENDED = ("completed", "failed", "cancelled")


@pytest.fixture(scope="module")
def axe() -> str:
    path = node_modules({"axe-core": "4.14.1"}) / "axe-core" / "axe.min.js"
    return path.read_text("utf-8")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    for place, state in enumerate(_ENDED):
        world.request(state)
        world.end(state, state)
        world.history.put(ended_export(state, NOON + place, state=state, title="Orders"), NOON)
    for state in ("queued", "running"):
        world.request(state)
    world.begun.add("running")
    world.letters = [letter(1, key=b"ord-1"), letter(2)]
    return world


async def findings(one: Opened, axe: str) -> list[list[str]]:
    await one.page.evaluate(AT_REST)
    # Evaluated, as the page's policy lets no other script in.
    await one.page.evaluate(axe)
    found: list[list[str]] = await one.page.evaluate(_FINDINGS)
    return found


async def assert_nothing(one: Opened, axe: str, view: str) -> None:
    found = await findings(one, axe)
    assert found == [], f"{view}: {json.dumps(found, indent=1)}"


@pytest.mark.long
@pytest.mark.parametrize(("scheme", "width"), [("dark", 390), ("light", 1280)])
async def test_every_view(
    browser: Browser, world: World, tmp_path: Path, axe: str, scheme: str, width: int
) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,Anna\n")
    async with opened(
        browser, world, color_scheme=scheme, viewport={"width": width, "height": 844}
    ) as one:
        page = one.page
        await one.go()
        await assert_nothing(one, axe, "the list")
        await page.click("#open-node")
        await page.wait_for_selector(".letter")
        await page.wait_for_selector(".nodes li")
        await assert_nothing(one, axe, "the nodes")
        world.lacks_group = True
        await page.wait_for_selector("#node .error")
        await assert_nothing(one, axe, "the node")
        await page.keyboard.press("Escape")
        await page.click("#open-upload")
        await assert_nothing(one, axe, "an upload")
        await page.set_input_files("#file", tmp_path / "a.csv")
        await page.click("#upload-form summary")
        await assert_nothing(one, axe, "an upload's options")
        for state in (*_ENDED, "queued", "running"):
            await one.go(f"?export={state}")
            await page.wait_for_selector("#detail dl")
            await assert_nothing(one, axe, state)
        await one.go("?q=none")
        await assert_nothing(one, axe, "an empty list")
        await page.evaluate("document.querySelector('main').append(document.createElement('img'))")
        assert (await findings(one, axe))[0][0] == "image-alt", "it would find something"


async def test_the_question_for_a_token(browser: Browser, world: World, axe: str) -> None:
    async with opened(browser, world, {"users_by_token": {"secret-1": "alice"}}) as one:
        await one.page.goto(one.url)
        await one.page.fill("[name=token]", "wrong")
        await one.page.keyboard.press("Enter")
        await one.page.wait_for_selector("#token-error:not([hidden])")
        await assert_nothing(one, axe, "a token")
