"""Packed batches through a takeover, a transaction that is aborted, and the commands."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import Topics
from tests.support.batches import CODECS, packed, record, repeated, send_batch
from tests.support.nodes import SLUICE, node_on
from tests.support.outcomes import events
from tests.support.shell import Shell
from tests.support.upstream import Upstream, csv_bytes, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MIB = 1024 * 1024
BATCHES = 400
# Runs a command, and says by how many MiB its peak passes that of one that does nothing.
MEASURED = """
import resource, subprocess, sys
subprocess.run([sys.argv[1], "seed", "--help"], check=True, capture_output=True)
before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
done = subprocess.run(sys.argv[1:], capture_output=True)
print(done.stdout.decode(), done.stderr.decode())
print((resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - before) // 1024)
"""


@pytest.fixture
async def producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        yield producer


def records() -> Iterator[Iterator[bytes]]:
    """Some of 1 MiB and more, some of a few bytes, all of one export."""
    for seq in range(BATCHES):
        rows, last = rows_of(seq, 1), seq == BATCHES - 1
        batch = {"export_id": "a", "seq": seq, "rows": rows, "last": last}
        padding = b" " * (MIB if seq % 3 else 10)
        yield record(seq, b"a", json.dumps(batch).encode() + padding)


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_batch_is_gone_on_with_after_a_kill_and_over_a_rebalance(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    tmp_path: Path,
) -> None:
    await upstream.request("a")
    await send_batch(producer, topics.records, 0, packed(CODECS["gzip"], list(records())))
    settings: dict[str, Any] = {"SESSION_TIMEOUT_SECONDS": 2}
    async with node_on(bootstrap_servers, topics, tmp_path, "first.log", **settings) as first:
        await asyncio.sleep(0.5)
        first.kill()
    async with node_on(bootstrap_servers, topics, tmp_path, "second.log", **settings) as second:
        await asyncio.sleep(0.5)
        async with node_on(bootstrap_servers, topics, tmp_path, "third.log", **settings):
            (event,) = await events(bootstrap_servers, topics.completions, at_least=1, seconds=120)
        assert second.terminate() == 0
    assert (event.type, event.rows) == ("export.completed", BATCHES)
    assert (tmp_path / "exports" / "a.csv").read_bytes() == csv_bytes(rows_of(0, BATCHES))


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_what_a_transaction_aborts_is_not_unpacked(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with (
        node_on(bootstrap_servers, topics, tmp_path),
        AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers,
            transactional_id=topics.records,
            compression_type="zstd",
            max_request_size=8 * MIB,
        ) as producer,
    ):
        await upstream.request("a")
        for number, commits in enumerate([False, True]):
            batch = {"export_id": "a", "seq": 0, "rows": rows_of(number, 1), "last": True}
            await producer.begin_transaction()
            value = json.dumps(batch).encode() + b" " * 3 * MIB
            await producer.send_and_wait(topics.records, value, key=b"a")
            await (producer.commit_transaction() if commits else producer.abort_transaction())
        (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
    assert event.rows == 1
    assert (tmp_path / "exports" / "a.csv").read_bytes() == csv_bytes(rows_of(1, 1))


@pytest.mark.parametrize("command", ["list", "requeue", "replay"])
async def test_commands_read_past_a_giant(
    topics: Topics,
    upstream: Upstream,
    producer: AIOKafkaProducer,
    shell: Shell,
    command: str,
) -> None:
    # Not larger: to find an offset by its time, a broker decompresses the message whole.
    giant = packed(CODECS["zstd"], [record(0, b"giant", repeated(b"\0", 100 * MIB), 100 * MIB)])
    for topic in (topics.requests, topics.records, topics.dead_letters):
        await send_batch(producer, topic, 0, giant)
    await upstream.request("a")
    await upstream.batch("a", 0, rows_of(0, 1), last=True)
    arguments, words = {
        "list": (("dead-letters", "list"), "giant"),
        "requeue": (("dead-letters", "requeue", "--all"), "headers"),
        "replay": (("replay", "--from", "2020-01-01T00:00:00Z", "--timeout", "1"), "2 unreadable"),
    }[command]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(SLUICE), *arguments],
        env=shell.environment,
        cwd=shell.directory,
        check=True,
        capture_output=True,
        text=True,
    )
    *printed, grown_mib = done.stdout.splitlines()
    assert words in "\n".join(printed), printed
    assert int(grown_mib) < 60
