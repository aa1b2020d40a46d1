"""The page at ``/docs`` in a browser."""

import pytest
from playwright.async_api import Browser

from tests.page.browser import opened
from tests.support.http import World

pytestmark = pytest.mark.slow


async def test_it_fits_a_phone_and_sends_its_examples(browser: Browser, world: World) -> None:
    async with opened(browser, world, viewport={"width": 390, "height": 844}) as one:
        await one.page.goto(f"{one.url}/docs")
        assert await one.page.evaluate("document.documentElement.scrollWidth") <= 390
        form = one.page.locator("form:has(input[value='/health'])").first
        await form.locator("button").click()
        await form.locator("pre:has-text('200 OK')").wait_for()
