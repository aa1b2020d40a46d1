"""What exactness costs: many small exports, each with its own file, manifest, fsyncs and event.

The load is published first; then a node starts. What counts lies between the first quarter of the
events and the third: the node works under full load there. Once with twelve partitions and once
with one. *Transaction share* is the time in transactions of all lanes, as part of the lanes' time:
turns go on meanwhile, so it is no time lost.
"""

import asyncio
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from broker.embedded import EmbeddedKafka
from clients.topics import create_topics
from producer.completions import CompletionFeed
from producer.publisher import ExportPublisher
from schemas.requests import ExportRequested
from schemas.topics import Topics
from tests.support.nodes import NodeProcess, settings_for

CASES = ((12, 4_000, 10), (1, 4_000, 10), (12, 2_400, 1_000))
"""Partitions, exports, rows of each."""
LOCAL: Mapping[str, str] = MappingProxyType({})


async def measure() -> list[dict[str, Any]]:
    """Run it all; a dict of figures per case."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with EmbeddedKafka(place / "kafka") as kafka:
            servers = kafka.bootstrap_servers
            return [
                await exports_per_second(servers, _made(place, number), case)
                for number, case in enumerate(CASES)
            ]


def _made(place: Path, number: int) -> Path:
    made = place / f"case{number}"
    made.mkdir()
    return made


async def exports_per_second(
    servers: str, place: Path, case: tuple[int, int, int], storage: Mapping[str, str] = LOCAL
) -> dict[str, Any]:
    """The figures of one case. ``place`` is empty; ``storage`` is environment of the node."""
    partitions, exports, rows = case
    topics = Topics.named(place.name)
    await create_topics(topics, partitions, 1, bootstrap_servers=servers)
    await _publish(servers, topics, exports, rows)
    environment = settings_for(servers, topics, place / "exports", LOG_LEVEL="info")
    async with CompletionFeed(topics, bootstrap_servers=servers) as feed:
        node = NodeProcess({**environment, **storage}, place / "node.log")
        starting = asyncio.create_task(node.start())
        try:
            await _events(feed, exports // 4)
            await starting
            begun, spent = time.perf_counter(), await asyncio.to_thread(_transactions, node.url)
            await _events(feed, exports // 2)
            seconds = time.perf_counter() - begun
            spent = await asyncio.to_thread(_transactions, node.url) - spent
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            node.kill()
    return {
        "partitions": partitions,
        "exports": exports,
        "rows": rows,
        "exports_per_second": exports // 2 / seconds,
        "transaction_share": spent / seconds / partitions,
    }


async def _events(feed: CompletionFeed, count: int) -> None:
    for _ in range(count):
        await anext(feed)


async def _publish(servers: str, topics: Topics, exports: int, rows: int) -> None:
    content = [[number, f"row {number}", "1.50"] for number in range(rows)]
    async with ExportPublisher(topics, bootstrap_servers=servers) as publisher:
        many = asyncio.Semaphore(50)

        async def one(number: int) -> None:
            fields = {"export_id": f"small-{number}", "format": "csv", "columns": ["a", "b", "c"]}
            async with many, publisher.export(ExportRequested.model_validate(fields)) as export:
                await export.send(content)

        await asyncio.gather(*(one(number) for number in range(exports)))


def _transactions(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics") as answer:  # noqa: S310 - our own node
        text = answer.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "sluice_transaction_seconds_sum"
    )


def report(result: list[dict[str, Any]]) -> str:
    """The figures as a table for people."""
    lines = ["small exports under full load"]
    lines += [
        f"  {row['partitions']:2} partitions, {row['rows']:5} rows each: "
        f"{row['exports_per_second']:6.0f} exports/s, "
        f"{row['transaction_share']:.0%} of the lanes' time in transactions"
        for row in result
    ]
    return "\n".join(lines)
