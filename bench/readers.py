"""Who makes files of a load: nodes of ours, or the service in Node. Started, waited for, ended."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from bench.held_load import HeldLoad
from bench.node_packages import NODE_DIRECTORY
from producer.completions import CompletionFeed
from schemas.completions import ExportCompleted
from schemas.topics import Topics
from schemas.vocabulary import Format
from tests.support.nodes import SERVE, NodeProcess, settings_for

_MOST_SECONDS = 300
CONTENDERS = {Format.CSV: "csv-writer", Format.PDF: "pdfkit", Format.XLSX: "exceljs"}
"""What a service in Node makes the files of a format with."""


class Readers(Protocol):
    """Processes that have their partitions and wait for messages."""

    @property
    def pids(self) -> Sequence[int]:
        """Their process ids."""

    async def finished(self) -> None:
        """Returns when every file is whole. Raises AssertionError if one isn't."""


class OurNodes:
    """``Readers``; a file is whole when downstream has its event."""

    def __init__(self, nodes: Sequence[NodeProcess], feed: CompletionFeed, load: HeldLoad) -> None:
        self.nodes = nodes
        self.pids = [node.pid for node in nodes]
        self._feed = feed
        self._load = load

    async def finished(self) -> None:
        """See ``Readers``."""
        waiting = {request.export_id for request in self._load.requests}
        async with asyncio.timeout(_MOST_SECONDS):
            while waiting:
                event = (await anext(self._feed)).event()
                assert isinstance(event, ExportCompleted), event
                assert event.rows == self._load.messages.rows, event
                waiting.remove(event.export_id)


@asynccontextmanager
async def our_nodes(
    servers: str,
    topics: Topics,
    place: Path,
    load: HeldLoad,
    count: int,
    command: Sequence[str | Path] = SERVE,
    **settings: str,
) -> AsyncIterator[OurNodes]:
    """``count`` nodes that share the load's partitions, writing to ``place / "exports"``."""
    settings = {"LOG_LEVEL": "info", **settings}
    environment = settings_for(servers, topics, place / "exports", **settings)
    logs = [place / f"node{number}.log" for number in range(count)]
    nodes = [NodeProcess(environment, log, command) for log in logs]
    async with AsyncExitStack() as running:
        feed = await running.enter_async_context(CompletionFeed(topics, bootstrap_servers=servers))
        for node in nodes:
            await running.enter_async_context(node)
        async with asyncio.timeout(_MOST_SECONDS):
            while sum(map(_taken_over, nodes)) < load.exports:
                await asyncio.sleep(0.1)
        yield OurNodes(nodes, feed, load)


def _taken_over(node: NodeProcess) -> int:
    """How many partitions a node has taken over and not lost, from its log."""
    ours: set[int] = set()
    for line in node.lines():
        match line.get("event"):
            case "partition taken over":
                ours.add(line["partition"])
            case "partition lost":
                ours.discard(line["partition"])
    return len(ours)


class NodeService:
    """``Readers``; a file is whole when the service says so."""

    def __init__(self, process: asyncio.subprocess.Process, load: HeldLoad) -> None:
        self.pids = [process.pid]
        self._process = process
        self._load = load

    async def ready(self) -> None:
        """Wait until it has its partitions."""
        assert (await self._line()).get("ready")

    async def finished(self) -> None:
        """See ``Readers``."""
        waiting = {request.export_id for request in self._load.requests}
        while waiting:
            line = await self._line()
            if "done" in line:
                assert line["rows"] == self._load.messages.rows, line
                waiting.remove(str(line["done"]))

    async def _line(self) -> dict[str, object]:
        assert self._process.stdout
        async with asyncio.timeout(_MOST_SECONDS):
            line = await self._process.stdout.readline()
        assert line, "the service in Node has ended"
        fields: dict[str, object] = json.loads(line)
        return fields


@asynccontextmanager
async def node_service(
    servers: str, topics: Topics, place: Path, load: HeldLoad
) -> AsyncIterator[NodeService]:
    """One process with kafkajs, and csv-writer, pdfkit or exceljs."""
    (place / "exports").mkdir()
    job = {
        "brokers": [servers],
        "topic": topics.records,
        "group": f"group-{topics.records}",
        "directory": str(place / "exports"),
        "contender": CONTENDERS[load.file_format],
        "extension": load.file_format.value,
        **load.messages.data_set.job,
    }
    process = await asyncio.create_subprocess_exec(
        *("node", str(NODE_DIRECTORY / "from_kafka.js"), json.dumps(job)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        service = NodeService(process, load)
        await service.ready()
        yield service
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
