"""Files dropped on the page, in a real browser."""

import asyncio
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.worksheet import Worksheet
from playwright.async_api import Browser

from producer.sources.xlsx_source import read_xlsx
from tests.page.browser import eventually, opened
from tests.support.http import World
from tests.support.xlsx import write_xlsx, xlsx_request

CSV = 'id;name;note\r\n1;"Anna ""A""; B";\r\n2;Ünal;"two\nlines"\r\n3;last;no end'

pytestmark = pytest.mark.slow


async def test_a_dropped_csv_becomes_an_export(
    browser: Browser, world: World, tmp_path: Path
) -> None:
    file = tmp_path / "Orders 2026.csv"
    file.write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    async with opened(browser, world) as one:
        await one.go()
        await one.page.keyboard.press("n")
        await one.page.set_input_files("#file", file)
        await one.page.wait_for_selector("#upload-fields:not([hidden])")
        assert await one.page.inner_text("#upload-columns") == "3 columns: id, name, note"
        await one.page.check("[name=format][value=pdf]", force=True)
        await one.page.click("#upload-form summary")
        await one.page.select_option("[data-option=overflow]", label="Wrap")
        await one.page.click("#upload-send")
        await one.page.wait_for_selector("#detail[open]")
        (request,) = world.requested()
        assert (request.title, request.format) == ("Orders 2026", "pdf")
        assert request.options.model_dump()["overflow"] == "wrap"
        assert world.published_rows(request.export_id) == [
            ["1", 'Anna "A"; B', ""],
            ["2", "Ünal", "two\nlines"],
            ["3", "last", "no end"],
        ]
        assert world.is_finished(request.export_id)
        assert f"export={request.export_id}" in one.page.url
        assert one.complaints == []


_SLOWLY = """
    const stream = File.prototype.stream;
    File.prototype.stream = function () {
        const reader = stream.call(this).getReader();
        return new ReadableStream({ async pull(to) {
            await new Promise((resolve) => { window.readOn = resolve; });
            const { value, done } = await reader.read();
            if (done) to.close(); else to.enqueue(value);
        } }, { highWaterMark: 0 });
    };
"""


async def test_what_is_closed_while_its_file_is_read_is_not_sent(
    browser: Browser, world: World, tmp_path: Path
) -> None:
    file = tmp_path / "large.csv"
    file.write_text("id\n1\n")
    async with opened(browser, world) as one:
        await one.page.add_init_script(_SLOWLY)
        await one.go()
        await one.page.click("#open-upload")
        await one.page.set_input_files("#file", file)
        await one.page.click("#upload-send:enabled")
        await eventually(one, "typeof window.readOn", "function")
        await one.page.keyboard.press("Escape")
        for _ in range(3):
            await one.page.evaluate("window.readOn()")
            await asyncio.sleep(0.1)
        await one.page.click("#open-upload")
        assert not await one.page.is_visible("#upload-progress")
        assert not await one.page.is_visible("#upload-error")
        assert [one.url for one in one.requests if one.method == "POST"] == []
        assert world.requested() == []


_DROP = """() => {
    const dropped = new DataTransfer();
    dropped.items.add(new File(["id\\n1\\n"], "one.csv", {type: "text/csv"}));
    document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: dropped, bubbles: true}));
}"""


async def test_enter_starts_what_was_dropped(browser: Browser, world: World) -> None:
    async with opened(browser, world) as one:
        await one.go()
        await one.page.evaluate(_DROP)
        await one.page.wait_for_selector("#upload-fields:not([hidden])")
        await one.page.keyboard.press("ArrowRight")
        await one.page.keyboard.press("Enter")
        await one.page.wait_for_selector("#detail[open]")
        (request,) = world.requested()
        assert (request.title, request.format) == ("one", "xlsx")


def workbook(path: Path) -> Path:
    """What people keep in workbooks: kinds of cells, gaps, formats, further sheets."""
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "Orders & more"
    sheet.append(["id", "name", "amount", "day", "at", "clock", "worked", "paid", 2026])
    moment = datetime(2026, 11, 28, 9, 30, 15)  # noqa: DTZ001 - a workbook has no zones
    for number in range(3):
        name, worked = f"Ünal <{number}> & 'Söhne'", timedelta(hours=30, minutes=number)
        day, clock = moment.date(), moment.time()
        row = [number, name, number + 0.1, day, moment, clock, worked, bool(number % 2), None]
        sheet.append(row)
    sheet.append([])
    sheet.append([None, "two\nlines", 1e300, date(1900, 1, 15), "=1+1", None, -7, "#N/A", "  x "])
    sheet["I7"] = CellRichText("bold ", TextBlock(InlineFont(b=True), "text"))
    sheet["C7"] = 0.25
    sheet["C7"].number_format = "0.00%"
    sheet["D7"] = 46000.5
    sheet["D7"].number_format = 'd "of" mmm h:mm'
    book.create_sheet("Other").append(["not", "read"])
    book.save(path)
    return path


def write_as_poi(file: Path) -> None:
    """Change the numbers of a workbook's first sheet to what Apache POI writes of them."""
    with zipfile.ZipFile(file) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    assert b"<v>-7</v>" in sheet
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b"<v>-7</v>", b"<v>-7.0E0</v>")
    with zipfile.ZipFile(file, "w") as package:
        for name, part in parts.items():
            package.writestr(name, part)


@pytest.mark.parametrize("of_1904", [False, True])
async def test_a_workbook_is_read_as_sluice_submit_reads_it(
    browser: Browser, world: World, tmp_path: Path, of_1904: bool
) -> None:
    file = workbook(tmp_path / "Orders.xlsx")
    if of_1904:
        book = load_workbook(file, rich_text=True)
        book.epoch = CALENDAR_MAC_1904
        book.save(file)
    write_as_poi(file)
    with file.open("rb") as stream:
        table = read_xlsx(stream)
        expected = [*table.rows]
    async with opened(browser, world) as one:
        await one.go()
        await one.page.click("#open-upload")
        await one.page.set_input_files("#file", file)
        await one.page.wait_for_selector("#upload-fields:not([hidden])")
        shown = await one.page.inner_text("#upload-columns")
        assert shown.startswith(f"9 columns: {', '.join(table.columns)}. The first of 2 sheets,")
        await one.page.click("#upload-send")
        await one.page.wait_for_selector("#detail[open]")
        (request,) = world.requested()
        assert [column.key for column in request.columns] == [*table.columns]
        # By their texts, as 5 equals 5.0.
        assert repr(world.published_rows(request.export_id)) == repr(expected)
        assert one.complaints == []


async def test_a_workbook_of_ours_is_read_again(
    browser: Browser, world: World, tmp_path: Path
) -> None:
    """Of 20,000 rows, so that its sheet comes in many pieces."""
    rows: list[list[Any]] = [[number, f"text {number} " * 9] for number in range(20_000)]
    file = tmp_path / "ours.xlsx"
    file.write_bytes(write_xlsx(xlsx_request(("id", "text")), rows))
    async with opened(browser, world) as one:
        await one.go()
        await one.page.click("#open-upload")
        await one.page.set_input_files("#file", file)
        await one.page.click("#upload-send:enabled")
        await one.page.wait_for_selector("#detail[open]")
        assert world.published_rows(world.requested()[0].export_id) == rows


WRONG_FILES = [
    ("a.csv", b"a,b\n1,2\n3\n", "Row 2 has 1 cells, the header has 2."),
    ("a.csv", b"a,a\n1,2\n", "Two columns are named “a”."),
    ("a.csv", b"a,b\n\xe4,2\n", "The file isn't UTF-8."),
    ("a.xlsx", b"PK", "The file is no XLSX workbook, or is protected by a password"),
    ("a.ods", b"PK", "A file that ends in .ods isn't known here: use CSV, NDJSON or XLSX."),
    ("a.ndjson", b"nothing", "Its first line isn't JSON. NDJSON has one row a line."),
    ("a.ndjson", b'{"a":1}\n{"b":2}\n', "line 2: 'b' is no column"),
]


async def test_a_file_that_is_wrong_is_named_in_words(
    browser: Browser, world: World, tmp_path: Path
) -> None:
    async with opened(browser, world) as one:
        for name, content, expected in WRONG_FILES:
            (tmp_path / name).write_bytes(content)
            await one.go()
            await one.page.click("#open-upload")
            await one.page.set_input_files("#file", tmp_path / name)
            known = "#upload-fields:not([hidden]), #upload-error:not([hidden])"
            await one.page.wait_for_selector(known)
            if await one.page.is_enabled("#upload-send"):
                await one.page.click("#upload-send")
                await one.page.wait_for_selector("#upload-error:not([hidden])")
            assert (await one.page.inner_text("#upload-error")).startswith(expected)
    assert {one.export_id for one in world.requested()} == {*world.cancelled()}
