"""What an object store costs beside a local disk: many small exports, a large one, many open ones.

The store is an embedded S3Proxy on the same machine and disk, which takes CPU time of its own: so
both ways share two cores with Kafka, and one with a Java process more. *Small*: as in
``bench.small_exports``. *Large*: one CSV, from the attempt's first batch to the decision, by the
event's own times; the same messages are read by a group of its own for each run. *Open*: a node's
resident peak (VmHWM) while one partition has 800 exports open, each with rows on the scratch disk,
and while they all end.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench.figures import MIB, table
from bench.processes import peak_bytes
from bench.rows import DataSet
from bench.small_exports import exports_per_second
from broker.embedded import EmbeddedKafka
from broker.store import EmbeddedStore
from clients.topics import create_topics
from producer.completions import CompletionFeed
from producer.publisher import ExportPublisher
from schemas.completions import ExportCompleted
from schemas.records import Cell
from schemas.requests import ExportRequested
from schemas.topics import Topics
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, settings_for
from tests.support.object_stores import bucket_of

SMALL = (12, 4_000, 10)
"""Partitions, exports, rows of each."""
LARGE_BYTES = 1_000_000_000
OPEN = 800
ROUNDS = 2
LOCAL, BUCKET = "local disk", "S3Proxy"
_SAMPLE = 20_000


class StoreBed:
    """A Kafka, a store, and a directory, for any number of runs."""

    def __init__(self, servers: str, store: EmbeddedStore, place: Path) -> None:
        self.servers = servers
        self._store = store
        self._place = place
        self._runs = 0

    def new(self) -> Path:
        """An empty directory, whose name is new."""
        self._runs += 1
        place = self._place / f"stored{self._runs}"
        place.mkdir()
        return place

    def storage(self, where: str, place: Path) -> Mapping[str, str]:
        """The environment of nodes that keep their files there."""
        if where == LOCAL:
            return {"SLUICE_STORAGE_URL": str(place / "exports")}
        return bucket_of(self._store).environment() | {"SLUICE_SCRATCH_DIR": str(place)}


async def measure() -> dict[str, Any]:
    """Rounds of both, one after the other; the figures by name."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with EmbeddedKafka(place / "kafka") as kafka, EmbeddedStore(place / "store") as store:
            bed = StoreBed(kafka.bootstrap_servers, store, place)
            large = await _publish_large(bed)
            runs: dict[str, list[dict[str, Any]]] = {LOCAL: [], BUCKET: []}
            for _ in range(ROUNDS):
                for where, found in runs.items():
                    found.append(await _run(bed, where, large))
    return {where: _medians(found) for where, found in runs.items()}


async def _run(bed: StoreBed, where: str, large: Topics) -> dict[str, float]:
    small = bed.new()
    found = await exports_per_second(bed.servers, small, SMALL, bed.storage(where, small))
    return {
        "small_per_second": found["exports_per_second"],
        **await _large(bed, where, large),
        "open_mib": await _open(bed, where),
    }


def _medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


async def _publish_large(bed: StoreBed) -> Topics:
    """One CSV of about ``LARGE_BYTES``, on topics of its own."""
    topics = Topics.named(bed.new().name)
    await create_topics(topics, 1, 1, bootstrap_servers=bed.servers)
    sample = list(DataSet.ORDERS.rows(_SAMPLE))
    sample_bytes = sum(len(",".join(map(str, row))) + 2 for row in sample)
    async with (
        ExportPublisher(topics, bootstrap_servers=bed.servers) as publisher,
        publisher.export(_request("large")) as export,
    ):
        await export.send(_repeated(sample, LARGE_BYTES // sample_bytes))
    return topics


def _repeated(rows: list[list[Cell]], times: int) -> Iterator[list[Cell]]:
    for _ in range(times):
        yield from rows


def _request(export_id: str) -> ExportRequested:
    fields = {"export_id": export_id, "format": "csv", "columns": DataSet.ORDERS.columns}
    return ExportRequested.model_validate(fields)


async def _large(bed: StoreBed, where: str, read: Topics) -> dict[str, float]:
    """MB/s of the large export, and the node's peak; events go to topics of this run's own."""
    place = bed.new()
    written = Topics.named(place.name)
    await create_topics(written, 1, 1, bootstrap_servers=bed.servers)
    environment = settings_for(
        bed.servers, read, place, GROUP_ID=place.name, OUTPUT_PREFIX=place.name
    )
    async with AsyncExitStack() as running:
        feed = await running.enter_async_context(
            CompletionFeed(written, bootstrap_servers=bed.servers)
        )
        node = await running.enter_async_context(
            NodeProcess({**environment, **bed.storage(where, place)}, place / "node.log")
        )
        event = (await anext(feed)).event()
        assert isinstance(event, ExportCompleted), event
        assert event.started_at, event
        seconds = (event.completed_at - event.started_at).total_seconds()
        return {
            "large_mb_per_second": event.bytes / 1e6 / seconds,
            "large_peak_mib": peak_bytes(node.pid) / MIB,
        }


async def _open(bed: StoreBed, where: str) -> float:
    """MiB of a node's peak over many open exports, and all their ends."""
    place = bed.new()
    topics = Topics.named(place.name)
    await create_topics(topics, 1, 1, bootstrap_servers=bed.servers)
    rows = list(DataSet.ORDERS.rows(1_000))
    environment = {**settings_for(bed.servers, topics, place), **bed.storage(where, place)}
    async with AsyncExitStack() as running:
        publisher = await running.enter_async_context(
            ExportPublisher(topics, bootstrap_servers=bed.servers)
        )
        feed = await running.enter_async_context(
            CompletionFeed(topics, bootstrap_servers=bed.servers)
        )
        node = await running.enter_async_context(NodeProcess(environment, place / "node.log"))
        async with AsyncExitStack() as exports:
            for number in range(OPEN):
                request = _request(f"open-{number}")
                export = await exports.enter_async_context(publisher.export(request))
                await export.send(rows)
            await _until_open(node)
        for _ in range(OPEN):
            event = (await anext(feed)).event()
            assert isinstance(event, ExportCompleted), event
        return peak_bytes(node.pid) / MIB


async def _until_open(node: NodeProcess) -> None:
    async with http_client(node.url) as client:
        while (await client.get("/export/status")).json()["open_exports"] < OPEN:
            await asyncio.sleep(0.1)


def report(result: dict[str, Any]) -> str:
    """The figures as a table for people."""
    headings = (
        *("Files on", "small exports/s", "one large CSV, MB/s", "its node's peak, MiB"),
        f"peak with {OPEN} open, MiB",
    )
    names = ("small_per_second", "large_mb_per_second", "large_peak_mib", "open_mib")
    return table(
        headings,
        [[where, *(f"{found[name]:.0f}" for name in names)] for where, found in result.items()],
    )
