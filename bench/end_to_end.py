"""Kafka to file: nodes of ours, and the service in Node that one would otherwise write.

Both read the same messages from an embedded Kafka, uncompressed where kafkajs takes part, as that
reads nothing but gzip by itself. They lie there before anybody reads, in a transaction that is
still open; its commit is the start. So neither a start-up nor an upstream is in the figures:
seconds run from the commit to the last whole file, and CPU seconds are those of the reading
processes in between. Kafka itself has the rest of the machine. One file of each case is read back.
Invariant: each run has topics of its own.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.figures import MIB, spread, table, thousands
from bench.held_load import HeldLoad, held
from bench.judging import judged
from bench.node_packages import why_no_node
from bench.processes import cpu_seconds, peak_bytes
from bench.readers import CONTENDERS, OurNodes, Readers, node_service, our_nodes
from bench.rows import DataSet, MessageFile
from bench.watched_node import longest
from broker.embedded import EmbeddedKafka
from clients.topics import create_topics
from schemas.topics import Topics
from schemas.vocabulary import Format
from tests.support.nodes import SERVE

ROUNDS = 3
OURS, TWO_OF_OURS, ONE_CORE = "ours, one node", "ours, two nodes", "ours, one core"
WATCHED = f"{OURS}, event loop watched"


@dataclass(frozen=True, slots=True)
class EndToEndCase:
    """Who makes files of which format, from how many partitions of what.

    ``nodes`` are ours; 0 stands for the service in Node. ``one_core``: all of a node's threads are
    on one. ``python``: nothing is encoded natively. ``watched``: how late its event loop is counts.
    """

    name: str
    file_format: Format
    rows: int
    nodes: int = 1
    partitions: int = 4
    data_set: DataSet = DataSet.ORDERS
    codec: str | None = None
    one_core: bool = False
    python: bool = False
    watched: bool = False


def node_name(file_format: Format) -> str:
    """The name of the case of a service in Node."""
    return f"Node: kafkajs and {CONTENDERS[file_format]}"


def _cases(file_format: Format, rows: int, original_rows: int) -> Iterator[EndToEndCase]:
    """``rows`` are those of all exports together, one in each partition."""
    objects = DataSet.ORDERS_AS_OBJECTS
    case = partial(EndToEndCase, file_format=file_format, rows=rows)
    if file_format is Format.XLSX:
        yield case(ONE_CORE, one_core=True)
        yield EndToEndCase(node_name(file_format), file_format, original_rows, nodes=0)
        return
    yield case(OURS)
    yield case(TWO_OF_OURS, nodes=2)
    yield case(ONE_CORE, one_core=True)
    yield case(f"{ONE_CORE}, objects", data_set=objects, one_core=True)
    yield case(f"{ONE_CORE}, Python alone", one_core=True, python=True)
    yield case(f"{ONE_CORE}, objects, Python alone", data_set=objects, one_core=True, python=True)
    if file_format is Format.CSV:
        one = partial(case, partitions=1, codec="lz4", one_core=True)
        yield one(f"{ONE_CORE}, one partition, lz4")
        yield one(f"{ONE_CORE}, one partition, lz4, objects", data_set=objects)
        yield case("ours, twelve partitions, lz4", partitions=12, codec="lz4")
    yield case(WATCHED, watched=True)
    yield case(f"{WATCHED}, Python alone", watched=True, python=True)
    yield EndToEndCase(node_name(file_format), file_format, original_rows, nodes=0)


CASES = (
    *_cases(Format.CSV, 1_000_000, 1_000_000),
    *_cases(Format.PDF, 400_000, 40_000),
    *_cases(Format.XLSX, 400_000, 40_000),
)
"""Fewer rows of those by pdfkit and exceljs, which take more than ten times as long."""


@dataclass(frozen=True, slots=True)
class ReaderRun:
    """One run: all rows, seconds, CPU seconds and the largest resident peak of the readers.

    ``begun`` is of ``time.monotonic``. ``longest_stall`` are seconds, of a node that is watched.
    """

    rows: int
    begun: float
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    longest_stall: float | None = None


@dataclass(frozen=True, slots=True)
class Laid:
    """A load that is held until ``release`` is called, and where its files go."""

    servers: str
    topics: Topics
    place: Path
    load: HeldLoad
    release: Callable[[], Awaitable[None]]

    def readers(self, case: EndToEndCase) -> AbstractAsyncContextManager[Readers]:
        """So many nodes of ours, or (0) the service in Node."""
        where = (self.servers, self.topics, self.place, self.load)
        if not case.nodes:
            return node_service(*where)
        core = str(max(os.sched_getaffinity(0)))
        watched = (sys.executable, "-m", "bench.watched_node", self.stalls)
        command: Sequence[str | Path] = watched if case.watched else SERVE
        if case.one_core:
            command = ("taskset", "--cpu-list", core, *command)
        encoders = "python" if case.python else "auto"
        return our_nodes(*where, case.nodes, command, ENCODERS=encoders)

    @property
    def stalls(self) -> Path:
        """Where a node that is watched writes how late its event loop was."""
        return self.place / "stalls.json"

    async def timed(self, readers: Readers) -> ReaderRun:
        """From the release to the last whole file."""
        cpu, begun = sum(map(cpu_seconds, readers.pids)), time.monotonic()
        await self.release()
        await readers.finished()
        seconds = time.monotonic() - begun
        used = sum(map(cpu_seconds, readers.pids)) - cpu
        return ReaderRun(self.load.rows, begun, seconds, used, max(map(peak_bytes, readers.pids)))


class KafkaBed:
    """A Kafka, and a directory, for any number of runs."""

    def __init__(self, servers: str, place: Path) -> None:
        self._servers = servers
        self._place = place
        self._runs = 0

    @asynccontextmanager
    async def laid(self, case: EndToEndCase) -> AsyncIterator[Laid]:
        """A load, held, an export in each partition; its files are removed afterwards."""
        self._runs += 1
        place = self._place / f"run{self._runs}"
        place.mkdir()
        messages = MessageFile.write(place, case.data_set, case.rows // case.partitions)
        load = HeldLoad(case.file_format, messages, case.partitions, case.codec)
        topics = Topics.named(place.name)
        await create_topics(topics, case.partitions, 1, bootstrap_servers=self._servers)
        async with held(self._servers, topics, load) as producer:
            yield Laid(self._servers, topics, place, load, producer.commit_transaction)
        shutil.rmtree(place)


async def measure() -> dict[str, Any]:
    """Rounds of every case, one after the other; the figures by format and name."""
    missing = why_no_node()
    cases = [case for case in CASES if case.nodes or not missing]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with EmbeddedKafka(place / "kafka") as kafka:
            bed = KafkaBed(kafka.bootstrap_servers, place)
            runs: dict[EndToEndCase, list[ReaderRun]] = {case: [] for case in cases}
            verdicts: dict[EndToEndCase, str] = {}
            for _ in range(ROUNDS):
                for case in cases:
                    runs[case].append(await _run(bed, case, verdicts))
    figures = [_figures(case, runs[case], verdicts[case]) for case in cases]
    return {"missing": missing, "cases": figures}


async def _run(bed: KafkaBed, case: EndToEndCase, verdicts: dict[EndToEndCase, str]) -> ReaderRun:
    """One run; ``verdicts`` gets that of one of its files, if it has none of that case."""
    async with bed.laid(case) as laid:
        async with laid.readers(case) as readers:
            run = await laid.timed(readers)
            if case.watched:
                run = _with_stall(run, readers, laid.stalls)
        if case not in verdicts:
            path = min((laid.place / "exports").rglob(f"*.{case.file_format}"))
            verdicts[case] = judged(case.file_format, laid.load.messages, path)
        return run


def _with_stall(run: ReaderRun, readers: Readers, stalls: Path) -> ReaderRun:
    assert isinstance(readers, OurNodes)
    (node,) = readers.nodes
    assert node.terminate() == 0
    return replace(run, longest_stall=longest(stalls, run.begun, run.begun + run.seconds))


def _figures(case: EndToEndCase, runs: list[ReaderRun], verdict: str) -> dict[str, Any]:
    return {
        "format": case.file_format.value,
        "name": case.name,
        "nodes": case.nodes,
        "partitions": case.partitions,
        "data_set": case.data_set.value,
        "codec": case.codec,
        "one_core": case.one_core,
        "python": case.python,
        "rows": runs[0].rows,
        "rows_per_second": spread([run.rows / run.seconds for run in runs]),
        "cpu_seconds_per_million_rows": spread([run.cpu_seconds * 1e6 / run.rows for run in runs]),
        "peak_mib": max(run.peak_bytes for run in runs) / MIB,
        "longest_stall": max(run.longest_stall or 0.0 for run in runs) if case.watched else None,
        "output": verdict,
    }


def report(result: dict[str, Any]) -> str:
    """The figures as a table for people."""
    headings = (
        *("Kafka to file", "rows", "rows/s", "CPU s per million rows", "peak MiB a process"),
        *("longest stall, ms", "a file, read back"),
    )
    rows = [
        [
            f"{case['format'].upper()}: {case['name']}",
            thousands(case["rows"]),
            thousands(case["rows_per_second"]["median"]),
            f"{case['cpu_seconds_per_million_rows']['median']:.2f}",
            f"{case['peak_mib']:.0f}",
            "" if case["longest_stall"] is None else f"{case['longest_stall'] * 1000:.0f}",
            case["output"],
        ]
        for case in result["cases"]
    ]
    return "\n\n".join([table(headings, rows), *filter(None, [result["missing"]])])
