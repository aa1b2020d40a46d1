"""One browser for all tests of a file; each has a profile of its own in it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.page.browser import chromium


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started
