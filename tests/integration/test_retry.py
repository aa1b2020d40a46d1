"""Failed exports run again, on a real Kafka: ``sluice retry`` against a node of its own process."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from consumer.backlog.backlog import Backlog
from consumer.core.backlog import UnfinishedRequest
from producer.retry.ended import Choice
from schemas.topics import Topics
from sluice.commands import retry
from sluice.settings import load_settings
from tests.chaos.disk import Disk, small_disk
from tests.support import breaking_writer
from tests.support.clients import http_client
from tests.support.hasty_node import hasty
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, committed, events
from tests.support.shell import Shell
from tests.support.upstream import Upstream, csv_bytes, file_names, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.parametrize("topics", [1], indirect=True)]


FORMS: dict[str, dict[str, Any]] = {
    "csv": {"user": "alice", "priority": 7},
    "pdf": {},
    "xlsx": {"title": "Orders"},
}


@contextmanager
def full(disk: Disk) -> Iterator[None]:
    """The disk has no room in the block."""
    disk.fill()
    yield
    disk.free()


async def ends(servers: str, topics: Topics, count: int, seconds: float = 30) -> dict[str, Any]:
    return by_id(await events(servers, topics.completions, at_least=count, seconds=seconds))


def content(event: Any) -> bytes:
    content = Path(event.location.removeprefix("file://")).read_bytes()
    assert hashlib.sha256(content).hexdigest() == event.sha256
    return content


async def keyed(servers: str, topic: str, key: str) -> int:
    return sum(record.key == key.encode() for record in await committed(servers, topic))


async def cancelled(upstream: Upstream, servers: str, topics: Topics, export_id: str) -> None:
    """An export that was cancelled before its last batch, which is in Kafka all the same."""
    before = len(await committed(servers, topics.completions))
    await upstream.request(export_id)
    await upstream.batch(export_id, 0, rows_of(0, 50))
    await upstream.publish({"type": "export.cancel_requested", "export_id": export_id})
    await ends(servers, topics, before + 1)
    await upstream.batch(export_id, 1, rows_of(50, 50), last=True)


async def test_what_the_storage_refused_runs_again_and_makes_the_same_bytes(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, shell: Shell, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", mib=8) as disk:
        if not disk.limited:
            pytest.skip("needs the right to mount a file system")
        # Its log is on a disk with room.
        command = hasty("consumer.core.storage_retry:LONGEST_BACKOFF_SECONDS=0.5")
        async with node_on(
            bootstrap_servers,
            topics,
            disk.root,
            "../node.log",
            command=command,
            STORAGE_TIMEOUT_SECONDS=1,
        ) as node:
            await _storage_refused(bootstrap_servers, topics, upstream, shell, disk, node)


async def _given_up(node: NodeProcess, exports: int) -> None:
    async with asyncio.timeout(60):
        while len({e["error"] for e in node.lines() if e["event"] == "storage given up"}) < exports:
            await asyncio.sleep(0.1)


async def _storage_refused(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    shell: Shell,
    disk: Disk,
    node: NodeProcess,
) -> None:
    with full(disk):
        for form, fields in FORMS.items():
            await upstream.request(form, format=form, **fields)
            for seq in range(3):
                await upstream.batch(form, seq, rows_of(3_000 * seq, 3_000), last=seq == 2)
        await _given_up(node, len(FORMS))
    # Whether there is room for three manifests before depends on what the parts left.
    failed = await ends(bootstrap_servers, topics, 3)
    assert {failed[form].reason.value for form in FORMS} == {"storage_unavailable"}
    reason = ("retry", "--reason", "storage_unavailable")
    planned = shell.run(*reason, "--dry-run")
    assert (planned.returncode, planned.stderr) == (0, ""), planned
    expected = [f"would retry {one} as {one}-retry-1" for one in FORMS]
    assert sorted(planned.stdout.splitlines()) == expected
    assert await keyed(bootstrap_servers, topics.requests, "csv-retry-1") == 0
    done = shell.run(*reason, "--wait")
    assert (done.returncode, done.stderr) == (0, ""), done
    found = await ends(bootstrap_servers, topics, 6)
    undisturbed = await _undisturbed(bootstrap_servers, topics, shell, disk.root)
    for form in FORMS:
        retried = found[f"{form}-retry-1"]
        assert retried.retry_of == form
        assert retried.requested_at == failed[form].requested_at
        assert retried.source.partition == failed[form].source.partition
        assert content(retried) == content(undisturbed[form])
    assert found["csv-retry-1"].user == "alice"
    assert content(found["csv-retry-1"]) == csv_bytes(rows_of(0, 9_000))
    again = shell.run("retry", "csv", "pdf-retry-1", "nobody")
    assert again.stdout == "retried csv as csv-retry-1 (completed before)\n"
    assert again.returncode == 1
    assert again.stderr.splitlines() == [
        "sluice: left nobody: Kafka has no terminal event of it",
        "sluice: left pdf-retry-1: it ended as completed",
    ]
    assert len(await committed(bootstrap_servers, topics.completions)) == 6


async def _undisturbed(
    servers: str, topics: Topics, shell: Shell, directory: Path
) -> dict[str, Any]:
    """The ends that the same requests come to in a group for which nothing fails."""
    again = {
        "GROUP_ID": "undisturbed",
        "OUTPUT_PREFIX": topics.requests.replace(".requests", "-again"),
        "STORAGE_URL": str(directory / "again"),
    }
    created = shell.run("topics", "create", **{f"SLUICE_{k}": v for k, v in again.items()})
    assert created.returncode == 0, created
    async with node_on(servers, topics, directory, "again.log", **again):
        completions = f"{again['OUTPUT_PREFIX']}.completions"
        return by_id(await events(servers, completions, at_least=3))


@pytest.mark.long
async def test_what_other_reasons_ended_runs_again_too(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, shell: Shell, tmp_path: Path
) -> None:
    crowded = hasty("consumer.exports.open_exports:MOST_OPEN=1")
    async with node_on(
        bootstrap_servers, topics, tmp_path, command=crowded, IDLE_TIMEOUT_SECONDS=3
    ):
        await upstream.request("idle")
        await upstream.batch("idle", 0, rows_of(0, 50))
        await upstream.request("crowd")
        await upstream.batch("crowd", 0, rows_of(0, 100), last=True)
        await ends(bootstrap_servers, topics, 2)
        await upstream.batch("idle", 1, rows_of(50, 50), last=True)
    broken = breaking_writer.COMMAND
    async with node_on(bootstrap_servers, topics, tmp_path, "broken.log", command=broken):
        await upstream.request("breaks-2")
        await upstream.batch("breaks-2", 0, rows_of(0, 100), last=True)
        failed = await ends(bootstrap_servers, topics, 3)
    reasons = {one: end.reason.value for one, end in failed.items()}
    assert reasons == {"idle": "timed_out", "crowd": "too_many_open", "breaks-2": "internal"}
    async with node_on(bootstrap_servers, topics, tmp_path, "repaired.log"):
        chosen = [part for reason in reasons.values() for part in ("--reason", reason)]
        done = shell.run("retry", *chosen, "--wait")
        assert (done.returncode, done.stderr) == (0, ""), done
        found = await ends(bootstrap_servers, topics, 6)
    for export_id in reasons:
        retried = found[f"{export_id}-retry-1"]
        assert retried.retry_of == export_id
        assert content(retried) == csv_bytes(rows_of(0, 100))


async def test_a_retry_of_a_retry_counts_on(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, shell: Shell, tmp_path: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, MAX_EXPORT_BYTES=1000) as node:
        await upstream.request("big")
        await upstream.batch("big", 0, rows_of(0, 50))
        await upstream.batch("big", 1, rows_of(50, 50), last=True)
        assert (await ends(bootstrap_servers, topics, 1))["big"].reason.value == "too_large"
        done = shell.run("retry", "big", "--wait")
        assert done.returncode == 1
        assert "failed big-retry-1" in done.stdout, "still too large"
        node.terminate()
    async with node_on(bootstrap_servers, topics, tmp_path):
        done = shell.run("retry", "big-retry-1", "big", "--wait")
        assert done.returncode == 0, done
        assert done.stdout.splitlines()[:2] == [
            "retried big as big-retry-2",
            "retried big-retry-1 as big-retry-2",
        ]
        found = await ends(bootstrap_servers, topics, 3)
        assert content(found["big-retry-2"]) == csv_bytes(rows_of(0, 100))
        assert found["big-retry-2"].retry_of == "big"


async def test_what_broke_off_is_completed_and_two_at_once_make_one(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    shell: Shell,
    node: NodeProcess,
) -> None:
    await cancelled(upstream, bootstrap_servers, topics, "x")
    # Another one's retry died after its first batch.
    await upstream.request("x-retry-1", retry_of="x")
    await upstream.batch("x-retry-1", 0, rows_of(0, 50))
    both = [shell.start("retry", "x", "--wait") for _ in range(2)]
    outputs = [await asyncio.to_thread(one.communicate, timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    assert all(b"x as x-retry-1" in out for out, _ in outputs)
    found = await ends(bootstrap_servers, topics, 2)
    assert sorted(found) == ["x", "x-retry-1"]
    assert content(found["x-retry-1"]) == csv_bytes(rows_of(0, 100))
    assert await keyed(bootstrap_servers, topics.requests, "x-retry-1") == 1


async def test_a_retry_that_ends_while_it_is_looked_up_is_not_begun_again(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    shell: Shell,
    node: NodeProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await cancelled(upstream, bootstrap_servers, topics, "x")
    await upstream.request("x-retry-1", retry_of="x")
    await upstream.batch("x-retry-1", 0, rows_of(0, 50))
    find = Backlog.find

    async def ends_first(backlog: Backlog, export_id: str) -> UnfinishedRequest | None:
        await upstream.batch("x-retry-1", 1, rows_of(50, 50), last=True)
        await ends(bootstrap_servers, topics, 2)
        return await find(backlog, export_id)

    monkeypatch.setattr(Backlog, "find", ends_first)
    choice = Choice(frozenset({"x"}), frozenset({"cancelled"}))
    plan = await retry._plan(load_settings(shell.environment), choice)
    assert (plan.completed, plan.retries) == (["x-retry-1"], {})


async def test_what_is_not_whole_or_gone_is_named_and_left(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    shell: Shell,
    node: NodeProcess,
) -> None:
    await cancelled(upstream, bootstrap_servers, topics, "gone")
    await cancelled(upstream, bootstrap_servers, topics, "headless")
    await upstream.request("half")
    await upstream.batch("half", 0, rows_of(0, 1))
    await upstream.publish({"type": "export.cancel_requested", "export_id": "half"})
    await upstream.request("wrong", format="doc")
    await ends(bootstrap_servers, topics, 4)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    cut = {
        TopicPartition(topics.requests, 0): RecordsToDelete(2),  # of the first: it, its cancel
        TopicPartition(topics.records, 0): RecordsToDelete(3),  # of the second: its first batch
    }
    await admin.delete_records(cut)
    await admin.close()
    done = shell.run("retry", "gone", "headless", "half", "wrong")
    assert (done.returncode, done.stdout) == (1, "")
    assert sorted(done.stderr.splitlines()) == [
        "sluice: left gone: Kafka no longer has its request",
        "sluice: left half: it never was whole: batch 1 is missing or wrong",
        "sluice: left headless: Kafka no longer has its batches",
        "sluice: left wrong: it ended as invalid_request",
    ]
    assert not [name for name in file_names(shell.directory) if "retry" in name]


async def test_another_export_that_has_the_id_is_passed_over(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    shell: Shell,
    node: NodeProcess,
) -> None:
    await cancelled(upstream, bootstrap_servers, topics, "x")
    await upstream.request("x-retry-1", user="mallory")
    await upstream.request("x-retry-2", user="mallory")
    await upstream.batch("x-retry-2", 0, [], last=True)
    done = shell.run("retry", "x", "--wait")
    assert done.stdout.splitlines()[0] == "retried x as x-retry-3"
    found = await ends(bootstrap_servers, topics, 3)
    assert content(found["x-retry-3"]) == csv_bytes(rows_of(0, 100))
    assert found["x-retry-2"].rows == 0


async def test_wrong_use_is_named(shell: Shell) -> None:
    assert "give EXPORT_ID" in shell.fails("retry", code=2)
    assert "--reason: 'broken'" in shell.fails("retry", "--reason", "broken", code=2)
    assert "--reason" in shell.fails("retry", "--reason", "invalid_batch", code=2)
    assert "no export id" in shell.fails("retry", "no/id", code=2)


async def test_over_http_two_clicks_on_two_nodes_make_one(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, node: NodeProcess, tmp_path: Path
) -> None:
    await cancelled(upstream, bootstrap_servers, topics, "x")
    await upstream.request("half")
    await upstream.publish({"type": "export.cancel_requested", "export_id": "half"})
    await ends(bootstrap_servers, topics, 2)
    async with (
        node_on(bootstrap_servers, topics, tmp_path, "two.log") as two,
        http_client(node.url) as here,
        http_client(two.url) as there,
    ):
        clients = (here, there, here, there)
        answers = await asyncio.gather(*(one.post("/export/x/retry") for one in clients))
        for answer in answers:
            assert (answer.status_code, answer.json()["export_id"]) == (202, "x-retry-1")
        found = await ends(bootstrap_servers, topics, 3)
        assert content(found["x-retry-1"]) == csv_bytes(rows_of(0, 100))
        assert found["x-retry-1"].retry_of == "x"
        again = await there.post("/export/x/retry")
        assert (again.status_code, again.json()["export_id"]) == (202, "x-retry-1")
        assert (await here.post("/export/half/retry")).status_code == 409
        assert (await here.post("/export/x-retry-1/retry")).status_code == 409, "it completed"
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
        await admin.start()
        cut = {TopicPartition(topics.records, 0): RecordsToDelete(1)}
        await upstream.request("old")
        await upstream.publish({"type": "export.cancel_requested", "export_id": "old"})
        await ends(bootstrap_servers, topics, 4)
        await admin.delete_records(cut)
        await admin.close()
        assert (await here.post("/export/old/retry")).status_code == 410
    assert len(await committed(bootstrap_servers, topics.completions)) == 4
