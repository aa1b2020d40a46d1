"""Messages that are small and cost much, on a real node: they end typed, and nothing else notices.

What a node's memory and its ``/health`` do meanwhile is measured from outside.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.completions import ExportCompleted, ExportFailed, TerminalEvent
from schemas.topics import Topics
from tests.support.nodes import MEASURED, node_on
from tests.support.outcomes import by_id, events
from tests.support.probed import Probed, probed
from tests.support.topics import created_topics

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
    "marks in a PDF cell": lambda: Costly({"format": "pdf"}, of([MARKS]), None),
    "marks in a title": lambda: Costly(
        {"format": "pdf", "title": MARKS}, of([1]), "invalid_request", "1000 characters"
    ),
    "marks in a header": lambda: Costly(
        {"format": "pdf", "columns": [{"key": "a", "header": MARKS}]},
        of([1]),
        "invalid_request",
        "1000 characters",
    ),
    "a header of as many marks as may be": lambda: Costly(
        {"format": "pdf", "columns": [{"key": "a", "header": MARKS[239_500:240_500]}]},
        of([1]),
        None,
    ),
    "a null of 300 KB": lambda: Costly(
        {"options": {"null": "-" * 300_000}},
        many("[null]", 1_000),
        "invalid_request",
        "64 characters",
    ),
    "a null in every cell": lambda: Costly(
        {"columns": WIDE, "options": {"null": "\N{GRINNING FACE}" * 64}},
        many("{}", 3_000),
        "too_large",
        "16,777,216 bytes",
    ),
    "rows of nothing": lambda: Costly(
        {"columns": WIDE}, many("{}", 330_000), "invalid_batch", "1,000,000"
    ),
    "millions of rows of nothing": lambda: Costly(
        {}, many("{}", 5_500_000), "invalid_batch", "1,000,000"
    ),
    "a page a row": lambda: Costly(
        {"format": "pdf", "options": {"records_per_page": 1}}, many("[1]", 25_600), None
    ),
    "a million nested values": lambda: Costly({}, of(*[[[[]] * 99_990]] * 10), None),
    "a row of a million values": lambda: Costly(
        {}, of([[{"": []}] * 499_000]), "invalid_batch", "100,000 values"
    ),
    "a cell of 16 MiB": lambda: Costly({}, of(["\N{GRINNING FACE}" + "=a," * (5 * MIB)]), None),
    "a PDF cell of 16 MiB": lambda: Costly({"format": "pdf"}, of(["漢" * (5 * MIB)]), None),
    "an XML cell of 15 MiB of markup": lambda: Costly(
        {"format": "xml", "options": {"compression": "gzip"}},
        of(["&" * (15 * MIB)]),
        "too_large",
        "16,777,216 bytes",
    ),
    "deep nesting": lambda: Costly(
        {}, many("[[[[[[[[]]]]]]]]", 900_000), "invalid_batch", "nested deeply"
    ),
}
LONG = {"deep nesting", "a page a row"}
"""Those that take the most CPU, in `make test-long`."""


@dataclass
class Trial:
    """A node that all tests of this file send to, one after the other."""

    servers: str
    topics: Topics
    probe: Probed
    producer: AIOKafkaProducer

    async def publish(self, export_id: str, costly: Costly, partition: int) -> None:
        fields = {"type": "export.requested", "export_id": export_id, "format": "csv"}
        sent = {**fields, "columns": ["a"], **costly.request}
        request = json.dumps(sent, ensure_ascii=False).encode()  # else MARKS pass a bound of bytes
        batch = b'{"export_id":"%b","seq":0,"last":true,"rows":%b}'
        batch %= (export_id.encode(), costly.rows)
        for topic, value in ((self.topics.requests, request), (self.topics.records, batch)):
            key = export_id.encode()
            await self.producer.send_and_wait(topic, value, key=key, partition=partition)

    async def end(self, *lanes: dict[str, Costly]) -> dict[str, TerminalEvent]:
        """How exports end, which are sent to a partition each; within the bounds of the node."""
        ended_before = len(await events(self.servers, self.topics.completions))
        async with self.probe.watched() as seen:
            await asyncio.gather(*(self._publish_all(*lane) for lane in enumerate(lanes)))
            count = ended_before + sum(map(len, lanes))
            found = await events(self.servers, self.topics.completions, at_least=count, seconds=90)
        seen.check()
        return by_id(found)

    async def _publish_all(self, partition: int, exports: dict[str, Costly]) -> None:
        for export_id, costly in exports.items():
            await self.publish(export_id, costly, partition)


@pytest.fixture(scope="module")
async def trial(
    bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Trial]:
    directory = tmp_path_factory.mktemp("costly")
    async with (
        created_topics(bootstrap_servers, 6) as topics,
        node_on(
            bootstrap_servers, topics, directory, command=MEASURED, MAX_EXPORT_BYTES=200 * MIB
        ) as node,
        probed(node) as probe,
        # What costs much compresses to little, as Kafka's own bound is on compressed bytes.
        AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers,
            compression_type="gzip",
            max_request_size=64 * MIB,
        ) as producer,
    ):
        yield Trial(bootstrap_servers, topics, probe, producer)


def judge(event: TerminalEvent, costly: Costly) -> None:
    if costly.reason is None:
        assert isinstance(event, ExportCompleted), event
        return
    assert isinstance(event, ExportFailed), event
    assert event.reason == costly.reason, event.message
    assert costly.words in event.message


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.long] * (kind in LONG)) for kind in COSTLY]
)
async def test_it_ends_typed_and_disturbs_nothing(kind: str, trial: Trial) -> None:
    costly, good = COSTLY[kind](), Costly({}, of([1], [2]), None)
    number = list(COSTLY).index(kind)
    lane = {f"costly-{number}": costly, f"beside-{number}": good}
    elsewhere = {f"elsewhere-{number}": good}
    found = await trial.end(lane, elsewhere)
    for export_id, sent in (lane | elsewhere).items():
        judge(found[export_id], sent)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["a million nested values", "a cell of 16 MiB"])
async def test_five_lanes_at_once(kind: str, trial: Trial) -> None:
    costly, number = COSTLY[kind](), list(COSTLY).index(kind)
    lanes = [{f"lane-{number}-{n}": costly} for n in range(5)]
    found = await trial.end(*lanes)
    for export_id in [name for lane in lanes for name in lane]:
        judge(found[export_id], costly)
