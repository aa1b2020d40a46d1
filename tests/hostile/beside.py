"""Good exports while an attack goes on: a CSV through Kafka, a PDF through a node's HTTP side.

Invariant: each is checked as its receiver would: by its rows, and its file against its event.
"""

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
from aiokafka.partitioner import DefaultPartitioner

from tests.hostile.bed import PARTITIONS, Bed
from tests.hostile.bounds import GOOD_SECONDS
from tests.hostile.downstream import end_of
from tests.hostile.wire import Record, make_batch
from tests.support.clients import http_client
from tests.support.upstream import csv_bytes, rows_of

_BATCHES = 3
_BATCH_ROWS = 100
_PDF_ROWS = 120
_PDF_PAGES = 3


@dataclass(slots=True)
class Beside:
    """How long the good exports took, in seconds, and what was wrong with any."""

    csv_seconds: list[float] = field(default_factory=list)
    pdf_seconds: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Good:
    """Where good exports go, and how long each may take."""

    bed: Bed
    seconds: float

    async def finding(self, export_id: str) -> str | None:
        """What is wrong with the end of an export that is to complete."""
        event = await self.bed.downstream.ended(export_id, self.seconds)
        if event is None:
            return f"has not ended within {self.seconds:g} s"
        return None if end_of(event) == "completed" else f"ended as {end_of(event)}"


@asynccontextmanager
async def good_exports(
    bed: Bed,
    prefix: str,
    partition: int,
    seconds: float = GOOD_SECONDS,
    held_up: int | None = None,
) -> AsyncIterator[Beside]:
    """Good exports one after the other for the block, at least one of each; its end waits.

    Each has so many seconds to end in. ``held_up``: a partition that none of them goes to.
    """
    beside, enough = Beside(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_csvs(_Good(bed, seconds), f"{prefix}-csv", partition, beside, enough))
        tasks.create_task(_pdfs(_Good(bed, seconds), f"{prefix}-pdf", held_up, beside, enough))
        await asyncio.sleep(0.1)  # they are first
        try:
            yield beside
        finally:
            enough.set()


async def _csvs(
    good: _Good, prefix: str, partition: int, beside: Beside, enough: asyncio.Event
) -> None:
    for number in itertools.count():
        export_id = f"{prefix}-{number}"
        begun = time.monotonic()
        finding = await _csv(good, export_id, partition)
        beside.csv_seconds.append(time.monotonic() - begun)
        beside.findings += [f"good CSV: {finding}"] if finding else []
        if finding or enough.is_set():
            return
        await asyncio.sleep(0.2)


async def _csv(good: _Good, export_id: str, partition: int) -> str | None:
    bed = good.bed

    async def send(topic: str, message: dict[str, Any]) -> None:
        record = Record(json.dumps(message).encode(), export_id.encode())
        await (await bed.producer.send_batch(make_batch([record]), topic, partition=partition))

    requested = {"type": "export.requested", "export_id": export_id, "format": "csv"}
    await send(bed.topics.requests, {**requested, "columns": ["n", "t"], "user": "good"})
    for seq in range(_BATCHES):
        rows = rows_of(seq * _BATCH_ROWS, _BATCH_ROWS)
        batch = {"export_id": export_id, "seq": seq, "rows": rows, "last": seq == _BATCHES - 1}
        await send(bed.topics.records, batch)
    if finding := await good.finding(export_id):
        return finding
    event = bed.downstream.events[export_id]
    is_right = _file(event) == csv_bytes(rows_of(0, _BATCHES * _BATCH_ROWS))
    return None if is_right else "its file is not what it should be"


async def _pdfs(
    good: _Good, prefix: str, held_up: int | None, beside: Beside, enough: asyncio.Event
) -> None:
    nodes = good.bed.nodes
    ids = (f"{prefix}-{number}" for number in itertools.count())
    elsewhere = (export_id for export_id in ids if _partition_of(export_id) != held_up)
    async with http_client(timeout=good.seconds) as client:
        for number, export_id in enumerate(elsewhere):
            url = nodes[number % len(nodes)].node.url
            begun = time.monotonic()
            finding = await _pdf(client, url, good, export_id)
            beside.pdf_seconds.append(time.monotonic() - begun)
            beside.findings += [f"good PDF: {finding}"] if finding else []
            if finding or (enough.is_set() and number):
                return
            await asyncio.sleep(0.2)


def _partition_of(export_id: str) -> int:
    """Where a node's producer sends what is posted with this id."""
    partitions = [*range(PARTITIONS)]
    return int(DefaultPartitioner()(export_id.encode(), partitions, partitions))


async def _pdf(client: httpx.AsyncClient, url: str, good: _Good, export_id: str) -> str | None:
    bed = good.bed
    body = {
        "export_id": export_id,
        "format": "pdf",
        "columns": ["n", "t"],
        "user": "good",
        "data": rows_of(0, _PDF_ROWS),
    }
    answer = await _posted(client, url, body, good.seconds)
    if isinstance(answer, str):
        return answer
    if finding := await good.finding(export_id):
        return finding
    event = bed.downstream.events[export_id]
    if (event["rows"], event["pages"]) != (_PDF_ROWS, _PDF_PAGES):
        return f"has {event['rows']} rows on {event['pages']} pages"
    is_right = hashlib.sha256(_file(event)).hexdigest() == event["sha256"]
    return None if is_right else "its file is not what its event says"


async def _posted(
    client: httpx.AsyncClient, url: str, body: dict[str, Any], seconds: float
) -> httpx.Response | str:
    """The answer 202, or what was wrong.

    As a good client does, it waits for a full queue, and asks again, with the same id, when its
    connection was closed: a server that has too many closes idle ones (RFC 9112, 9.5).
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = await client.post(f"{url}/export/run", json=body)
        except httpx.TransportError as error:
            refused = type(error).__name__
        else:
            if answer.status_code == 202:
                return answer
            refused = f"{answer.status_code} {answer.text[:200]}"
            if answer.status_code not in {429, 503}:
                return f"was refused: {refused}"
        if time.monotonic() > deadline:
            return f"was refused: {refused}"
        await asyncio.sleep(0.5)


def _file(event: dict[str, Any]) -> bytes:
    return Path(unquote(urlsplit(event["location"]).path)).read_bytes()
