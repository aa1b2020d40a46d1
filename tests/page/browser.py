"""Debian's Chromium, driven by playwright, at a node's HTTP server over a world in memory."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from sluice.http.server import HttpServer
from tests.support.http import World, app_of

NOON = 1_795_255_200_000
AT_REST = """Promise.all(document.getAnimations()
    .filter(one => one.effect.getTiming().iterations !== Infinity).map(one => one.finished))"""


@dataclass
class Opened:
    """A tab, and what its browser complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)

    async def go(self, query: str = "") -> None:
        """Open the page, and wait until it is live and shows its list."""
        await self.page.goto(f"{self.url}/{query}")
        await self.page.wait_for_selector("#live[data-state=live]")
        await self.page.wait_for_selector("#rows[aria-busy=false]", state="attached")

    async def ids(self) -> list[str]:
        """Of the rows, in their order."""
        found: list[str] = await self.page.eval_on_selector_all(
            "#rows tr", "rows => rows.map(row => row.dataset.id)"
        )
        return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser; a test without one is skipped."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("this machine has no Chromium (Debian package chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, world: World, app: Any = None, **context: Any
) -> AsyncIterator[Opened]:
    """A tab at a server of this world. ``app`` are options of its application."""
    async with (
        app_of(world, **(app or {})) as served,
        HttpServer(served, "127.0.0.1", 0) as server,
    ):
        tab = await browser.new_context(**context)
        page = await tab.new_page()
        page.set_default_timeout(15_000)
        one = Opened(page, server.url)
        page.on(
            "console",
            lambda line: one.complaints.append(line.text) if line.type == "error" else None,
        )
        page.on("pageerror", lambda error: one.complaints.append(str(error)))
        page.on("request", lambda request: one.requests.append(request))  # noqa: PLW0108 - no built-in is taken
        yield one
        await tab.close()


async def eventually(one: Opened, script: str, expected: Any) -> None:
    async with asyncio.timeout(15):
        while (found := await one.page.evaluate(script)) != expected:
            await asyncio.sleep(0.05)
    assert found == expected
