"""What an operator sees of a node: partitions with lag, and dead letters, which go back."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.page.browser import opened
from tests.support.http import World
from tests.unit.test_http_dead_letters import letter

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_each_partition_has_its_lag(browser: Browser, world: World) -> None:
    async with opened(browser, world) as one:
        await one.go()
        await one.page.click("#open-node")
        await one.page.wait_for_selector(".partitions li")
        shown = await one.page.locator(".partitions li").all_inner_texts()
        assert shown == ["0 lag 5", "4 lag 12", "11 lag 0"]
        world.node_status = replace(world.node_status, partition_lag={}, lag=0)
        await one.page.wait_for_selector("text=None: another node has them.")
        assert one.complaints == []


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
