"""What an operator sees: nodes, partitions with lag, and dead letters, which go back."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.page.browser import Opened, opened
from tests.page.test_page import assert_faultless
from tests.support.http import World
from tests.unit.test_http_dead_letters import letter

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def shown(one: Opened, selector: str) -> list[str]:
    """The texts of all, each in one line."""
    return [" ".join(text.split()) for text in await one.page.locator(selector).all_inner_texts()]


async def test_all_nodes_and_partitions_of_the_group_are_shown(
    browser: Browser, world: World
) -> None:
    narrow = {"width": 390, "height": 844}
    async with opened(browser, world, viewport=narrow, color_scheme="dark") as one:
        await one.go()
        await one.page.focus("#open-node")
        await one.page.keyboard.press("Enter")
        await one.page.wait_for_selector(".nodes li")
        assert await one.page.inner_text("#node-title") == "Nodes"
        assert await shown(one, ".nodes li") == [
            "sluice-alpha-17 this node 10.0.0.7 · partitions 0, 4, 11 · lag 17",
            "sluice-beta-4 10.0.0.8 · partitions 1 to 3 · lag 2,000",
        ]
        assert await shown(one, ".partitions li") == [
            "0 lag 5 sluice-alpha-17",
            "1 lag 2,000 sluice-beta-4",
            "2 lag 0 sluice-beta-4",
            "3 lag 0 sluice-beta-4",
            "4 lag 12 sluice-alpha-17",
            "5 lag 1 no node",
            "11 lag 0 sluice-alpha-17",
        ]
        assert (await shown(one, "#node h3"))[:3] == [
            *("What this node does", "2 nodes in the group", "7 partitions, lag 2,018")
        ]
        assert (await shown(one, ".tiles dd"))[0] == "2 of 5"
        await assert_faultless(one, "nodes")
        world.group = replace(world.group, state="PreparingRebalance", nodes=[])
        await one.page.wait_for_selector("text=0 nodes in the group, which is rebalancing")
        await one.page.keyboard.press("Escape")
        await one.page.wait_for_selector("#node", state="hidden")
        assert one.complaints == []


async def test_without_the_group_the_node_s_own_partitions_are_shown_with_the_reason(
    browser: Browser, world: World
) -> None:
    world.lacks_group = True
    async with opened(browser, world, viewport={"width": 390, "height": 844}) as one:
        await one.go()
        await one.page.click("#open-node")
        await one.page.wait_for_selector("#node .error")
        assert await shown(one, "#node .error") == [
            "The group can't be shown: the group's commits went back"
        ]
        assert await one.page.inner_text("#node-title") == "This node"
        assert await shown(one, ".partitions li") == ["0 lag 5", "4 lag 12", "11 lag 0"]
        await assert_faultless(one, "node")
        world.node_status = replace(world.node_status, partition_lag={}, lag=0)
        await one.page.wait_for_selector("text=None: another node has them.")
        world.lacks_group = False
        await one.page.wait_for_selector(".nodes li")
        assert await shown(one, "#node .error") == []


async def test_a_user_sees_the_node_alone(browser: Browser, world: World) -> None:
    tokens = {"users_by_token": {"secret-1": "alice"}}
    async with opened(browser, world, tokens) as one:
        await one.page.goto(one.url)
        await one.page.fill("[name=token]", "secret-1")
        await one.page.keyboard.press("Enter")
        await one.page.wait_for_selector("#live[data-state=live]")
        await one.page.click("#open-node")
        await one.page.wait_for_selector(".partitions li")
        assert await one.page.inner_text("#node-title") == "This node"
        assert await shown(one, ".partitions li") == ["0 lag 5", "4 lag 12", "11 lag 0"]
        assert await shown(one, "#node .error") == []
        world.node_status = replace(world.node_status, partition_lag={}, lag=0)
        await one.page.wait_for_selector("text=None: another node has them.")
        assert [request.url for request in one.requests].count(f"{one.url}/group") == 1


async def test_a_dead_letter_goes_back_once(browser: Browser, world: World) -> None:
    world.letters = [letter(1, "orphan_batch", key=b"ord-1"), letter(2, key=b"<b>x</b>")]
    async with opened(browser, world) as one:
        await one.go()
        await one.page.click("#open-node")
        await one.page.wait_for_selector(".letter")
        newest, oldest = await one.page.locator(".letter").all_inner_texts()
        assert "unreadable at 0:2" in newest
        assert "key <b>x</b>" in newest
        assert "orphan_batch at 0:1" in oldest
        again = one.page.locator(".letter button").nth(1)
        await again.click()
        await one.page.wait_for_selector("text=0:1 is back on its topic.")
        assert world.requeued == [(0, 1)]
        assert await again.is_disabled()
        assert one.complaints == []


async def test_one_that_was_removed_says_so(browser: Browser, world: World) -> None:
    world.letters = [letter(1)]
    async with opened(browser, world) as one:
        await one.go()
        await one.page.click("#open-node")
        await one.page.wait_for_selector(".letter")
        world.letters = []
        await one.page.click(".letter button")
        await one.page.wait_for_selector("text=Not requeued: missing")
