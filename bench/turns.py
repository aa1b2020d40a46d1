"""How long small exports wait for large ones: in turns, as the node's own log counts them.

Large exports lie in Kafka when the node starts. While it works on them, exports of 1,000 rows are
sent to another partition, one after the other. *Turns waited* are the turns of others that a small
export waited for, over all of its own: those that began meanwhile, and one under way where no slot
was free as its request came, or its batches.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from broker.embedded import EmbeddedKafka
from clients.topics import create_topics
from producer.completions import CompletionFeed
from schemas.topics import Topics
from tests.support.nodes import NodeProcess, settings_for

PARTITIONS = 12
SMALL_PARTITION = PARTITIONS - 1
SMALL_EXPORTS, SMALL_ROWS = 30, 1_000


@dataclass(frozen=True, slots=True)
class SlotCase:
    """Slots, large exports (each in a partition of its own), and whose the small ones are."""

    slots: int
    large_exports: int
    large_rows: int
    same_user: bool


CASES = (
    SlotCase(1, 1, 1_000_000, same_user=True),
    SlotCase(1, 1, 1_000_000, same_user=False),
    SlotCase(1, 11, 300_000, same_user=False),
    SlotCase(5, 11, 400_000, same_user=False),
)


async def measure() -> list[dict[str, Any]]:
    """Run it all; a dict of figures per case."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with EmbeddedKafka(place / "kafka") as kafka:
            servers = kafka.bootstrap_servers
            return [
                await _case(servers, place / f"case{number}", case)
                for number, case in enumerate(CASES)
            ]


async def _case(servers: str, place: Path, case: SlotCase) -> dict[str, Any]:
    place.mkdir()
    topics = Topics.named(place.name)
    await create_topics(topics, PARTITIONS, 1, bootstrap_servers=servers)
    producer = AIOKafkaProducer(bootstrap_servers=servers, compression_type="zstd")
    environment = settings_for(
        servers,
        topics,
        place / "exports",
        MAX_CONCURRENCY=case.slots,
        LOG_LEVEL="debug",
        ENCODERS="python",  # natively the large ones end before a small one has waited
    )
    await producer.start()
    try:
        upstream = _Upstream(producer, topics)
        for number in range(case.large_exports):
            await upstream.publish(f"large-{number}", number, case.large_rows, "alice")
        async with (
            CompletionFeed(topics, bootstrap_servers=servers) as feed,
            NodeProcess(environment, place / "node.log") as node,
        ):
            await _at_work(node, case.large_exports)
            seconds = [
                await upstream.timed(f"small-{number}", "alice" if case.same_user else "bob", feed)
                for number in range(SMALL_EXPORTS)
            ]
            waited = list(_turns_waited(node))
    finally:
        await producer.stop()
    return {
        **asdict(case),
        "small_exports": len(waited),
        "turns_waited": {"median": statistics.median(waited), "most": max(waited)},
        "seconds": {"median": statistics.median(seconds[: len(waited)])},
    }


class _Upstream:
    """Publishes to a partition of choice, as any upstream service may."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics

    async def publish(self, export_id: str, partition: int, rows: int, user: str) -> None:
        fields = {"format": "csv", "columns": ["id", "name", "amount", "note"], "user": user}
        request = {"type": "export.requested", "export_id": export_id, **fields}
        await self._send(self._topics.requests, partition, request)
        for first in range(0, rows, 1_000):
            batch = {
                "export_id": export_id,
                "seq": first // 1_000,
                "rows": [
                    [n, f"customer {n}", f"{n}.50", None] for n in range(first, first + 1_000)
                ],
                "last": first + 1_000 == rows,
            }
            await self._send(self._topics.records, partition, batch)

    async def timed(self, export_id: str, user: str, feed: CompletionFeed) -> float:
        """A small export; seconds from just before its request to its event."""
        begun = time.perf_counter()
        await self.publish(export_id, SMALL_PARTITION, SMALL_ROWS, user)
        while (await anext(feed)).export_id != export_id:
            pass
        return time.perf_counter() - begun

    async def _send(self, topic: str, partition: int, message: dict[str, Any]) -> None:
        key, value = message["export_id"].encode(), json.dumps(message).encode()
        await self._producer.send_and_wait(topic, value, key=key, partition=partition)


async def _at_work(node: NodeProcess, lanes: int) -> None:
    """Wait until each large export has had a turn, and the small ones' partition is taken over."""
    while True:
        lines = node.lines()
        busy = {line["partition"] for line in lines if line["event"] == "turn" and line["user"]}
        ready = [line for line in lines if line["event"] == "partition taken over"]
        if len(busy) == lanes and len(ready) == PARTITIONS:
            return
        await asyncio.sleep(0.05)


def _turns_waited(node: NodeProcess) -> Iterator[int]:
    """Of each small export that ended before the first of the large ones."""
    waited = 0
    for line in node.lines():
        if line.get("partition") == SMALL_PARTITION and line["event"] == "turn":
            waited += line["waited_turns"]
        elif line["event"] == "export.completed":
            if line["export_id"].startswith("large"):
                return
            yield waited
            waited = 0


def report(result: list[dict[str, Any]]) -> str:
    """The figures as a table for people."""
    lines = ["exports of 1,000 rows beside large ones      turns waited (most)   seconds to event"]
    for row in result:
        slots = "1 slot," if row["slots"] == 1 else f"{row['slots']} slots,"
        whose = "one's own" if row["same_user"] else "another's"
        waited = row["turns_waited"]
        lines.append(
            f"  {slots:8} {row['large_exports']:2} of {row['large_rows']:9,} rows, {whose}"
            f"    {waited['median']:4.1f} ({waited['most']})"
            f"              {row['seconds']['median']:.2f}   ({row['small_exports']} exports)"
        )
    return "\n".join(lines)
