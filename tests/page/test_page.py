"""The page in a real browser: live, filtered, with 10,000 exports; for all."""

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route

from producer.retry.retrying import Left, Missing
from sluice.links import LinkKeys
from tests.page.browser import AT_REST, NOON, Opened, eventually, opened
from tests.support.http import World
from tests.support.listing import ended_export
from tests.support.waiting import until

FAULTS = (Path(__file__).parent / "faults.js").read_text("utf-8")


pytestmark = pytest.mark.slow


async def test_it_lives_filters_and_shows_one(browser: Browser, world: World) -> None:
    for number in range(3):
        world.history.put(
            ended_export(f"old-{number}", NOON + number, title=f"Orders {number}"), NOON
        )
    world.history.put(ended_export("pdf", NOON + 9, format="pdf", user="bob"), NOON)
    async with opened(browser, world) as one:
        page = one.page
        await one.go()
        assert await one.ids() == ["pdf", "old-2", "old-1", "old-0"]
        # An export comes, runs, has rows, and ends, while the page is open.
        world.request("live")
        await page.wait_for_selector("[data-id=live] .queued")
        world.begun.add("live")
        world.rows["live"] = (1_234, 5_600)
        await page.wait_for_selector("[data-id=live] .running")
        await eventually(
            one, "document.querySelector('[data-id=live] .c-rows').textContent", "1,234"
        )
        await page.click("[data-id=live] a")
        await page.wait_for_selector("#detail .running")
        world.end("live", "failed")
        world.publish_end(ended_export("live", NOON + 10, state="failed", bytes=None))
        await page.wait_for_selector("#detail .reason")
        shown = await page.inner_text("#detail")
        for text in (
            "Its rows stopped coming.",
            "Run it again if all rows have come",
            "idle",
            "Failed",
        ):
            assert text in shown
        assert "export=live" in page.url
        await page.keyboard.press("Escape")
        await eventually(one, "location.search", "")
        # Filters are in the URL, which a colleague can open; what leaves them goes.
        await page.select_option("[name=state]", "completed")
        await page.keyboard.press("Tab")
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press("/")
        await page.keyboard.type("ORDERS ")
        await eventually(one, "location.search", "?q=ORDERS&state=completed")
        await page.keyboard.type("1")  # the blank before it is still there
        await eventually(one, "location.search", "?q=ORDERS+1&state=completed")
        await eventually(
            one, "[...document.querySelectorAll('#rows tr')].map(row => row.dataset.id)", ["old-1"]
        )
        await one.go("?user=bob")
        assert await one.ids() == ["pdf"]
        world.publish_end(ended_export("hers", NOON + 20))
        world.publish_end(ended_export("his", NOON + 21, user="bob"))
        await page.wait_for_selector("[data-id=his]")
        assert await one.ids() == ["his", "pdf"]
        assert one.complaints == []


async def test_what_was_opened_before_it_was_requested_is_shown_as_it_comes(
    browser: Browser, world: World
) -> None:
    async with opened(browser, world) as one:
        await one.go("?export=soon")
        await one.page.wait_for_selector("#detail .error")
        assert "there is no export 'soon'" in await one.page.inner_text("#detail")
        world.request("soon")
        await one.page.wait_for_selector("#detail .queued")
        assert await one.page.locator("#detail .error").count() == 0
        assert await one.page.locator("#detail [data-act=cancel]").count() == 1


async def test_what_ended_before_its_title_came_is_named_by_it(
    browser: Browser, world: World
) -> None:
    async with opened(browser, world) as one:
        world.request("quick")
        world.end("quick")
        await one.go("?export=quick")
        await one.page.wait_for_selector("#detail .completed")
        await one.page.click("#detail summary")
        world.publish_end(ended_export("quick", NOON, title="Orders"))
        await one.page.wait_for_selector("#detail-title:has-text('Orders')")
        assert "quick" in await one.page.inner_text("#detail header .id")
        assert await one.page.is_visible("#detail details[open] pre")


_COUNT_CHANGES = """() => {
    window.changes = 0;
    new MutationObserver(() => { window.changes += 1; })
        .observe(document.querySelector("#notice"), { childList: true });
}"""


async def test_a_list_that_could_not_be_shown_comes_by_itself(
    browser: Browser, world: World
) -> None:
    world.history.put(ended_export("done", NOON), NOON)
    async with opened(browser, world) as one:
        await one.go()
        world.is_down = True
        await one.page.select_option("[name=state]", "completed")
        await one.page.wait_for_selector("#notice:not([hidden])")
        await one.page.evaluate(_COUNT_CHANGES)
        answers = len(one.requests) + 2
        await until(lambda: len(one.requests) >= answers)
        assert await one.page.evaluate("window.changes") == 0, "a screen reader reads it once"
        world.history.put(ended_export("meanwhile", NOON + 1), NOON + 1)
        world.is_down = False
        await one.page.wait_for_selector("[data-id=meanwhile]")
        await one.page.wait_for_selector("#notice", state="hidden")


async def test_an_end_that_the_stream_missed_is_shown_once_it_is_back(
    browser: Browser, world: World
) -> None:
    world.request("long")
    async with opened(browser, world) as one:
        await one.page.route("**/export/events", _without_its_messages)
        await one.page.goto(f"{one.url}/?export=long")
        await one.page.wait_for_selector("#detail .queued")
        world.end("long")
        world.publish_end(ended_export("long", NOON))
        await one.page.unroute("**/export/events")
        await one.page.wait_for_selector("#detail .completed")


async def _without_its_messages(route: Route) -> None:
    await route.fulfill(status=200, content_type="text/event-stream", body="retry: 1000\n\n")


async def test_ten_thousand_exports_in_pages(browser: Browser, world: World) -> None:
    for number in range(10_000):
        world.history.put(ended_export(f"e-{number:05}", NOON + number), NOON + number)
    async with opened(browser, world) as one:
        await one.go()
        first = await one.ids()
        assert first == [f"e-{number:05}" for number in range(9_999, 9_899, -1)]
        for _ in range(3):
            had = len(await one.ids())
            await one.page.evaluate("scrollTo(0, document.body.scrollHeight)")
            await _more_rows(one, had)
        world.publish_end(ended_export("new", NOON + 20_000))
        await one.page.wait_for_selector("[data-id=new]")
        found = await one.ids()
        assert found[0] == "new"
        assert found[1:] == [f"e-{9_999 - place:05}" for place in range(len(found) - 1)]
        assert one.complaints == []


async def _more_rows(one: Opened, had: int) -> None:
    async with asyncio.timeout(15):
        while len(await one.ids()) <= had:
            await asyncio.sleep(0.05)


async def test_one_row_is_a_row(browser: Browser, world: World) -> None:
    for place, rows in enumerate((0, 1, 2)):
        world.history.put(ended_export(f"e-{rows}", NOON - place, rows=rows), NOON)
    async with opened(browser, world, viewport={"width": 390, "height": 844}) as one:
        await one.go()
        shown = await one.page.eval_on_selector_all(
            "td.c-rows",
            "cells => cells.map(one => one.textContent + getComputedStyle(one, '::after').content)",
        )
        assert shown == ['0" rows"', '1" row"', '2" rows"']


async def test_cancel_is_confirmed(browser: Browser, world: World) -> None:
    world.request("open")
    async with opened(browser, world) as one:
        await one.go("?export=open")
        await one.page.click("[data-act=cancel]")
        assert world.cancelled() == []
        await one.page.click("[data-act=cancel]")
        await until(lambda: world.cancelled() == ["open"])
        world.end("open", "cancelled")
        world.publish_end(ended_export("open", NOON, state="cancelled", bytes=None))
        await one.page.wait_for_selector("#detail .cancelled")
        # The button that had the focus is gone: keys still go to the dialog.
        assert await one.page.evaluate("document.activeElement.id") == "detail-title"
        # The line that was just shown outlives the new drawing of the dialog.
        assert "Cancelling" in await one.page.inner_text("#detail #toast.shown")


async def test_why_it_does_not_run_again_stays_until_it_does(
    browser: Browser, world: World
) -> None:
    world.request("e-1")
    world.end("e-1", "cancelled")
    world.incomplete["e-1"] = Left(Missing.NEVER_WHOLE, "it never was whole")
    async with opened(browser, world) as one:
        await one.go("?export=e-1")
        await one.page.clock.install()
        await one.page.click("[data-act=retry]")
        await one.page.wait_for_selector("#detail .refused")
        await one.page.clock.run_for(60_000)
        assert "never was whole" in await one.page.inner_text("#detail .refused")
        assert await one.page.evaluate("document.activeElement.dataset.act") == "retry"
        assert await one.page.evaluate(FAULTS) == []
        del world.incomplete["e-1"]
        await one.page.click("[data-act=retry]")
        await one.page.wait_for_url("**export=e-1-retry-1")
        await one.page.wait_for_selector("#detail .refused", state="detached")


async def test_a_node_without_keys_hides_links(browser: Browser, world: World) -> None:
    world.request("done")
    world.end("done")
    async with opened(browser, world) as one:
        await one.go("?export=done")
        await one.page.click("[data-act=link]")
        await one.page.wait_for_selector("#toast.shown")
        assert await one.page.query_selector("[data-act=link]") is None


async def test_a_file_that_is_gone_takes_no_other_s_link(
    browser: Browser, world: World, tmp_path: Path
) -> None:
    for export_id in ("gone", "done"):
        world.request(export_id)
        world.end(export_id)
    (tmp_path / "gone.csv").unlink()
    async with opened(browser, world, {"link_keys": LinkKeys(["k" * 32])}) as one:
        await one.go("?export=gone")
        await one.page.click("[data-act=link]")
        await one.page.wait_for_selector("#toast.shown")
        assert "not in the storage" in await one.page.inner_text("#toast")
        await one.page.evaluate("history.pushState(null, '', '?export=done')")
        await one.page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
        await one.page.wait_for_selector("#detail-title:has-text('done')")
        await one.page.wait_for_selector("[data-act=link]")


@pytest.mark.parametrize(("scheme", "width"), [("dark", 390), ("light", 1280)])
async def test_everyone_can_use_it(browser: Browser, world: World, scheme: str, width: int) -> None:
    """Names, contrast (WCAG AA) and room, of each view."""
    for place, state in enumerate(("completed", "failed", "cancelled")):
        world.request(state)
        world.end(state, state)
        title = "A title that is much longer than any screen is wide, " * 3
        world.history.put(ended_export(state, NOON + place, state=state, title=title), NOON)
    world.request("queued")
    world.request("running")
    world.begun.add("running")
    async with opened(
        browser, world, color_scheme=scheme, viewport={"width": width, "height": 844}
    ) as one:
        await one.go()
        await assert_faultless(one, "list")
        for state in ("completed", "failed", "cancelled", "queued", "running"):
            await one.go(f"?export={state}")
            await one.page.wait_for_selector("#detail dl")
            await assert_faultless(one, state)
        await one.go()
        for button in ("#open-node", "#open-upload"):
            await one.page.click(button)
            await one.page.wait_for_selector("dialog[open]")
            await assert_faultless(one, button)
            await one.page.keyboard.press("Escape")


async def assert_faultless(one: Opened, view: str) -> None:
    await one.page.evaluate(AT_REST)
    faults = await one.page.evaluate(FAULTS)
    assert faults == [], f"{view}: {json.dumps(faults, indent=1)}"


async def test_keys_move_through_the_list(browser: Browser, world: World) -> None:
    for number in range(3):
        world.history.put(ended_export(f"e-{number}", NOON + number), NOON)
    async with opened(browser, world) as one:
        await one.go()
        for key in ("j", "j", "k", "ArrowDown", "Enter"):
            await one.page.keyboard.press(key)
        await eventually(one, "location.search", "?export=e-1")
        await one.page.wait_for_selector("#detail[open]")
        await one.page.go_back()
        await eventually(one, "document.querySelector('#detail').open", False)
