"""One browser for all tests of a file; each has a profile of its own in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.page.browser import chromium
from tests.support.http import World


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
