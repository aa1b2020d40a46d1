"""Messages that are small and cost much, on a real node: they end typed, and nothing else notices.

What a node's memory and its ``/health`` do meanwhile is measured from outside.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from bench.processes import peak_bytes
from schemas.completions import ExportCompleted, ExportFailed, TerminalEvent
from schemas.topics import Topics
from tests.hostile.bounds import HEALTH_SECONDS, PEAK_BYTES
from tests.hostile.probe import read_looks
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, events

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MIB = 1024 * 1024
MARKS = "\u0301" * 240_000 + "\u0323" * 240_000
WIDE = [f"c{number}" for number in range(256)]


@dataclass
class Costly:
    """An export, and how it is to end: its reason, or None where it completes."""

    request: dict[str, Any]
    rows: bytes
    reason: str | None
    words: str = ""


def of(*rows: Any) -> bytes:
    return json.dumps([*rows], separators=(",", ":"), ensure_ascii=False).encode()


def many(row: str, count: int) -> bytes:
    return f"[{','.join([row] * count)}]".encode()


COSTLY = {
    "marks in a PDF cell": Costly({"format": "pdf"}, of([MARKS]), None),
    "marks in a title": Costly(
        {"format": "pdf", "title": MARKS}, of([1]), "invalid_request", "1000 characters"
    ),
    "marks in a header": Costly(
        {"format": "pdf", "columns": [{"key": "a", "header": MARKS}]},
        of([1]),
        "invalid_request",
        "1000 characters",
    ),
    "a header of as many marks as may be": Costly(
        {"format": "pdf", "columns": [{"key": "a", "header": MARKS[239_500:240_500]}]},
        of([1]),
        None,
    ),
    "a null of 300 KB": Costly(
        {"options": {"null": "-" * 300_000}},
        many("[null]", 1_000),
        "invalid_request",
        "64 characters",
    ),
    "a null in every cell": Costly(
        {"columns": WIDE, "options": {"null": "\N{GRINNING FACE}" * 64}},
        many("{}", 3_000),
        "too_large",
        "16,777,216 bytes",
    ),
    "rows of nothing": Costly({"columns": WIDE}, many("{}", 330_000), "invalid_batch", "1,000,000"),
    "millions of rows of nothing": Costly({}, many("{}", 5_500_000), "invalid_batch", "1,000,000"),
    "a page a row": Costly(
        {"format": "pdf", "options": {"records_per_page": 1}}, many("[1]", 25_600), None
    ),
    "a million nested values": Costly({}, of(*[[[[]] * 99_990]] * 10), None),
    "a row of a million values": Costly(
        {}, of([[{"": []}] * 499_000]), "invalid_batch", "100,000 values"
    ),
    "a cell of 16 MiB": Costly({}, of(["\N{GRINNING FACE}" + "=a," * (5 * MIB)]), None),
    "a PDF cell of 16 MiB": Costly({"format": "pdf"}, of(["漢" * (5 * MIB)]), None),
    "deep nesting": Costly({}, many("[[[[[[[[]]]]]]]]", 900_000), "invalid_batch", "nested deeply"),
}


@asynccontextmanager
async def watched(node: NodeProcess, kind: str, file: Path) -> AsyncIterator[None]:
    """Hold a node to its bounds of memory and of ``/health``, but for its waits for a core."""
    command = [sys.executable, "-m", "tests.hostile.probe", str(node.pid), node.url, str(file)]
    probe = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(30):
            while not read_looks(file):  # what is watched may take less than the probe's start
                await asyncio.sleep(0.02)
        yield
    finally:
        probe.kill()
        await probe.wait()
    looks = read_looks(file)
    longest = max(look.seconds for look in looks)
    own = max(look.own_seconds for look in looks)
    peak = peak_bytes(node.pid)
    print(f"\n{kind}: {peak / MIB:.0f} MiB, /health {longest:.2f} s, of them its own {own:.2f} s")
    assert peak < PEAK_BYTES
    assert own < HEALTH_SECONDS


@pytest.fixture
async def producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """What costs much compresses to little, as Kafka's own bound is on compressed bytes."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        compression_type="gzip",
        max_request_size=64 * MIB,
    )
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
async def node(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> AsyncIterator[NodeProcess]:
    async with node_on(bootstrap_servers, topics, tmp_path, MAX_EXPORT_BYTES=200 * MIB) as node:
        yield node


Publish = Callable[[str, Costly, int], Awaitable[None]]


@pytest.fixture
def publish(producer: AIOKafkaProducer, topics: Topics) -> Publish:
    async def publish(export_id: str, costly: Costly, partition: int) -> None:
        fields = {"type": "export.requested", "export_id": export_id, "format": "csv"}
        sent = {**fields, "columns": ["a"], **costly.request}
        request = json.dumps(sent, ensure_ascii=False).encode()  # else MARKS pass a bound of bytes
        batch = b'{"export_id":"%b","seq":0,"last":true,"rows":%b}'
        await send(topics.requests, export_id, request, partition)
        await send(topics.records, export_id, batch % (export_id.encode(), costly.rows), partition)

    async def send(topic: str, key: str, value: bytes, partition: int) -> None:
        await producer.send_and_wait(topic, value, key=key.encode(), partition=partition)

    return publish


def judge(event: TerminalEvent, costly: Costly) -> None:
    if costly.reason is None:
        assert isinstance(event, ExportCompleted), event
        return
    assert isinstance(event, ExportFailed), event
    assert event.reason == costly.reason, event.message
    assert costly.words in event.message


@pytest.mark.parametrize("kind", COSTLY)
async def test_it_ends_typed_and_disturbs_nothing(
    kind: str,
    bootstrap_servers: str,
    topics: Topics,
    node: NodeProcess,
    publish: Publish,
    tmp_path: Path,
) -> None:
    costly, good = COSTLY[kind], Costly({}, of([1], [2]), None)
    async with watched(node, kind, tmp_path / "looks"):
        await publish("costly", costly, 0)
        await publish("beside", good, 0)
        await publish("elsewhere", good, 1)
        found = by_id(await events(bootstrap_servers, topics.completions, at_least=3, seconds=60))
    judge(found["costly"], costly)
    judge(found["beside"], good)
    judge(found["elsewhere"], good)


@pytest.mark.parametrize("topics", [6], indirect=True)
@pytest.mark.parametrize("kind", ["a million nested values", "a cell of 16 MiB"])
async def test_five_lanes_at_once(
    kind: str,
    bootstrap_servers: str,
    topics: Topics,
    node: NodeProcess,
    publish: Publish,
    tmp_path: Path,
) -> None:
    async with watched(node, f"five of {kind}", tmp_path / "looks"):
        await asyncio.gather(*(publish(f"export-{n}", COSTLY[kind], n) for n in range(5)))
        found = by_id(await events(bootstrap_servers, topics.completions, at_least=5, seconds=90))
    for event in found.values():
        judge(event, COSTLY[kind])
