"""Kafka to file: nodes of ours, and the service in Node that one would otherwise write.

Both read the same messages from an embedded Kafka, uncompressed, as kafkajs reads nothing but gzip
by itself. They lie there before anybody reads, in a transaction that is still open; its commit is
the start. So neither a start-up nor an upstream is in the figures: seconds run from the commit to
the last whole file, and CPU seconds are those of the reading processes in between. Kafka itself has
the rest of the machine. One file of each case is read back. Invariant: each run has topics of its
own.
"""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contests import ORIGINALS
from bench.figures import MIB, spread, table, thousands
from bench.held_load import Load, held
from bench.judging import judged
from bench.node_packages import why_no_node
from bench.processes import cpu_seconds, peak_bytes
from bench.readers import Readers, node_service, our_nodes
from bench.rows import DataSet, MessageFile
from broker.embedded import EmbeddedKafka
from clients.topics import create_topics
from schemas.topics import Topics
from schemas.vocabulary import Format

ROUNDS = 3
PARTITIONS = 4
OURS, TWO_OF_OURS, ORIGINAL = "ours, one node", "ours, two nodes", "Node: kafkajs and {}"
ROWS = {
    (Format.CSV, False): 250_000,
    (Format.PDF, False): 100_000,
    (Format.CSV, True): 250_000,
    (Format.PDF, True): 10_000,
}
"""Rows of each of the four exports, by format and whether it is the original that makes them: fewer
of those by pdfkit, which takes more than ten times as long."""


@dataclass(frozen=True, slots=True)
class Case:
    """Who makes files of which format."""

    file_format: Format
    nodes: int
    """How many of ours; 0 stands for the service in Node."""

    @property
    def name(self) -> str:
        """For people."""
        library = "csv-writer" if self.file_format is Format.CSV else "pdfkit"
        return {1: OURS, 2: TWO_OF_OURS}.get(self.nodes, ORIGINAL.format(library))

    @property
    def rows(self) -> int:
        """Of each of the exports."""
        return ROWS[self.file_format, self.nodes == 0]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: all rows, seconds, CPU seconds and the largest resident peak of the readers."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Laid:
    """A load that is held until ``release`` is called, and where its files go."""

    servers: str
    topics: Topics
    place: Path
    load: Load
    release: Callable[[], Awaitable[None]]

    def readers(self, nodes: int) -> AbstractAsyncContextManager[Readers]:
        """So many nodes of ours, or (0) the service in Node."""
        if nodes:
            return our_nodes(self.servers, self.topics, self.place, self.load, nodes)
        return node_service(self.servers, self.topics, self.place, self.load)

    async def timed(self, readers: Readers) -> Run:
        """From the release to the last whole file."""
        cpu, begun = sum(map(cpu_seconds, readers.pids)), time.perf_counter()
        await self.release()
        await readers.finished()
        seconds = time.perf_counter() - begun
        used = sum(map(cpu_seconds, readers.pids)) - cpu
        return Run(self.load.rows, seconds, used, max(map(peak_bytes, readers.pids)))


class Bed:
    """A Kafka, and a directory, for any number of runs."""

    def __init__(self, servers: str, place: Path) -> None:
        self._servers = servers
        self._place = place
        self._runs = 0

    @asynccontextmanager
    async def laid(self, file_format: Format, rows: int) -> AsyncIterator[Laid]:
        """A load of that many rows an export, held; its files are removed afterwards."""
        self._runs += 1
        place = self._place / f"run{self._runs}"
        place.mkdir()
        messages = MessageFile.write(place, DataSet.ORDERS, rows)
        load = Load(file_format, messages, PARTITIONS)
        topics = Topics.named(place.name)
        await create_topics(topics, PARTITIONS, 1, bootstrap_servers=self._servers)
        async with held(self._servers, topics, load) as producer:
            yield Laid(self._servers, topics, place, load, producer.commit_transaction)
        shutil.rmtree(place)


async def measure() -> dict[str, Any]:
    """Rounds of every case, one after the other; the figures by format and name."""
    missing = why_no_node()
    cases = [
        Case(file_format, nodes)
        for file_format in ORIGINALS
        for nodes in ((1, 2) if missing else (1, 2, 0))
    ]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with EmbeddedKafka(place / "kafka") as kafka:
            bed = Bed(kafka.bootstrap_servers, place)
            runs: dict[Case, list[Run]] = {case: [] for case in cases}
            verdicts: dict[Case, str] = {}
            for _ in range(ROUNDS):
                for case in cases:
                    runs[case].append(await _run(bed, case, verdicts))
    figures = [_figures(case, runs[case], verdicts[case]) for case in cases]
    return {"missing": missing, "cases": figures}


async def _run(bed: Bed, case: Case, verdicts: dict[Case, str]) -> Run:
    """One run; ``verdicts`` gets that of one of its files, if it has none of that case."""
    async with bed.laid(case.file_format, case.rows) as laid:
        async with laid.readers(case.nodes) as readers:
            run = await laid.timed(readers)
        if case not in verdicts:
            path = min((laid.place / "exports").rglob(f"*.{case.file_format}"))
            verdicts[case] = judged(case.file_format, laid.load.messages, path)
        return run


def _figures(case: Case, runs: list[Run], verdict: str) -> dict[str, Any]:
    return {
        "format": case.file_format.value,
        "name": case.name,
        "nodes": case.nodes,
        "rows": runs[0].rows,
        "rows_per_second": spread([run.rows / run.seconds for run in runs]),
        "cpu_seconds_per_million_rows": spread([run.cpu_seconds * 1e6 / run.rows for run in runs]),
        "peak_mib": max(run.peak_bytes for run in runs) / MIB,
        "output": verdict,
    }


def report(result: dict[str, Any]) -> str:
    """The figures as a table for people."""
    headings = (
        *("Kafka to file", "rows", "rows/s", "CPU s per million rows", "peak MiB a process"),
        "a file, read back",
    )
    rows = [
        [
            f"{case['format'].upper()}: {case['name']}",
            thousands(case["rows"]),
            thousands(case["rows_per_second"]["median"]),
            f"{case['cpu_seconds_per_million_rows']['median']:.2f}",
            f"{case['peak_mib']:.0f}",
            case["output"],
        ]
        for case in result["cases"]
    ]
    return "\n\n".join([table(headings, rows), *filter(None, [result["missing"]])])
