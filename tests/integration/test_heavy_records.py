"""Batches that hold far more than they weigh, at a real node: it stays small and quick."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from schemas.topics import Topics
from tests.support.batches import CODECS, packed, record, repeated, send_batch
from tests.support.clients import http_client
from tests.support.nodes import MEASURED, NodeProcess, node_on
from tests.support.outcomes import by_id, committed, events, headers
from tests.support.probed import probed
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MIB = 1024 * 1024
MOST_GROWN_BYTES = 80 * MIB
PARTITIONS = 12


@dataclass(frozen=True)
class Trial:
    """Topics that a hostile client sends to, and the node that is watched meanwhile."""

    servers: str
    topics: Topics
    upstream: Upstream
    directory: Path
    _producer: AIOKafkaProducer

    @asynccontextmanager
    async def watched(self, most_grown_bytes: int = MOST_GROWN_BYTES) -> AsyncIterator[NodeProcess]:
        """A node that stays within its bounds for the block."""
        async with (
            node_on(self.servers, self.topics, self.directory, command=MEASURED) as node,
            probed(node) as probe,
        ):
            async with probe.watched() as seen:
                yield node
            seen.check(most_grown_bytes)

    async def send(self, topic: str, *batches: bytes, partition: int = 0) -> list[int]:
        """Send batches that were made here; their first offsets."""
        return [await send_batch(self._producer, topic, partition, batch) for batch in batches]

    async def flood(self, *batches: bytes) -> None:
        """Send batches to all of 12 partitions of both topics."""
        for topic in (self.topics.requests, self.topics.records):
            for partition in range(PARTITIONS):
                await self.send(topic, *batches, partition=partition)

    async def ended(self, at_least: int, seconds: float = 120) -> dict[str, Any]:
        """The terminal events, by export id."""
        found = await events(
            self.servers, self.topics.completions, at_least=at_least, seconds=seconds
        )
        return by_id(found)

    async def buried(self, at_least: int) -> list[ConsumerRecord]:
        """The dead letters."""
        return await committed(
            self.servers, self.topics.dead_letters, at_least=at_least, seconds=60
        )


@pytest.fixture
async def trial(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> AsyncIterator[Trial]:
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, max_request_size=8 * MIB
    ) as producer:
        yield Trial(bootstrap_servers, topics, upstream, tmp_path, producer)


# Each of them passes what a node may grow by; the broker reads them whole, which takes its time.
GIANTS = [
    ("gzip", 200 * MIB),
    ("snappy", 20 * MIB),  # as large as a batch of 1 MB can hold
    ("lz4", 200 * MIB),
    ("zstd", 300 * MIB),
    pytest.param("gzip", 900 * MIB, marks=pytest.mark.long),
    pytest.param("zstd", 2_000 * MIB, marks=pytest.mark.long),
]


@pytest.mark.parametrize("topics", [1], indirect=True)
@pytest.mark.parametrize(("codec", "size"), GIANTS)
async def test_a_giant_record_fails_its_export_and_nothing_else(
    trial: Trial, codec: str, size: int
) -> None:
    """In a batch between good ones: of zeros to the records, of JSON to the requests."""
    last = json.dumps({"export_id": "good", "seq": 2, "rows": rows_of(2, 1), "last": True})
    giant = packed(
        CODECS[codec],
        [
            record(
                0,
                b"good",
                json.dumps({"export_id": "good", "seq": 1, "rows": rows_of(1, 1)}).encode(),
            ),
            record(1, b"giant", repeated(b"\0", size), size),
            record(2, b"good", last.encode()),
        ],
    )
    text = repeated(b'{"a": [], "b": "c"} ', size // 4)
    request = packed(CODECS[codec], [record(0, b"r", text, size // 4)])
    topics, upstream = trial.topics, trial.upstream
    async with trial.watched():
        await upstream.request("giant")
        await upstream.batch("giant", 0, rows_of(0, 3))
        await upstream.request("good")
        await upstream.batch("good", 0, rows_of(0, 1))
        await trial.send(topics.requests, request)
        (offset,) = await trial.send(topics.records, giant)
        found = await trial.ended(3)
        (letter,) = await trial.buried(1)
    assert found["good"].type == "export.completed"
    assert (trial.directory / "exports" / "good.csv").read_bytes() == csv_bytes(rows_of(0, 3))
    failed = found["giant"]
    assert (failed.type, failed.reason, failed.rows) == ("export.failed", "too_large", 3)
    assert "more than 16777216" in failed.message
    unread = found["r"]  # the id in the key; whether the rest is JSON nobody looks
    assert (unread.type, unread.reason) == ("export.failed", "invalid_request")
    ours = headers(letter)
    assert (letter.key, letter.value) == (b"giant", b"")
    assert (ours["sluice_topic"], ours["sluice_reason"]) == (topics.records, "unreadable")
    assert (ours["sluice_truncated"], ours["sluice_offset"]) == ("true", str(offset + 1))


@pytest.mark.long
@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_batch_of_thousands_of_legal_records_is_read_piece_by_piece(
    trial: Trial,
) -> None:
    """600 records of 1 MiB and 50,000 of a few bytes, in one batch each; all of them apply."""

    def large() -> Iterator[Iterator[bytes]]:
        for seq in range(600):
            batch = {"export_id": "large", "seq": seq, "rows": [[seq, ""]], "last": seq == 599}
            yield record(seq, b"large", json.dumps(batch).encode() + b" " * MIB)

    def small() -> Iterator[Iterator[bytes]]:
        for seq in range(50_000):
            batch = {"export_id": "small", "seq": seq, "rows": [[seq, ""]], "last": seq == 49_999}
            yield record(seq, b"small", json.dumps(batch).encode())

    batches = [packed(CODECS["zstd"], list(it)) for it in (large(), small())]
    assert max(map(len, batches)) < MIB
    async with trial.watched():
        for export_id in ("large", "small", "good"):
            await trial.upstream.request(export_id)
        await trial.send(trial.topics.records, *batches)
        await trial.upstream.batch("good", 0, rows_of(0, 3), last=True)
        found = await trial.ended(3)
    assert {name: (event.type, event.rows) for name, event in found.items()} == {
        "large": ("export.completed", 600),
        "small": ("export.completed", 50_000),
        "good": ("export.completed", 3),
    }


@pytest.mark.parametrize(
    ("messages", "floods"), [(150, 30), pytest.param(500, 100, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_headers_count(trial: Trial, messages: int, floods: int) -> None:
    """Messages of 900 KB in one header; and half a million empty ones, some KB as a batch."""
    loaded = [packed(CODECS["zstd"], [batch_of("x", 0, headers=[(b"h", b"\0" * 900_000)])])]
    flooded = packed(CODECS["zstd"], [batch_of("y", 0, headers=[(b"", b"")] * 500_000)])
    odd = packed(CODECS["zstd"], [batch_of("good", 0, headers=[(b"\xff\xfe", b"x")], last=True)])
    topics, upstream = trial.topics, trial.upstream
    async with trial.watched():
        await upstream.request("x")
        await upstream.request("y")
        for topic in (topics.requests, topics.records):
            await trial.send(topic, *loaded * messages, *[flooded] * floods)
        await upstream.request("good")
        await trial.send(topics.records, odd)
        found = await trial.ended(1)
        letters = await trial.buried(messages + floods)
    assert {it: event.type for it, event in found.items()} == {"good": "export.completed"}
    assert {headers(it)["sluice_reason"] for it in letters} == {"unknown_type"}
    assert [len(it.headers[0][1]) for it in letters[:3]] == [900_000] * 3
    assert {it.headers[0][0] for it in letters} == {"h", "sluice_reason"}


@pytest.mark.long
@pytest.mark.parametrize("topics", [PARTITIONS], indirect=True)
async def test_all_partitions_at_once(
    trial: Trial,
) -> None:
    """Giants, legal records of 15 MiB and headers in each partition of both topics."""
    batches = [
        packed(CODECS["zstd"], [record(0, b"giant", repeated(b"\0", 100 * MIB), 100 * MIB)]),
        packed(
            CODECS["gzip"],
            [record(n, b"no id!", repeated(b"[", 15 * MIB), 15 * MIB) for n in range(4)],
        ),
        packed(CODECS["lz4"], [*(record(n, b"no id!", b"{" * MIB) for n in range(100))]),
        packed(CODECS["zstd"], [batch_of("x", 0, headers=[(b"", b"")] * 500_000)]),
    ]
    async with trial.watched(300 * MIB):
        await trial.flood(*batches)
        for number in range(24):
            await trial.upstream.request(f"good-{number}")
            await trial.upstream.batch(f"good-{number}", 0, rows_of(0, 3), last=True)
        found = await trial.ended(24, seconds=180)
    assert {(it.type, it.rows) for it in found.values()} == {("export.completed", 3)}


@pytest.mark.parametrize("rows", [100_000, pytest.param(400_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("topics", [PARTITIONS], indirect=True)
async def test_large_batches_applied_in_part_in_all_partitions_at_once(
    trial: Trial, rows: int
) -> None:
    """Each takes many turns, and there are fewer slots than partitions: so all wait half done."""
    async with trial.watched(300 * MIB):
        for partition in range(PARTITIONS):
            await send_large(trial, partition, b'["0123456789"],' * rows)
        found = await trial.ended(PARTITIONS, seconds=600)
    assert {(it.type, it.rows) for it in found.values()} == {("export.completed", rows)}


@pytest.mark.long
@pytest.mark.parametrize("pairs", [100_000])
@pytest.mark.parametrize("topics", [PARTITIONS], indirect=True)
async def test_large_batches_of_deep_rows_in_all_partitions_at_once(
    trial: Trial, pairs: int
) -> None:
    """Half a kilobyte each on the wire."""
    async with trial.watched(300 * MIB):
        for partition in range(PARTITIONS):
            await send_large(trial, partition, b"[[[[1]]]],[1]," * pairs)
        found = await trial.ended(PARTITIONS, seconds=180)
    assert {(it.type, it.rows) for it in found.values()} == {("export.completed", 2 * pairs)}


@pytest.mark.long
@pytest.mark.parametrize("topics", [2 * PARTITIONS], indirect=True)
async def test_the_texts_of_24_large_batches_are_not_held_at_once(trial: Trial) -> None:
    """A PDF takes long, so all are begun before one has ended."""
    async with trial.watched(300 * MIB) as node, http_client(node.url) as client:
        waiting = {
            await send_large(trial, partition, b'["%b"],' % (b"x" * 90) * 163_000, "pdf")
            for partition in range(2 * PARTITIONS)
        }
        until = time.monotonic() + 120
        while waiting and time.monotonic() < until:
            for export_id in [*waiting]:
                if (await client.get(f"/export/status/{export_id}")).json().get("bytes"):
                    waiting.discard(export_id)
            await asyncio.sleep(0.5)
        assert not waiting


async def send_large(trial: Trial, partition: int, rows: bytes, file_format: str = "csv") -> str:
    """A request, and one batch of these rows and commas; the export's id."""
    export_id = f"half-{partition}"
    fields = {"type": "export.requested", "export_id": export_id, "format": file_format}
    request = {**fields, "columns": ["t"]}
    await trial.upstream.send(trial.topics.requests, export_id, request, partition)
    head = b'{"export_id": "%b", "seq": 0, "last": true, "rows": [' % export_id.encode()
    batch = packed(CODECS["zstd"], [record(0, export_id.encode(), head + rows[:-1] + b"]}")])
    await trial.send(trial.topics.records, batch, partition=partition)
    return export_id


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_large_request_ends_by_its_id(trial: Trial) -> None:
    """Near its beginning or else in its key; one with neither is a dead letter. All of any size."""
    fields = {"type": "export.requested", "format": "csv", "columns": ["a"], "export_id": "large"}
    head = json.dumps({**fields, "title": "x"}).encode()[:-2]
    sizes = {"a": 12 * MIB, "b": 400 * MIB, "c": MIB}
    async with trial.watched():
        for export_id, size in sizes.items():
            begin = head.replace(b"large", export_id.encode())
            value = (it for part in ([begin], repeated(b"x", size), [b'"}']) for it in part)
            large = record(0, b"any key", value, len(begin) + size + 2)
            await trial.send(trial.topics.requests, packed(CODECS["zstd"], [large]))
        late = b'{"title": "%b", "type": "export.requested", "export_id": "late"}' % (b"x" * MIB)
        for key in (b"keyed", b"no id!"):
            await trial.send(trial.topics.requests, packed(CODECS["gzip"], [record(0, key, late)]))
        columns = [f"c{n}" for n in range(12_000)]
        held = json.dumps({**fields, "columns": columns, "export_id": "held"}).encode()
        await trial.send(trial.topics.requests, packed(CODECS["gzip"], [record(0, None, held)]))
        await trial.upstream.request("good")
        await trial.upstream.batch("good", 0, rows_of(0, 1), last=True)
        found = await trial.ended(6)
        (letter,) = await trial.buried(1)
    assert found.pop("good").type == "export.completed"
    assert "more than 10,000 JSON values" in found.pop("held").message
    assert set(found) == {*sizes, "keyed"}
    for export_id, event in found.items():
        assert (event.type, event.reason, event.format) == (
            "export.failed",
            "invalid_request",
            "unknown" if export_id == "keyed" else "csv",
        )
        assert event.message.endswith("bytes, more than 1048576"), export_id
    assert (letter.key, headers(letter)["sluice_reason"]) == (b"no id!", "unreadable")


def batch_of(export_id: str, seq: int, **more: Any) -> Iterator[bytes]:
    """A record with a batch of one row, and headers."""
    headers, last = more.get("headers", ()), more.get("last", False)
    batch = {"export_id": export_id, "seq": seq, "rows": [[seq, ""]], "last": last}
    return record(0, export_id.encode(), json.dumps(batch).encode(), headers=headers)
