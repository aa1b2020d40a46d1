"""Every format, from Kafka to a reader that is not ours, of rows as arrays and as objects.

One node makes all files at the same time; each is then judged by another program or library.
"""

import asyncio
import csv
import io
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from lxml import etree

from schemas.completions import ExportCompleted
from tests.support.clients import http_client
from tests.support.nodes import SLUICE, node_on, settings_for
from tests.support.npm import require_tool
from tests.support.outcomes import by_id, events
from tests.support.topics import created_topics
from tests.support.upstream import Upstream
from tests.support.xlsx import by_openpyxl

pytestmark = pytest.mark.kafka

TYPED: dict[str, str | None] = {
    "id": "integer",
    "name": "string",
    "amount": "decimal",
    "rate": "number",
    "paid": "boolean",
    "day": "date",
    "at": "timestamp",
    "more": None,
}
KEYS = [*TYPED]
COLUMNS = [{"key": key, **({"type": kind} if kind else {})} for key, kind in TYPED.items()]
NAMES = ['Ann "A", Lee', "=1+1", "Zoë\r\nIna;", " Борис\t", "_x0041_ <&>", "", "😀 ]]>", "007"]
MORE = ["text", 2**53 + 1, {"b": [1, None], "a": "ü"}, True, 0.1, None]
BATCH_ROWS, BATCHES = 400, 3


def row_of(number: int) -> list[Any]:
    """Typed cells, each column with nulls."""
    row = [
        number,
        NAMES[number % len(NAMES)],
        f"{number}.50",
        number / 8,
        number % 2 == 0,
        f"2026-02-{number % 28 + 1:02}",
        f"2026-02-03T04:05:{number % 60:02}.250Z",
        MORE[number % len(MORE)],
    ]
    return [
        None if (number + place) % 11 == 0 and place else cell for place, cell in enumerate(row)
    ]


ROWS = [row_of(number) for number in range(BATCH_ROWS * BATCHES)]


def as_object(row: Sequence[Any]) -> dict[str, Any]:
    """Most upstreams send rows so: in any order, and nulls are left out as often as not."""
    pairs = [(key, cell) for key, cell in zip(KEYS, row, strict=True) if cell is not None]
    return dict(reversed(pairs)) if row[0] % 3 else dict(zip(KEYS, row, strict=True))


def text_of(cell: Any) -> str:
    """The contract's text of a cell, by the standard library."""
    return (
        cell
        if isinstance(cell, str)
        else json.dumps(cell, ensure_ascii=False, separators=(",", ":"))
    )


def read_csv(content: bytes) -> None:
    expected = [["" if cell is None else text_of(cell) for cell in row] for row in ROWS]
    for row in expected:
        row[1] = "'" + row[1] if row[1] == "=1+1" else row[1]
    assert [*csv.reader(io.StringIO(content.decode(), newline=""))] == [KEYS, *expected]


def read_ndjson(content: bytes) -> None:
    expected = [[*zip(KEYS, row, strict=True)] for row in ROWS]
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line, object_pairs_hook=list) for line in lines if "{" in line[:1]] == [
        [(key, _pairs(cell)) for key, cell in row] for row in expected
    ]


def read_json(content: bytes) -> None:
    assert json.loads(content) == [dict(zip(KEYS, row, strict=True)) for row in ROWS]


def _pairs(cell: Any) -> Any:
    return [*cell.items()] if isinstance(cell, dict) else cell


def read_xml(content: bytes) -> None:
    root = etree.fromstring(content)
    assert root.tag == "rows"
    expected = [
        [(key, text_of(cell)) for key, cell in zip(KEYS, row, strict=True) if cell is not None]
        for row in ROWS
    ]
    assert [[(cell.tag, cell.text or "") for cell in row] for row in root] == expected


def read_xlsx(content: bytes) -> None:
    (sheet,) = by_openpyxl(content).values()
    assert sheet == [tuple(KEYS), *map(_in_a_sheet, ROWS)]


def _in_a_sheet(row: Sequence[Any]) -> tuple[Any, ...]:
    number, name, amount, rate, paid, day, at, more = row
    return (
        number,
        name,
        None if amount is None else float(amount),
        rate,
        paid,
        None if day is None else datetime.fromisoformat(day),
        None if at is None else datetime.fromisoformat(at.removesuffix("Z")),
        text_of(more) if isinstance(more, dict) or more == 2**53 + 1 else more,
    )


def by_command(*command: str) -> Callable[[bytes], bytes]:
    def unpack(content: bytes) -> bytes:
        require_tool(command[0])
        return subprocess.run(command, input=content, capture_output=True, check=True).stdout

    return unpack


@dataclass(frozen=True)
class Case:
    """A format with options, how its file is named and served, unpacked and read."""

    format: str
    judge: Callable[[bytes], None]
    extension: str
    media_type: str
    options: dict[str, Any]
    unpacked: Callable[[bytes], bytes] = bytes


GZIP, ZSTD = by_command("gzip", "-dc"), by_command("zstd", "-dc")
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CASES = {
    "csv": Case("csv", read_csv, "csv", "text/csv; charset=utf-8", {}),
    "csv-gzip": Case("csv", read_csv, "csv.gz", "application/gzip", {"compression": "gzip"}, GZIP),
    "csv-zstd": Case("csv", read_csv, "csv.zst", "application/zstd", {"compression": "zstd"}, ZSTD),
    "ndjson": Case("ndjson", read_ndjson, "ndjson", "application/x-ndjson", {}),
    "json": Case("json", read_json, "json", "application/json", {}),
    "json-gzip": Case(
        "json", read_json, "json.gz", "application/gzip", {"compression": "gzip"}, GZIP
    ),
    "xml": Case("xml", read_xml, "xml", "application/xml", {}),
    "xml-zstd": Case("xml", read_xml, "xml.zst", "application/zstd", {"compression": "zstd"}, ZSTD),
    "xlsx": Case("xlsx", read_xlsx, "xlsx", SHEET, {}),
}


@dataclass(frozen=True)
class Finished:
    """What came of all cases: events, downloads and the words of ``sluice verify``."""

    events: dict[str, Any]
    files: dict[str, tuple[Any, bytes]]
    verified: str


@pytest.fixture(scope="module")
async def finished(
    bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Finished]:
    directory = tmp_path_factory.mktemp("formats")
    ids = [f"{name}-{shape}" for name in CASES for shape in ("arrays", "objects")]
    async with (
        created_topics(bootstrap_servers, 3) as topics,
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=1) as producer,
        node_on(bootstrap_servers, topics, directory) as node,
        http_client(node.url, timeout=30) as client,
    ):
        upstream = Upstream(producer, topics)
        await asyncio.gather(*(_publish(upstream, export_id) for export_id in ids))
        found = by_id(await events(bootstrap_servers, topics.completions, at_least=len(ids)))
        files = {}
        for export_id in ids:
            download = await client.get(f"/export/download/{export_id}")
            files[export_id] = (download.headers, download.content)
        verify = await asyncio.to_thread(
            _verify, settings_for(bootstrap_servers, topics, directory / "exports")
        )
        yield Finished(found, files, verify)


async def _publish(upstream: Upstream, export_id: str) -> None:
    name, _, shape = export_id.rpartition("-")
    case = CASES[name]
    await upstream.request(
        export_id,
        format=case.format,
        columns=COLUMNS,
        title="Every cell",
        requested_at="2026-11-21T10:00:00.000Z",
        options=case.options,
    )
    for seq in range(BATCHES):
        rows: list[Any] = ROWS[seq * BATCH_ROWS : (seq + 1) * BATCH_ROWS]
        if shape == "objects":
            rows = [*map(as_object, rows)]
        await upstream.batch(export_id, seq, rows, last=seq == BATCHES - 1)


def _verify(environment: dict[str, str]) -> str:
    command = [str(SLUICE), "verify", environment["SLUICE_STORAGE_URL"]]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("shape", ["arrays", "objects"])
@pytest.mark.parametrize("name", CASES)
async def test_a_file_reads_back_equal_and_is_served_and_verified(
    finished: Finished, name: str, shape: str
) -> None:
    case, export_id = CASES[name], f"{name}-{shape}"
    event = finished.events[export_id]
    assert isinstance(event, ExportCompleted), event
    headers, content = finished.files[export_id]
    assert (event.rows, event.bytes, event.sha256) == (
        len(ROWS),
        len(content),
        sha256(content).hexdigest(),
    )
    file = f"{export_id}.{case.extension}"
    assert Path(event.location).name == file
    assert headers["content-type"] == case.media_type
    assert "content-encoding" not in headers
    assert headers["content-length"] == str(event.bytes)
    assert f'filename="{file}"' in headers["content-disposition"]
    assert f"{file} {len(ROWS)} rows {event.bytes} bytes" in finished.verified
    case.judge(case.unpacked(content))


@pytest.mark.parametrize("name", CASES)
async def test_rows_as_objects_make_the_file_that_arrays_make(
    finished: Finished, name: str
) -> None:
    assert finished.events[f"{name}-arrays"].sha256 == finished.events[f"{name}-objects"].sha256
