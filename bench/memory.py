"""How much more memory a node has at its peak for a million rows than for ten thousand, by format.

Each case has a node of its own: an export of few rows, its resident peak, then one of many. The
rows are the generated orders, as objects by key, which take more memory than arrays. Invariant: a
peak is the kernel's own count, of a node that has made files of that format alone.
"""

import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import MIB, table, thousands
from bench.peers.ours import request_for
from bench.processes import peak_bytes
from bench.rows import DataSet
from broker.embedded import EmbeddedKafka
from clients.topics import create_topics
from producer.completions import CompletionFeed
from producer.publisher import ExportPublisher
from schemas.completions import ExportCompleted
from schemas.requests import ExportRequested
from schemas.topics import Topics
from schemas.vocabulary import Compression, Format
from tests.support.nodes import NodeProcess, settings_for

FEW, MANY = 10_000, 1_000_000


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file."""

    file_format: Format
    compression: Compression = Compression.NONE

    @property
    def name(self) -> str:
        """Such as ``csv, gzip``."""
        parts = [self.file_format.value, self.compression.value]
        return ", ".join(parts[: 1 + (self.compression is not Compression.NONE)])

    def request(self, export_id: str) -> ExportRequested:
        """A request for a file of this kind."""
        columns, widths = DataSet.ORDERS.columns, DataSet.ORDERS.widths
        request = request_for(self.file_format, columns, widths, export_id)
        if self.compression is Compression.NONE:
            return request
        fields = request.model_dump(mode="json") | {"options": {"compression": self.compression}}
        return ExportRequested.model_validate(fields)


CASES = (
    FileKind(Format.CSV),
    FileKind(Format.CSV, Compression.GZIP),
    FileKind(Format.CSV, Compression.ZSTD),
    FileKind(Format.XLSX),
    FileKind(Format.NDJSON),
    FileKind(Format.JSON),
    FileKind(Format.XML),
    FileKind(Format.PDF),
)


@dataclass(frozen=True, slots=True)
class Peaks:
    """Resident peaks of one node, and the bytes of the larger file."""

    few_bytes: int
    many_bytes: int
    file_bytes: int

    @property
    def grown_mib(self) -> float:
        """How much more the many rows took."""
        return (self.many_bytes - self.few_bytes) / MIB


async def peaks(servers: str, place: Path, case: FileKind) -> Peaks:
    """Run both exports on a new node, on topics of its own. ``place`` is an empty directory."""
    topics = Topics.named(place.name)
    await create_topics(topics, 1, 1, bootstrap_servers=servers)
    environment = settings_for(servers, topics, place / "exports")
    async with AsyncExitStack() as running:
        node = await running.enter_async_context(NodeProcess(environment, place / "node.log"))
        publisher = await running.enter_async_context(
            ExportPublisher(topics, bootstrap_servers=servers)
        )
        feed = await running.enter_async_context(CompletionFeed(topics, bootstrap_servers=servers))
        await _completed(publisher, feed, case, FEW)
        few_bytes = peak_bytes(node.pid)
        event = await _completed(publisher, feed, case, MANY)
        return Peaks(few_bytes, peak_bytes(node.pid), event.bytes)


async def _completed(
    publisher: ExportPublisher, feed: CompletionFeed, case: FileKind, count: int
) -> ExportCompleted:
    keys = DataSet.ORDERS.columns
    async with publisher.export(case.request(f"rows-{count}")) as export:
        await export.send(dict(zip(keys, row, strict=True)) for row in DataSet.ORDERS.rows(count))
    event = (await anext(feed)).event()
    assert isinstance(event, ExportCompleted), event
    assert event.rows == count, event
    return event


async def measure() -> list[dict[str, Any]]:
    """Each case once."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with EmbeddedKafka(place / "kafka") as kafka:
            return [
                _figures(case, await peaks(kafka.bootstrap_servers, _made(place, number), case))
                for number, case in enumerate(CASES)
            ]


def _made(place: Path, number: int) -> Path:
    made = place / f"memory{number}"
    made.mkdir()
    return made


def _figures(case: FileKind, found: Peaks) -> dict[str, Any]:
    return {
        "name": case.name,
        "few_mib": found.few_bytes / MIB,
        "many_mib": found.many_bytes / MIB,
        "grown_mib": found.grown_mib,
        "file_mib": found.file_bytes / MIB,
    }


def report(result: Sequence[dict[str, Any]]) -> str:
    """The figures as a table for people."""
    peak = "peak MiB, {} rows"
    headings = (
        *("A node's memory", peak.format(thousands(FEW)), peak.format(thousands(MANY))),
        *("more, MiB", "file, MiB"),
    )
    names = ("few_mib", "many_mib", "grown_mib", "file_mib")
    rows = [[one["name"], *(f"{one[name]:.0f}" for name in names)] for one in result]
    return table(headings, rows)
