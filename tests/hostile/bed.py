"""Two real nodes on topics of their own, each with its probe; made again when one was brought down.

The input topics take batches of up to 20 MiB, as an operator may set them. Invariant: what the
nodes of one bed choke on is in no other bed's topics.
"""

import asyncio
import contextlib
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.topics import Topics
from tests.hostile.downstream import Downstream
from tests.hostile.probe import Look, read_looks
from tests.support.nodes import SERVE, NodeProcess, settings_for

PARTITIONS = 6
NODES = 2
RECORD_BYTES = 20 * 1024 * 1024
# Before all else, where that is allowed: what is measured is the node, not a busy machine.
_FIRST = ("nice", "-n", "-5")
_STACK_KIB = 2048
_EVER = str(2**63 - 1)  # brokers refuse what is an hour ahead, unless they are set not to


@dataclass(slots=True)
class Watched:
    """A node and its probe."""

    node: NodeProcess
    probe: subprocess.Popen[bytes]
    looks_path: Path

    def looks(self) -> list[Look]:
        return read_looks(self.looks_path)


@dataclass(slots=True)
class Bed:
    """What attacks are sent at."""

    servers: str
    topics: Topics
    storage: Path
    nodes: list[Watched]
    producer: AIOKafkaProducer
    downstream: Downstream
    environment: dict[str, str]


@asynccontextmanager
async def laid_bed(
    servers: str, directory: Path, data_bytes: int | None = None
) -> AsyncIterator[Bed]:
    """A bed for the block, in a directory of its own below ``directory``.

    ``data_bytes``: the kernel gives a node so much private memory at most.
    """
    topics = Topics.named(f"h-{uuid.uuid4().hex[:8]}")
    place = directory / topics.requests
    place.mkdir(parents=True)
    await _create(servers, topics)
    storage = place / "exports"
    environment = settings_for(servers, topics, storage)
    downstream = Downstream(servers, topics, PARTITIONS)
    async with (
        contextlib.AsyncExitStack() as stack,
        AIOKafkaProducer(
            bootstrap_servers=servers, max_request_size=RECORD_BYTES, request_timeout_ms=120_000
        ) as producer,
    ):
        following = asyncio.create_task(downstream.run(), name="downstream")
        stack.push_async_callback(_ended, following)
        command = (*_FIRST, *(SERVE if data_bytes is None else bounded(data_bytes, SERVE)))
        paths = [place / f"node-{number}" for number in range(NODES)]
        starting = [_watched(environment, path, command) for path in paths]
        nodes = await asyncio.gather(*(stack.enter_async_context(one) for one in starting))
        yield Bed(servers, topics, storage, nodes, producer, downstream, environment)


def bounded(data_bytes: int, command: Sequence[str | Path]) -> list[str | Path]:
    """The command under ``RLIMIT_DATA``, as its own process: beyond it an allocation fails.

    The limit is of private writable memory, used or not (setrlimit(2)). Not ``RLIMIT_AS``: that
    counts address space, of which a node takes 1.2 GB for 80 MB, most of it what glibc reserves
    for the arenas of threads. A thread's stack counts whole, so stacks are made small.
    """
    limits = f'ulimit -s {_STACK_KIB} && ulimit -d {data_bytes // 1024} && exec "$@"'
    return ["sh", "-c", limits, "sh", *command]


@asynccontextmanager
async def _watched(
    environment: dict[str, str], path: Path, command: Sequence[str | Path]
) -> AsyncIterator[Watched]:
    async with NodeProcess(environment, path.with_suffix(".log"), command) as node:
        looks = path.with_suffix(".looks")
        command = [sys.executable, "-m", "tests.hostile.probe", str(node.pid), node.url, str(looks)]
        probe = subprocess.Popen(command)
        try:
            yield Watched(node, probe, looks)
        finally:
            probe.kill()
            probe.wait()


async def _create(servers: str, topics: Topics) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        inputs = {topics.requests, topics.records}
        raised = {"max.message.bytes": str(RECORD_BYTES), "message.timestamp.after.max.ms": _EVER}
        answer = await admin.create_topics(
            [
                NewTopic(name, PARTITIONS, 1, topic_configs=raised if name in inputs else {})
                for name in astuple(topics)
            ]
        )
        assert all(error[1] == 0 for error in answer.topic_errors), answer
    finally:
        await admin.close()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
