"""The main job, Kafka to file, on an embedded Kafka and a node of its own process.

Two things are measured. *Latency*: from just before the request is sent until downstream has the
event, publishing included, with the node's CPU seconds. *Memory*: the node's resident peak over
10,000 rows, then over a million as CSV and 300,000 as PDF, in one process, so the peak can only
grow.
"""

import asyncio
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import MIB, spread
from bench.processes import cpu_seconds, peak_bytes
from broker.embedded import EmbeddedKafka
from clients.topics import create_topics
from producer.completions import CompletionFeed
from producer.publisher import ExportPublisher
from producer.seed.scenarios import Scenario, publish
from schemas.completions import ExportCompleted
from schemas.topics import Topics
from schemas.vocabulary import Format
from tests.support.nodes import NodeProcess, settings_for

LATENCY = (
    (Scenario(Format.CSV, 10_000), 0.7),
    (Scenario(Format.CSV, 50_000), 1.5),
    (Scenario(Format.PDF, 10_000), 3.0),
)
"""What to time, and the seconds it should stay under on a machine of two cores."""
MEMORY = (Scenario(Format.CSV, 1_000_000), Scenario(Format.PDF, 300_000))
SMALL = (Scenario(Format.CSV, 10_000), Scenario(Format.PDF, 10_000))
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class ExportRun:
    """One export: seconds from request to event, CPU seconds of the node, bytes of the file."""

    seconds: float
    cpu_seconds: float
    size_bytes: int


class NodeLoad:
    """Publishes to one running node and waits for its events."""

    def __init__(self, pid: int, publisher: ExportPublisher, feed: CompletionFeed) -> None:
        self.pid = pid
        self._publisher = publisher
        self._feed = feed

    async def run(self, scenario: Scenario) -> ExportRun:
        """One export, from request to event."""
        cpu, begun = cpu_seconds(self.pid), time.perf_counter()
        export = await publish(self._publisher, scenario)
        event = await anext(self._feed.endings({export.export_id: export.source}))
        seconds = time.perf_counter() - begun
        assert isinstance(event, ExportCompleted), event
        assert event.rows == scenario.records
        return ExportRun(seconds, cpu_seconds(self.pid) - cpu, event.bytes)


async def measure() -> dict[str, Any]:
    """Run it all; the figures by name."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with EmbeddedKafka(place / "kafka") as kafka:
            return {
                "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
                "latency": await _on_fresh_node(kafka, place / "latency", _latency),
                "memory": await _on_fresh_node(kafka, place / "memory", _memory),
            }


async def _on_fresh_node(kafka: EmbeddedKafka, place: Path, work: Any) -> Any:  # noqa: ANN401
    place.mkdir()
    servers, topics = kafka.bootstrap_servers, Topics.named(place.name)
    await create_topics(topics, partitions=12, replication_factor=1, bootstrap_servers=servers)
    environment = settings_for(servers, topics, place / "exports", LOG_LEVEL="info")
    async with (
        NodeProcess(environment, place / "node.log") as node,
        CompletionFeed(topics, bootstrap_servers=servers) as feed,
        ExportPublisher(topics, bootstrap_servers=servers) as publisher,
    ):
        return await work(NodeLoad(node.pid, publisher, feed))


async def _latency(load: NodeLoad) -> list[dict[str, Any]]:
    rounds: dict[Scenario, list[ExportRun]] = {scenario: [] for scenario, _ in LATENCY}
    for scenario in rounds:
        await load.run(scenario)  # warm: imports, page cache, connections
    for _ in range(ROUNDS):
        for scenario, runs in rounds.items():
            runs.append(await load.run(scenario))
            await asyncio.sleep(0.2)
    return [
        {
            "scenario": scenario.name,
            "goal_seconds": goal,
            "seconds": spread([run.seconds for run in rounds[scenario]]),
            "cpu_seconds_per_million_rows": spread(
                [run.cpu_seconds * 1e6 / scenario.records for run in rounds[scenario]]
            ),
        }
        for scenario, goal in LATENCY
    ]


async def _memory(load: NodeLoad) -> dict[str, Any]:
    for scenario in SMALL:
        await load.run(scenario)
    small = peak_bytes(load.pid)
    figures = []
    for scenario in MEMORY:
        run = await load.run(scenario)
        figures.append(
            {
                "scenario": scenario.name,
                "file_mib": run.size_bytes / MIB,
                "seconds": run.seconds,
                "cpu_seconds_per_million_rows": run.cpu_seconds * 1e6 / scenario.records,
                "peak_mib": peak_bytes(load.pid) / MIB,
                "above_small_mib": (peak_bytes(load.pid) - small) / MIB,
            }
        )
    return {"small_peak_mib": small / MIB, "large": figures}


def report(result: dict[str, Any]) -> str:
    """The figures as a table for people."""
    lines = ["request to event, publishing included (5 rounds)   seconds            CPU s / M rows"]
    for row in result["latency"]:
        seconds, cpu = row["seconds"], row["cpu_seconds_per_million_rows"]
        lines.append(
            f"  {row['scenario']:12} goal {row['goal_seconds']:.1f}"
            f"                      {seconds['median']:.2f} ({seconds['least']:.2f}"
            f"-{seconds['most']:.2f})    {cpu['median']:.1f} ({cpu['least']:.1f}-{cpu['most']:.1f})"
        )
    memory = result["memory"]
    lines.append(f"resident peak of the node: {memory['small_peak_mib']:.0f} MiB over 10,000 rows")
    lines += [
        f"  {row['scenario']:12} {row['peak_mib']:.0f} MiB, {row['above_small_mib']:+.0f} MiB"
        f"  ({row['file_mib']:.0f} MiB file, {row['seconds']:.1f} s,"
        f" {row['cpu_seconds_per_million_rows']:.1f} CPU s / M rows)"
        for row in memory["large"]
    ]
    return "\n".join(lines)
