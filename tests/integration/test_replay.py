"""``sluice replay`` on a real Kafka: as a process, against a node of its own process."""

import asyncio
import json
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.completions import ExportCompleted
from schemas.records import decode_batch
from schemas.times import format_time, from_millis
from schemas.topics import Topics
from tests.support.nodes import NodeProcess
from tests.support.outcomes import by_id, committed, events
from tests.support.pdf import pages_of
from tests.support.shell import Shell
from tests.support.topics import PARTITIONS
from tests.support.upstream import Upstream, rows_of

pytestmark = pytest.mark.kafka

ALWAYS = "2020-01-01T00:00:00Z"
EXACT = (
    b'{"seq":0, "rows":[[18446744073709551616, 12.50], [-0.0, 1E2]],"last":true,"export_id":"x"}'
)


def now() -> str:
    return format_time(from_millis(time.time_ns() // 1_000_000))


def original_of(export_id: str) -> str:
    """``x`` of ``x-replay-019a…-7-0``."""
    return export_id.partition("-replay-")[0]


def summary(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert (done.returncode, done.stderr) == (code, ""), done
    return json.loads(done.stdout)


async def record(upstream: Upstream) -> list[str]:
    """Twenty exports, one by one and interleaved, as CSV and as PDF; their ids."""
    ids = [f"{form}-{number}" for number in range(10) for form in ("csv", "pdf")]
    for one in ids[:8]:
        await upstream.request(one, format=one[:3], title="t")
        for seq in range(3):
            await upstream.batch(one, seq, rows_of(10 * seq, 10), last=seq == 2)
        await asyncio.sleep(0.02)
    for one in ids[8:]:
        await upstream.request(one, format=one[:3], title="t")
    for seq in range(5):
        for one in ids[8:]:
            await upstream.batch(one, seq, rows_of(100 * seq, 100), last=seq == 4)
        await asyncio.sleep(0.1)
    return ids


def content(path: Path) -> object:
    """A file's bytes; of a PDF its text, but for the date."""
    if path.suffix == ".csv":
        return path.read_bytes()
    dated = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d( UTC)?")
    return [[dated.sub("", line) for line in page] for page in pages_of(path.read_bytes())]


async def test_a_recorded_load_comes_again_at_ten_times_its_rate(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    shell: Shell,
    node: NodeProcess,
) -> None:
    ids = await record(upstream)
    await events(bootstrap_servers, topics.completions, at_least=20)
    done = shell.run("replay", "--from", ALWAYS, "--speed", "10")
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = dict(re.split("  +", line, maxsplit=1) for line in done.stdout.splitlines())
    assert lines["replayed"] == "20 exports: 20 recorded, once each"
    assert re.fullmatch(r"\d+\.\d\d exports/s", lines["offered"])
    assert re.fullmatch(r"\d+\.\d\d exports/s, 20 completed in \d+\.\d\d s", lines["achieved"])
    for word in ("latency", "lateness"):
        assert re.match(r"p50 \d+ ms, p95 \d+ ms, p99 \d+ ms, max \d+ ms", lines[word])
    assert (lines["failures"], lines["left out"]) == ("0", "0")
    found = by_id(await events(bootstrap_servers, topics.completions, at_least=40))
    again = {original_of(one): one for one in found if "-replay-" in one}
    assert sorted(again) == sorted(ids)
    for one in ids:
        original, copy = (
            Path(found[which].location.removeprefix("file://")) for which in (one, again[one])
        )
        assert content(original) == content(copy)
        assert found[again[one]].source.partition == found[one].source.partition
        assert found[again[one]].requested_at > found[one].requested_at


async def test_copies_at_a_rate_are_spread_and_in_order(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    shell: Shell,
    node: NodeProcess,
) -> None:
    for number in range(4):
        await upstream.request(f"e{number}")
        for seq in range(3):
            await upstream.batch(f"e{number}", seq, rows_of(seq, 1), last=seq == 2)
    arguments = ["replay", "--from", ALWAYS, "--rate", "6", "--copies", "3", "--json"]
    started = time.monotonic()
    figures = summary(shell.run(*arguments))
    assert time.monotonic() - started > 1.5  # 12 exports, three together each half second
    assert (figures["recorded"], figures["sent"], figures["completed"]) == (4, 12, 12)
    assert figures["offered_per_second"] == pytest.approx(6)
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["max"]
    found = by_id(await events(bootstrap_servers, topics.completions, at_least=16))
    originals = Counter(original_of(one) for one in found)
    assert originals == {f"e{number}": 4 for number in range(4)}
    for number in range(4):
        mine = [event for one, event in found.items() if original_of(one) == f"e{number}"]
        assert len({event.source.partition for event in mine}) == 3  # two share the original's
        assert len({event.sha256 for event in mine}) == 1
    again = summary(shell.run(*arguments[:3], "--rate", "100", "--json"))
    assert again["sent"] == 16  # what was replayed is part of the recording now


async def test_what_is_not_whole_is_counted_and_never_sent(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    shell: Shell,
    node: NodeProcess,
) -> None:
    await upstream.request("before")
    await asyncio.sleep(0.1)
    since = now()
    await upstream.batch("before", 0, rows_of(0, 1), last=True)
    await upstream.request("x")
    await upstream.send(topics.records, "x", EXACT)
    for one in ("open", "gap", "fault", "unreadable", "headless", "across"):
        await upstream.request(one)
    await upstream.batch("open", 0, rows_of(0, 1))
    await upstream.batch("gap", 0, rows_of(0, 1))
    await upstream.batch("gap", 2, rows_of(0, 1), last=True)
    await upstream.batch("fault", 0, rows_of(0, 1), last="yes")
    await upstream.batch("fault", 0, rows_of(0, 1), last=True)
    await upstream.send(topics.records, "unreadable", b"{")
    await upstream.batch("unreadable", 0, rows_of(0, 1), last=True)
    await upstream.batch("headless", 2**70, rows_of(0, 1), last=True)
    await upstream.batch("orphan", 0, rows_of(0, 1), last=True)
    await upstream.request("wrong", priority=11)
    await upstream.request("x", title="again")
    await upstream.send(topics.requests, "open", {"type": "nonsense", "export_id": "open"})
    await upstream.send(topics.requests, "k", None)
    await upstream.publish({"type": "export.cancel_requested", "export_id": "open"})
    await upstream.batch("across", 0, rows_of(0, 1))
    await asyncio.sleep(0.1)
    until = now()
    await upstream.batch("across", 1, rows_of(1, 1), last=True)
    await upstream.request("after")
    await upstream.batch("after", 0, rows_of(0, 1), last=True)
    figures = summary(shell.run("replay", "--from", since, "--to", until, "--json"))
    assert (figures["sent"], figures["completed"]) == (2, 2)
    assert figures["left_out"] == {
        "incomplete": 5,
        "invalid_requests": 1,
        "repeated_requests": 1,
        "cancellations": 1,
        "unreadable": 3,
    }
    sent = await committed(bootstrap_servers, topics.records)
    again = [record for record in sent if b"-replay-" in record.key]
    assert {original_of(record.key.decode()) for record in again} == {"x", "across"}
    (exact,) = [record for record in again if record.key.startswith(b"x")]
    assert exact.value == EXACT.replace(b'"x"', b'"' + exact.key + b'"')
    seqs = [decode_batch(r.value).seq for r in again if r.key.startswith(b"across")]
    assert seqs == [0, 1]


async def test_a_message_that_only_compressed_fits_the_topic_comes_again(
    bootstrap_servers: str, topics: Topics, shell: Shell
) -> None:
    options = {"compression_type": "zstd", "max_request_size": 4_000_000}
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, **options) as producer:
        large = Upstream(producer, topics)
        await large.request("large")
        await large.batch("large", 0, [[1, "x" * 3_000_000]], last=True)
    figures = summary(shell.run("replay", "--from", ALWAYS, "--timeout", "0.1", "--json"), code=1)
    assert (figures["sent"], figures["unfinished"]) == (1, 1)
    _, again = await committed(bootstrap_servers, topics.records, at_least=2)
    assert len(again.value) > 3_000_000


async def test_failures_are_counted_by_reason(upstream: Upstream, shell: Shell) -> None:
    environment = shell.environment | {"SLUICE_MAX_EXPORT_BYTES": "1000"}
    for one, count in (("small", 1), ("large", 500)):
        await upstream.request(one)
        await upstream.batch(one, 0, rows_of(0, count), last=True)
    await upstream.request("rows")
    await upstream.batch("rows", 0, [[1]], last=True)
    async with NodeProcess(environment, shell.directory / "node.log"):
        done = shell.run("replay", "--from", ALWAYS)
    assert (done.returncode, done.stderr) == (1, "")
    (failures,) = [line for line in done.stdout.splitlines() if line.startswith("failures")]
    assert failures == "failures  2: 1 invalid_batch, 1 too_large"


async def test_without_a_node_all_is_unfinished_in_time(upstream: Upstream, shell: Shell) -> None:
    await upstream.request("a")
    await upstream.batch("a", 0, rows_of(0, 1), last=True)
    figures = summary(shell.run("replay", "--from", ALWAYS, "--timeout", "0.5", "--json"), code=1)
    assert (figures["unfinished"], figures["completed"]) == (1, 0)
    assert (figures["latency_ms"], figures["offered_per_second"]) == (None, None)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_interrupted_it_cancels_what_is_half_published(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    shell: Shell,
    number: signal.Signals,
    code: int,
) -> None:
    await upstream.request("half")
    await upstream.batch("half", 0, rows_of(0, 1))
    await asyncio.sleep(0.1)
    await upstream.request("later")
    await asyncio.sleep(0.1)
    await upstream.batch("half", 1, rows_of(0, 1), last=True)
    await upstream.batch("later", 0, rows_of(0, 1), last=True)
    with shell.start("replay", "--from", ALWAYS, "--rate", "0.001") as process:
        try:
            await committed(bootstrap_servers, topics.records, at_least=4)
            process.send_signal(number)
            assert process.wait(20) == code
        finally:
            process.kill()
        assert process.stdout
        assert process.stderr
        assert (process.stdout.read(), process.stderr.read()) == (b"", b"")
    requests = await committed(bootstrap_servers, topics.requests)
    cancelled = [record for record in requests if b"cancel_requested" in record.value]
    assert len(cancelled) == PARTITIONS
    assert {original_of(record.key.decode()) for record in cancelled} == {"half"}


async def test_what_cannot_be_replayed_is_one_line(no_topics: Shell, shell: Shell) -> None:
    prefix = no_topics.environment["SLUICE_TOPIC_PREFIX"]
    assert no_topics.fails("replay", "--from", ALWAYS).startswith(f"no such topic: {prefix}.")
    line = no_topics.fails("replay", "--from", ALWAYS, SLUICE_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert line.startswith("Kafka at 127.0.0.1:9 can't be used: ")
    for since in (ALWAYS, "2999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"):
        assert shell.fails("replay", "--from", since) == "no whole export to replay; left out: 0"


@pytest.mark.long
async def test_memory_does_not_grow_with_the_recording(
    bootstrap_servers: str, topics: Topics, shell: Shell, node: NodeProcess
) -> None:
    peaks = []
    for records in ("50000", "450000"):
        since = now()
        seeded = shell.run("seed", "--records", records, "--format", "csv", "--wait")
        assert seeded.returncode == 0
        peaks.append(shell.peak_kib("replay", "--from", since, "--speed", "1000"))
        found = await events(bootstrap_servers, topics.completions)
        assert all(isinstance(event, ExportCompleted) for event in found)
    assert peaks[1] - peaks[0] < 24 * 1024, peaks
