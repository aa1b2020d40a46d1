"""Batches that hold far more than they weigh, at a real node: it stays small and quick."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from bench.processes import peak_bytes
from schemas.topics import Topics
from tests.support.batches import CODECS, packed, record, repeated, send_batch
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, committed, events, headers
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MIB = 1024 * 1024
MOST_GROWN_BYTES = 80 * MIB
MOST_PEAK_BYTES = 400 * MIB
MOST_HEALTH_SECONDS = 1.0


@dataclass
class Watched:
    """A node under a hostile load: how slow ``/health`` was at its worst."""

    node: NodeProcess
    slowest_seconds: float = 0.0
    _before_bytes: int = field(default=0)

    async def watch(self) -> None:
        """Ask for its health again and again, until cancelled."""
        self._before_bytes = peak_bytes(self.node.pid)
        async with httpx.AsyncClient(timeout=30) as client:
            while True:
                begun = time.monotonic()
                assert (await client.get(f"{self.node.url}/health")).status_code == 200
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begun)
                await asyncio.sleep(0.02)

    @property
    def grown_bytes(self) -> int:
        """By how much the resident peak has grown since the watch began."""
        return peak_bytes(self.node.pid) - self._before_bytes

    def check(self, most_bytes: int = MOST_GROWN_BYTES) -> None:
        figures = f"+{self.grown_bytes / MIB:.0f} MiB, /health {self.slowest_seconds:.2f} s"
        print(figures)
        assert self.grown_bytes < most_bytes, figures
        assert peak_bytes(self.node.pid) < MOST_PEAK_BYTES, figures
        assert self.slowest_seconds < MOST_HEALTH_SECONDS, figures


@asynccontextmanager
async def watched(servers: str, topics: Topics, directory: Path) -> AsyncIterator[Watched]:
    """A node, whose health is asked for all the time."""
    async with node_on(servers, topics, directory) as node:
        watch = Watched(node)
        watching = asyncio.create_task(watch.watch())
        try:
            yield watch
            assert not watching.done() or watching.result()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching


@pytest.fixture
async def producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, max_request_size=8 * MIB
    ) as producer:
        yield producer


async def open_export(upstream: Upstream, export_id: str) -> None:
    await upstream.request(export_id)
    await upstream.batch(export_id, 0, rows_of(0, 3))


GIANTS = {
    "gzip": 900 * MIB,
    "snappy": 20 * MIB,
    "lz4": 200 * MIB,
    "zstd": 2000 * MIB,
}


@pytest.mark.parametrize("topics", [1], indirect=True)
@pytest.mark.parametrize("codec", GIANTS)
async def test_a_giant_record_fails_its_export_and_nothing_else(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    tmp_path: Path,
    codec: str,
) -> None:
    """In a batch between good ones: of zeros to the records, of JSON to the requests."""
    size = GIANTS[codec]
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
    async with watched(bootstrap_servers, topics, tmp_path) as watch:
        await open_export(upstream, "giant")
        await upstream.request("good")
        await upstream.batch("good", 0, rows_of(0, 1))
        await send_batch(producer, topics.requests, 0, request)
        offset = await send_batch(producer, topics.records, 0, giant)
        found = by_id(await events(bootstrap_servers, topics.completions, at_least=2, seconds=90))
        letters = await committed(bootstrap_servers, topics.dead_letters, at_least=2, seconds=60)
        watch.check()
    assert found["good"].type == "export.completed"
    assert (tmp_path / "exports" / "good.csv").read_bytes() == csv_bytes(rows_of(0, 3))
    failed = found["giant"]
    assert (failed.type, failed.reason, failed.rows) == ("export.failed", "too_large", 3)
    assert "more than 16777216" in failed.message
    ours = sorted(
        (it["sluice_topic"], it["sluice_reason"], it["sluice_truncated"])
        for it in map(headers, letters)
    )
    assert ours == [
        (topics.records, "unreadable", "true"),
        (topics.requests, "unreadable", "true"),
    ]
    by_key = {letter.key: letter for letter in letters}
    assert (by_key[b"giant"].value, headers(by_key[b"giant"])["sluice_offset"]) == (
        b"",
        str(offset + 1),
    )


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_batch_of_thousands_of_legal_records_is_read_piece_by_piece(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    tmp_path: Path,
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
    async with watched(bootstrap_servers, topics, tmp_path) as watch:
        for export_id in ("large", "small", "good"):
            await upstream.request(export_id)
        for batch in batches:
            await send_batch(producer, topics.records, 0, batch)
        await upstream.batch("good", 0, rows_of(0, 3), last=True)
        found = by_id(await events(bootstrap_servers, topics.completions, at_least=3, seconds=120))
        watch.check()
    assert {name: (event.type, event.rows) for name, event in found.items()} == {
        "large": ("export.completed", 600),
        "small": ("export.completed", 50_000),
        "good": ("export.completed", 3),
    }


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_headers_count(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    tmp_path: Path,
) -> None:
    """500 messages of 900 KB in one header; and half a million empty ones, some KB as a batch."""
    loaded = [packed(CODECS["zstd"], [batch_of("x", 0, headers=[(b"h", b"\0" * 900_000)])])] * 500
    flooded = packed(CODECS["zstd"], [batch_of("y", 0, headers=[(b"", b"")] * 500_000)])
    odd = packed(CODECS["zstd"], [batch_of("good", 0, headers=[(b"\xff\xfe", b"x")], last=True)])
    async with watched(bootstrap_servers, topics, tmp_path) as watch:
        await upstream.request("x")
        await upstream.request("y")
        for topic in (topics.requests, topics.records):
            for batch in (*loaded, *[flooded] * 100):
                await send_batch(producer, topic, 0, batch)
        await upstream.request("good")
        await send_batch(producer, topics.records, 0, odd)
        found = await events(bootstrap_servers, topics.completions, at_least=1, seconds=120)
        letters = await committed(bootstrap_servers, topics.dead_letters, at_least=600, seconds=60)
        watch.check()
    assert [(it.export_id, it.type) for it in found] == [("good", "export.completed")]
    assert {headers(it)["sluice_reason"] for it in letters} == {"unknown_type"}
    assert [len(it.headers[0][1]) for it in letters[:3]] == [900_000] * 3
    assert {it.headers[0][0] for it in letters} == {"h", "sluice_reason"}


@pytest.mark.parametrize("topics", [12], indirect=True)
async def test_all_partitions_at_once(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    tmp_path: Path,
) -> None:
    """Giants, legal records of 15 MiB and headers in each partition of both topics."""
    batches = [
        packed(CODECS["zstd"], [record(0, b"giant", repeated(b"\0", 500 * MIB), 500 * MIB)]),
        packed(
            CODECS["gzip"],
            [record(n, b"no id!", repeated(b"[", 15 * MIB), 15 * MIB) for n in range(4)],
        ),
        packed(CODECS["lz4"], [*(record(n, b"no id!", b"{" * MIB) for n in range(100))]),
        packed(CODECS["zstd"], [batch_of("x", 0, headers=[(b"", b"")] * 500_000)]),
    ]
    async with watched(bootstrap_servers, topics, tmp_path) as watch:
        for topic in (topics.requests, topics.records):
            for partition in range(12):
                for batch in batches:
                    await send_batch(producer, topic, partition, batch)
        for number in range(24):
            await upstream.request(f"good-{number}")
            await upstream.batch(f"good-{number}", 0, rows_of(0, 3), last=True)
        found = await events(bootstrap_servers, topics.completions, at_least=24, seconds=180)
        watch.check(300 * MIB)
    assert {(it.type, it.rows) for it in found} == {("export.completed", 3)}


def batch_of(export_id: str, seq: int, **more: Any) -> Iterator[bytes]:
    """A record with a batch of one row, and headers."""
    headers, last = more.get("headers", ()), more.get("last", False)
    batch = {"export_id": export_id, "seq": seq, "rows": [[seq, ""]], "last": last}
    return record(0, export_id.encode(), json.dumps(batch).encode(), headers=headers)
