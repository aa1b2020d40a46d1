"""Whole exports through real topics, a node of its own process, and readers that aren't ours."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pypdf
import pytest
from aiokafka import AIOKafkaProducer

from schemas.completions import ExportCompleted, ExportFailed
from schemas.topics import Topics
from schemas.vocabulary import FailReason
from tests.support.nodes import node_on
from tests.support.outcomes import by_id, committed, events, headers
from tests.support.topics import PARTITIONS
from tests.support.upstream import Upstream, csv_bytes, file_names, rows_of

pytestmark = pytest.mark.kafka


async def test_a_csv_and_a_pdf_come_out_whole(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    rows = rows_of(0, 2_000)
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        for export_id, file_format in (("c", "csv"), ("p", "pdf")):
            await upstream.request(export_id, format=file_format, title="Sipariş", user="alice")
            for seq in range(2):
                batch = rows[1_000 * seq : 1_000 * (seq + 1)]
                await upstream.batch(export_id, seq, batch, last=seq == 1)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
        assert done["c"].duration_ms < 30_000
        metrics = httpx.get(f"{node.url}/metrics").text
    content = (tmp_path / "exports" / "c.csv").read_bytes()
    assert content == csv_bytes(rows)
    assert (done["c"].bytes, done["c"].rows, done["c"].pages) == (len(content), 2_000, None)
    assert done["c"].sha256 == hashlib.sha256(content).hexdigest()
    assert done["c"].location == (tmp_path / "exports" / "c.csv").as_uri()
    pdf = pypdf.PdfReader(tmp_path / "exports" / "p.pdf")
    assert (len(pdf.pages), done["p"].pages, done["p"].replaced_characters) == (40, 40, 0)
    assert pdf.metadata
    assert pdf.metadata.title == "Sipariş"
    assert "Müşteri «1999», Ω" in pdf.pages[39].extract_text()
    assert file_names(tmp_path) == {"c.csv", "c.manifest.json", "p.pdf", "p.manifest.json"}
    labels = 'format="csv",status="succeeded",user="alice"'
    assert f"export_requests_total{{{labels}}} 1.0" in metrics


async def test_an_event_carries_cloud_event_headers(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path):
        await upstream.request("a")
        await upstream.batch("a", 0, [], last=True, total_rows=0)
        (record,) = await committed(bootstrap_servers, topics.completions, at_least=1)
    attributes = headers(record)
    assert record.key == b"a"
    assert (attributes["ce_type"], attributes["ce_specversion"]) == ("export.completed", "1.0")
    assert attributes["ce_time"].endswith("Z")
    manifest = (tmp_path / "exports" / "a.manifest.json").read_bytes()
    assert json.loads(manifest) == json.loads(record.value)
    assert json.loads(record.value)["source"]["topic"] == topics.requests


async def test_more_exports_than_slots_interleave_in_one_partition(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    ids = [f"export-{number}" for number in range(12)]
    async with node_on(bootstrap_servers, topics, tmp_path):
        for export_id in ids:
            sent = {"type": "export.requested", "export_id": export_id, "format": "csv"}
            await upstream.send(topics.requests, None, {**sent, "columns": ["n"]}, partition=0)
        for seq in range(6):
            for export_id in ids:
                batch: Any = {"export_id": export_id, "seq": seq, "rows": [[seq]], "last": seq == 5}
                await upstream.send(topics.records, None, batch, partition=0)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=12))
    assert set(done) == set(ids)
    assert all(isinstance(event, ExportCompleted) and event.rows == 6 for event in done.values())


async def test_a_killed_node_makes_one_event_and_the_right_bytes(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    rows = rows_of(0, 20_000)
    async with node_on(bootstrap_servers, topics, tmp_path, SESSION_TIMEOUT_SECONDS=2) as node:
        await upstream.request("a", user="alice")
        for seq in range(10):
            await upstream.batch("a", seq, rows[1_000 * seq : 1_000 * (seq + 1)])
        while not any(name.startswith("a.csv.") for name in file_names(tmp_path)):
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.5)  # so that positions were committed in the middle of the export
        node.kill()
        assert file_names(tmp_path), "it was killed with a partial file"
        for seq in range(10, 20):
            batch = rows[1_000 * seq : 1_000 * (seq + 1)]
            await upstream.batch("a", seq, batch, last=seq == 19)
        await node.start()
        await events(bootstrap_servers, topics.completions, at_least=1)
        assert node.terminate() == 0
    (event,) = await events(bootstrap_servers, topics.completions)
    assert (tmp_path / "exports" / "a.csv").read_bytes() == csv_bytes(rows)
    assert event.rows == 20_000
    assert file_names(tmp_path) == {"a.csv", "a.manifest.json"}


async def test_bad_exports_and_poison_disturb_nobody(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path):
        await upstream.request("good")
        await upstream.batch("good", 0, rows_of(0, 1))
        await upstream.request("gap")
        await upstream.batch("gap", 0, rows_of(0, 1))
        await upstream.batch("gap", 2, rows_of(2, 1))
        await upstream.batch("gap", 3, rows_of(2, 1), last=True)
        await upstream.request("wrong", format="docx", columns=[])
        await upstream.request("short")
        await upstream.batch("short", 0, [[1]], last=True)
        await upstream.request("unreadable")
        await upstream.send(topics.records, "unreadable", b"{")
        await upstream.batch("orphan", 0, [], last=True)
        await upstream.send(topics.requests, "x", {"type": "export.requested", "export_id": "../x"})
        await upstream.send(topics.requests, "x", {"type": "export.paused", "export_id": "x"})
        await upstream.send(topics.records, "x", None)
        await upstream.batch("good", 1, rows_of(1, 1), last=True)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=5))
        letters = await committed(bootstrap_servers, topics.dead_letters, at_least=5)
    assert isinstance(done["good"], ExportCompleted)
    reasons = {name: event.reason for name, event in done.items() if name != "good"}
    assert reasons == {
        "gap": FailReason.SEQUENCE_GAP,
        "wrong": FailReason.INVALID_REQUEST,
        "short": FailReason.INVALID_BATCH,
        "unreadable": FailReason.INVALID_BATCH,
    }
    assert "format" in done["wrong"].message
    assert "columns" in done["wrong"].message
    assert sorted(headers(letter)["sluice_reason"] for letter in letters) == [
        "invalid_id",
        "null_value",
        "orphan_batch",
        "unknown_type",
        "unreadable",
    ]
    unreadable = next(it for it in letters if headers(it)["sluice_reason"] == "unreadable")
    assert (unreadable.key, unreadable.value) == (b"unreadable", b"{")
    assert headers(unreadable)["sluice_topic"] == topics.records
    assert file_names(tmp_path) == {"good.csv"} | {f"{name}.manifest.json" for name in done}


async def test_a_record_of_nothing_disturbs_nobody(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    """No key, no value: brokers accept it, and aiokafka asserts that nobody sends it."""
    async with (
        node_on(bootstrap_servers, topics, tmp_path),
        AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, value_serializer=lambda _: None
        ) as nothing,
    ):
        await upstream.request("a")
        for topic in (topics.requests, topics.records):
            for partition in range(await partition_count(nothing, topic)):
                await nothing.send_and_wait(topic, "nothing", partition=partition)
        await upstream.batch("a", 0, rows_of(0, 1), last=True)
        await events(bootstrap_servers, topics.completions, at_least=1)
        letters = await committed(bootstrap_servers, topics.dead_letters, at_least=2)
    assert {(letter.key, letter.value) for letter in letters} == {(None, None)}
    assert {headers(letter)["sluice_reason"] for letter in letters} == {"null_value"}


async def partition_count(producer: AIOKafkaProducer, topic: str) -> int:
    return len(await producer.partitions_for(topic))


async def test_a_header_name_that_is_no_text_disturbs_nobody(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    """aiokafka can't read such a record; brokers accept it."""
    async with node_on(bootstrap_servers, topics, tmp_path):
        await upstream.request("a")
        await upstream.batch("a", 0, rows_of(0, 1))
        for key, value in (("a", "{bad"), ("b", "[]")):
            sender = [sys.executable, "-m", "tests.support.odd_headers", bootstrap_servers]
            subprocess.run(
                [*sender, topics.records, key, value],
                env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
                check=True,
            )
        await upstream.request("c")
        await upstream.batch("c", 0, rows_of(0, 1), last=True)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
        letters = await committed(bootstrap_servers, topics.dead_letters, at_least=2)
    assert isinstance(done["c"], ExportCompleted)
    assert done["a"].reason is FailReason.INVALID_BATCH
    assert sorted(letter.value for letter in letters) == [b"[]", b"{bad"]


async def test_cancelled_and_idle_exports_end(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, IDLE_TIMEOUT_SECONDS=1):
        await upstream.request("idle")
        await upstream.batch("idle", 0, rows_of(0, 3))
        await upstream.request("unwanted")
        sent = {"type": "export.cancel_requested", "export_id": "unwanted"}
        for partition in range(PARTITIONS):
            await upstream.send(topics.requests, "unwanted", sent, partition=partition)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
    assert isinstance(done["idle"], ExportFailed)
    assert (done["idle"].reason, done["idle"].rows) == (FailReason.TIMED_OUT, 3)
    assert done["unwanted"].type == "export.cancelled"
    assert file_names(tmp_path) == {"idle.manifest.json", "unwanted.manifest.json"}


async def test_a_transactional_upstream_whose_request_becomes_visible_late(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    """The batches are visible while an open transaction still holds the request back."""
    holder = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, transactional_id=f"hold-{topics.requests}"
    )
    await holder.start()
    async with node_on(bootstrap_servers, topics, tmp_path):
        await holder.begin_transaction()
        ping = {"type": "export.cancel_requested", "export_id": "nobody"}
        await holder.send_and_wait(topics.requests, json.dumps(ping).encode(), key=b"late")
        await upstream.request("late")
        await upstream.batch("late", 0, rows_of(0, 5), last=True)
        await asyncio.sleep(1)
        assert await events(bootstrap_servers, topics.completions) == []
        await holder.commit_transaction()
        (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
        await holder.stop()
    assert (event.type, event.rows) == ("export.completed", 5)
    assert await committed(bootstrap_servers, topics.dead_letters) == []


async def test_sigterm_parks_an_open_export_and_the_next_node_ends_it(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        await upstream.request("a")
        await upstream.batch("a", 0, rows_of(0, 1_000))
        while not file_names(tmp_path):
            await asyncio.sleep(0.02)
        begun = asyncio.get_running_loop().time()
        assert node.terminate() == 0
        assert asyncio.get_running_loop().time() - begun < 10
        assert file_names(tmp_path) == set(), "a parked export leaves no partial file"
        await upstream.batch("a", 1, rows_of(1_000, 1), last=True)
        await node.start()
        (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
    assert event.rows == 1_001
    assert (tmp_path / "exports" / "a.csv").read_bytes() == csv_bytes(rows_of(0, 1_001))
