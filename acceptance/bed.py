"""An embedded Kafka and one node, as processes, and ``sluice`` commands against them.

Invariant: everything goes the way a user's would, by the program and by Kafka; nothing here looks
into the node.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.embedded import EmbeddedKafka
from schemas.topics import Topics
from tests.support.nodes import SLUICE, NodeProcess, settings_for


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended: its exit code, what it printed, and how long it took in all."""

    code: int
    lines: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Bed:
    """A running node, the Kafka that it works on, and the settings that both go by."""

    node: NodeProcess
    servers: str
    topics: Topics
    environment: Mapping[str, str]
    storage: Path

    async def sluice(self, *arguments: object) -> Ran:
        """Run a command and show it; its errors go where ours do."""
        return await run_sluice(self.environment, *arguments)


async def run_sluice(environment: Mapping[str, str], *arguments: object) -> Ran:
    """``sluice ARGUMENTS`` to its end."""
    words = [str(argument) for argument in arguments]
    print(f"$ sluice {' '.join(words)}", flush=True)
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        SLUICE, *words, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:  # we were interrupted
            process.terminate()
            await process.wait()
    seconds = time.perf_counter() - begun
    return Ran(process.returncode or 0, printed.decode().splitlines(), seconds)


@asynccontextmanager
async def laid_bed(place: Path) -> AsyncIterator[Bed]:
    """A Kafka with the four topics and a node that is ready, with the default settings."""
    topics, storage = Topics.named("export"), place / "exports"
    print("starting an embedded Apache Kafka and a node …", flush=True)
    with EmbeddedKafka(place / "kafka", notice=print) as kafka:
        servers = kafka.bootstrap_servers
        environment = settings_for(servers, topics, storage)
        created = await run_sluice(environment, "topics", "create")
        if created.code:
            raise SystemExit(created.code)
        async with NodeProcess(environment, place / "node.log") as node:
            yield Bed(node, servers, topics, environment, storage)
