"""How long a partition stands still after its node was killed.

Three nodes work on twelve partitions under a steady load of small exports. One node after the other
is killed with SIGKILL; for each partition that it held, the time is taken from the kill until
downstream has the event of an export that was requested after it: the new owner's first turn, its
transaction and the way to downstream. Between two kills the node comes back.
"""

import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from broker.embedded import EmbeddedKafka
from clients.topics import create_topics
from producer.completions import CompletionFeed
from producer.publisher import ExportPublisher
from schemas.requests import ExportRequested
from schemas.topics import Topics
from tests.support.nodes import NodeProcess, settings_for

SESSION_SECONDS = 3
DRAIN_SECONDS = 1
GOAL_SECONDS = SESSION_SECONDS + 2
KILLS = 9
_PARTITIONS = 12
_EXPORTS_PER_SECOND = 60
_REST_SECONDS = 4.0
_MOST_SECONDS = 60.0


@dataclass(slots=True)
class _Kill:
    """One kill: when, and when each partition that was held answered again (monotonic)."""

    at: float
    partitions: frozenset[int]
    answered: dict[int, float] = field(default_factory=dict)
    whole: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, partition: int, requested: float, now: float) -> None:
        """Take in an event."""
        if requested > self.at and partition in self.partitions:
            self.answered.setdefault(partition, now)
        if self.answered.keys() == self.partitions:
            self.whole.set()


class _Load:
    """A steady load, and who listens to its events."""

    def __init__(self, publisher: ExportPublisher, feed: CompletionFeed) -> None:
        self._publisher = publisher
        self._feed = feed
        self._requested: dict[str, float] = {}
        self.kill: _Kill | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Publish and listen for the block."""
        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(self._publish()), tasks.create_task(self._listen())]
            yield
            for task in working:
                task.cancel()

    async def _publish(self) -> None:
        async with asyncio.TaskGroup() as exports:
            for number in itertools.count():
                exports.create_task(self._one(f"takeover-{number}"))
                await asyncio.sleep(1 / _EXPORTS_PER_SECOND)

    async def _one(self, export_id: str) -> None:
        fields = {"export_id": export_id, "format": "csv", "columns": ["n"]}
        self._requested[export_id] = time.monotonic()
        async with self._publisher.export(ExportRequested.model_validate(fields)) as export:
            await export.send([[n] for n in range(10)])

    async def _listen(self) -> None:
        async for completion in self._feed:
            now = time.monotonic()
            requested = self._requested.pop(completion.export_id)
            if self.kill:
                self.kill.note(completion.event().source.partition, requested, now)


async def measure() -> dict[str, Any]:
    """Run it all; seconds per partition that moved."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with EmbeddedKafka(place / "kafka") as kafka:
            servers, topics = kafka.bootstrap_servers, Topics.named("takeover")
            await create_topics(topics, _PARTITIONS, 1, bootstrap_servers=servers)
            environment = settings_for(
                servers,
                topics,
                place / "exports",
                LOG_LEVEL="info",
                SESSION_TIMEOUT_SECONDS=SESSION_SECONDS,
                DRAIN_TIMEOUT_SECONDS=DRAIN_SECONDS,
            )
            async with contextlib.AsyncExitStack() as stack:
                enter = stack.enter_async_context
                nodes = [
                    await enter(NodeProcess(environment, place / f"node-{number}.log"))
                    for number in range(3)
                ]
                feed = await enter(CompletionFeed(topics, bootstrap_servers=servers))
                publisher = await enter(ExportPublisher(topics, bootstrap_servers=servers))
                load = _Load(publisher, feed)
                await enter(load.running())
                seconds = [moved async for moved in _kills(nodes, load)]
    return {
        "session_timeout_seconds": SESSION_SECONDS,
        "goal_seconds": GOAL_SECONDS,
        "kills": KILLS,
        "partitions_moved": len(seconds),
        "seconds": {
            "least": min(seconds),
            "median": statistics.median(seconds),
            "p95": statistics.quantiles(seconds, n=20)[-1],
            "most": max(seconds),
        },
    }


async def _kills(nodes: list[NodeProcess], load: _Load) -> AsyncIterator[float]:
    for number in range(KILLS):
        node = nodes[number % len(nodes)]
        await asyncio.sleep(_REST_SECONDS)
        held = frozenset(await _assigned(node))
        assert held, "the node to be killed holds nothing"
        kill = load.kill = _Kill(time.monotonic(), held)
        node.kill()
        async with asyncio.timeout(_MOST_SECONDS):
            await kill.whole.wait()
        for answered in kill.answered.values():
            yield answered - kill.at
        await node.start()


async def _assigned(node: NodeProcess) -> list[int]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{node.url}/export/status")
        return list(answer.json()["assigned_partitions"])


def report(result: dict[str, Any]) -> str:
    """The figures as a line for people."""
    seconds = result["seconds"]
    return (
        f"takeover after kill -9 of one of three nodes, session timeout"
        f" {result['session_timeout_seconds']} s, {result['partitions_moved']} partitions moved in"
        f" {result['kills']} kills,\n  from the kill to downstream's first event: median"
        f" {seconds['median']:.1f} s, p95 {seconds['p95']:.1f} s, most {seconds['most']:.1f} s"
        f" (goal {result['goal_seconds']} s)"
    )
