"""``python -m acceptance.scale_out [LOAD …]``: what an export costs, with one node and two.

A load lies in an open transaction of its upstream; nodes are ready and settled; the commit releases
it. CPU time, turns and transactions are counted from there to the last event; exports a second
between the first quarter of the events and the third, as all partitions have work there. CPU time
is what the kernel counts of each process. Writes bench/results/scale_out.json, where the loads
named, such as csv-10, replace their former runs (all by default), and docs/scaling.md. Needs Linux.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import httpx

from acceptance.costs import LoadCosts, export_table, million_rows_table, other_lines
from acceptance.soak import PAGE, RESULTS
from acceptance.staged_exports import staged_exports, stored_bytes
from bench.document import with_figures
from bench.processes import cpu_seconds, system_seconds
from broker.embedded import EmbeddedKafka
from clients.topics import create_topics
from consumer.backlog.backlog import Backlog
from consumer.cluster import Cluster
from producer.completions import CompletionFeed
from producer.seed.scenarios import Scenario
from schemas.completions import ExportCompleted
from schemas.topics import Topics
from schemas.vocabulary import Format
from sluice.logs import quiet_libraries
from sluice.metric_assertions import read_scrape
from tests.support.nodes import NodeProcess, settings_for

LOADS = (
    (Scenario(Format.CSV, 10), 4_000),
    (Scenario(Format.CSV, 1_000), 1_200),
    (Scenario(Format.CSV, 10_000), 120),
    (Scenario(Format.PDF, 1_000), 480),
)
_NODES = (1, 2)
_ROUNDS = 2
_PARTITIONS = 12
_IDLE_SECONDS = 2.0
_SYNCS = 600
_WRITERS = (1, 5, 20)
_PATH = RESULTS / "scale_out.json"


async def _measure(place: Path, chosen: Sequence[str]) -> list[LoadCosts]:
    with EmbeddedKafka(place / "kafka") as kafka:
        runs = []
        for scenario, exports in LOADS:
            for number in range(_ROUNDS * len(_NODES) if scenario.name in chosen else 0):
                nodes = _NODES[number % len(_NODES)]
                name = f"{scenario.name}-{number}"
                print(f"{name}: {nodes} nodes …", flush=True)
                runs.append(await _run(kafka, place / name, scenario, exports, nodes))
        return runs


async def _run(
    kafka: EmbeddedKafka, place: Path, scenario: Scenario, exports: int, count: int
) -> LoadCosts:
    place.mkdir()
    servers, topics = kafka.bootstrap_servers, Topics.named(place.name)
    await create_topics(topics, _PARTITIONS, 1, bootstrap_servers=servers)
    async with (
        staged_exports(servers, topics, scenario, exports=exports, partitions=_PARTITIONS) as load,
        CompletionFeed(topics, bootstrap_servers=servers) as feed,
        _running(servers, topics, place, count) as nodes,
    ):
        idle = await _idle_cores(nodes)
        before, kafka_before = await _spent(nodes), cpu_seconds(kafka.pid or 0)
        await load.commit_transaction()
        per_second, file_bytes = await _followed(feed, exports)
        kafka_used = cpu_seconds(kafka.pid or 0) - kafka_before
        used = [now - then for now, then in zip(await _spent(nodes), before, strict=True)]
        followed = await _follow_cpu_seconds(servers, topics)
    stored = stored_bytes(place.parent / "kafka", topics)
    return LoadCosts(
        scenario=scenario.name,
        nodes=count,
        exports_per_second=per_second,
        node_cpu_seconds=used[0] / exports,
        node_system_seconds=used[1] / exports,
        kafka_cpu_seconds=kafka_used / exports,
        turns=used[2] / exports,
        transactions=used[3] / exports,
        kafka_bytes=stored / exports,
        file_bytes=file_bytes / exports,
        follow_cpu_seconds=followed / exports,
        idle_cores=idle,
    )


@asynccontextmanager
async def _running(
    servers: str, topics: Topics, place: Path, count: int
) -> AsyncIterator[list[NodeProcess]]:
    """Nodes that are ready and have shared the partitions evenly."""
    environment = settings_for(servers, topics, place / "exports", LOG_LEVEL="info")
    nodes = [NodeProcess(environment, place / f"node{number}.log") for number in range(count)]
    async with AsyncExitStack() as running, httpx.AsyncClient(trust_env=False) as client:
        for node in nodes:
            await running.enter_async_context(node)
        async with asyncio.timeout(60):
            for node in nodes:
                while await _assigned(client, node) != _PARTITIONS // count:
                    await asyncio.sleep(0.1)
        yield nodes


async def _assigned(client: httpx.AsyncClient, node: NodeProcess) -> int:
    status = (await client.get(f"{node.url}/export/status")).raise_for_status().json()
    return len(status["assigned_partitions"])


async def _idle_cores(nodes: Sequence[NodeProcess]) -> float:
    before = sum(cpu_seconds(node.pid) for node in nodes)
    await asyncio.sleep(_IDLE_SECONDS)
    used = sum(cpu_seconds(node.pid) for node in nodes) - before
    return used / _IDLE_SECONDS / len(nodes)


async def _spent(nodes: Sequence[NodeProcess]) -> tuple[float, float, float, float]:
    """CPU seconds, those of the kernel, turns and transactions so far, of all nodes."""
    cpu = sum(cpu_seconds(node.pid) for node in nodes)
    system = sum(system_seconds(node.pid) for node in nodes)
    turns = transactions = 0.0
    async with httpx.AsyncClient(trust_env=False) as client:
        for node in nodes:
            answer = (await client.get(f"{node.url}/metrics")).raise_for_status()
            scrape = read_scrape(answer.text)
            turns += sum(scrape.of("sluice_turn_seconds_count"))
            transactions += sum(scrape.of("sluice_transaction_seconds_count"))
    return cpu, system, turns, transactions


async def _followed(feed: CompletionFeed, exports: int) -> tuple[float, int]:
    """Until all have completed: exports a second of the middle half, and bytes of the files."""
    size, at = 0, []
    for _ in range(exports):
        event = (await anext(feed)).event()
        assert isinstance(event, ExportCompleted), event
        size += event.bytes
        at.append(time.perf_counter())
    quarter, half = exports // 4, exports // 2
    return half / (at[quarter + half - 1] - at[quarter - 1]), size


async def _follow_cpu_seconds(servers: str, topics: Topics) -> float:
    """Of this process, to read the backlog from the topic's beginning to its end."""
    options = {"bootstrap_servers": servers}
    # A group without commits: so every request is taken in, as if it had just come.
    async with Cluster(topics, f"{topics.requests}-followers", options) as cluster:
        begun = time.process_time()
        async with Backlog(cluster, options) as backlog:
            await backlog.count(fresh=True)
        return time.process_time() - begun


def syncs_per_second(place: Path, writers: int) -> float:
    """Small files made durable in a second by so many threads, each one after the other."""
    with ThreadPoolExecutor(writers) as threads:
        begun = time.perf_counter()
        list(threads.map(lambda number: _sync(place / f"{writers}-{number}"), range(_SYNCS)))
        return _SYNCS / (time.perf_counter() - begun)


def _sync(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"x" * 1024)
        file.flush()
        os.fsync(file.fileno())


def main(chosen: list[str]) -> int:
    """Measure, print, write; 2 for a load that is none."""
    names = [scenario.name for scenario, _ in LOADS]
    if unknown := set(chosen) - set(names):
        print(f"scale_out: {', '.join(sorted(unknown))}: not one of {', '.join(names)}")
        return 2
    quiet_libraries()  # a new topic has no leader for a moment
    with tempfile.TemporaryDirectory(prefix="sluice-scale-") as directory:
        syncs = {str(one): syncs_per_second(Path(directory), one) for one in _WRITERS}
        runs = asyncio.run(_measure(Path(directory), chosen or names))
    runs += [run for run in _kept() if run.scenario not in (chosen or names)]
    _write(runs, syncs)
    return 0


def _kept() -> list[LoadCosts]:
    """The runs of the last time."""
    if not _PATH.exists():
        return []
    return [LoadCosts(**run) for run in json.loads(_PATH.read_text("utf-8"))["runs"]]


def _write(runs: Sequence[LoadCosts], syncs: dict[str, float]) -> None:
    _PATH.parent.mkdir(exist_ok=True)
    result = {"syncs_per_second": syncs, "runs": [asdict(run) for run in runs]}
    _PATH.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    there = [load for load in LOADS if any(run.scenario == load[0].name for run in runs)]
    reports = {
        "scale_out": f"{export_table(runs, there, _NODES)}\n\n{other_lines(runs, syncs)}",
        "million_rows": million_rows_table(runs, there),
    }
    for name, shown in reports.items():
        print(f"\n{shown}")
        PAGE.write_text(with_figures(PAGE.read_text("utf-8"), name, shown), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
