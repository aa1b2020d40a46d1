"""Faults outside a node: a disk that stays full, a broker that is away for long."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from broker.embedded import EmbeddedKafka
from schemas.completions import ExportCompleted, ExportFailed
from schemas.topics import Topics
from schemas.vocabulary import FailReason
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess, node_on, settings_for
from tests.support.outcomes import by_id, events
from tests.support.topics import created_topics
from tests.support.upstream import Upstream, csv_bytes, file_names, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB where a node keeps its exports."""
    place = tmp_path / "exports"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a tmpfs can't be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(bytes(4096)):
            pass


async def refusals(node: NodeProcess) -> float:
    async with http_client() as client:
        metrics = (await client.get(f"{node.url}/metrics")).text
    (line,) = [it for it in metrics.splitlines() if it.startswith("sluice_storage_retries_total ")]
    return float(line.split()[1])


async def test_a_disk_that_is_full_and_freed_costs_nothing_but_time(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path, small_disk: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        await upstream.request("a")
        await upstream.batch("a", 0, rows_of(0, 100))
        fill(small_disk)
        await upstream.batch("a", 1, rows_of(100, 1_000), last=True)
        while await refusals(node) < 3:
            await asyncio.sleep(0.1)
        assert await events(bootstrap_servers, topics.completions) == []
        (small_disk / "ballast").unlink()
        (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
    assert isinstance(event, ExportCompleted)
    assert (small_disk / "a.csv").read_bytes() == csv_bytes(rows_of(0, 1_100))


async def test_a_disk_that_stays_full_fails_the_export_by_name(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path, small_disk: Path
) -> None:
    async with node_on(bootstrap_servers, topics, tmp_path, STORAGE_TIMEOUT_SECONDS=2):
        fill(small_disk)
        await upstream.request("a")
        await upstream.batch("a", 0, rows_of(0, 1_000), last=True)
        (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
        assert isinstance(event, ExportFailed)
        assert event.reason is FailReason.STORAGE_UNAVAILABLE
        assert "No space left" in event.message
        assert file_names(tmp_path) == {"a.manifest.json", "ballast"}, "nothing half left"
        (small_disk / "ballast").unlink()
        await upstream.request("b")
        await upstream.batch("b", 0, rows_of(0, 1_000), last=True)
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=2))
    assert isinstance(done["b"], ExportCompleted)


@pytest.mark.parametrize(
    "away_seconds",
    [
        pytest.param(9, id="past the idle timeout"),
        pytest.param(60, id="past every timeout of a client", marks=pytest.mark.long),
    ],
)
async def test_a_broker_that_is_away_fails_nobody(
    mortal_kafka: EmbeddedKafka, tmp_path: Path, away_seconds: int
) -> None:
    kafka, servers = mortal_kafka, mortal_kafka.bootstrap_servers
    async with created_topics(servers, 12) as topics:
        producer = AIOKafkaProducer(bootstrap_servers=servers)
        await producer.start()
        upstream = Upstream(producer, topics)
        settings = settings_for(servers, topics, tmp_path / "exports", IDLE_TIMEOUT_SECONDS=8)
        async with NodeProcess(settings, tmp_path / "node.log") as node:
            await upstream.request("a")
            await upstream.batch("a", 0, rows_of(0, 100))
            kafka.kill()
            await asyncio.sleep(away_seconds)
            async with http_client(timeout=20) as client:
                assert (await client.get(f"{node.url}/health")).status_code == 200
                assert (await client.get(f"{node.url}/ready")).status_code == 503
            kafka.start()
            await upstream.batch("a", 1, rows_of(100, 100), last=True)
            (event,) = await events(servers, topics.completions, at_least=1, seconds=90)
            await until_back(node)
        await producer.stop()
    assert isinstance(event, ExportCompleted), event
    assert (tmp_path / "exports" / "a.csv").read_bytes() == csv_bytes(rows_of(0, 200))
    assert_logged_once(node.lines(), servers, away_seconds)


async def until_back(node: NodeProcess) -> None:
    """The event may come before all of the node's clients have noticed."""
    async with asyncio.timeout(30):
        while not any(line["event"] == "Kafka answers again" for line in node.lines()):
            await asyncio.sleep(0.1)


def assert_logged_once(lines: list[dict[str, Any]], servers: str, away_seconds: int) -> None:
    """One warning that Kafka is away, a reminder each half minute, a line that it is back."""
    logged = [line for line in lines if line["logger"] == "clients.contact"]
    lost, *reminders, back = logged
    assert (lost["level"], lost["event"]) == ("warning", "Kafka does not answer")
    assert {line["event"] for line in reminders} <= {"Kafka still does not answer"}
    assert away_seconds // 60 <= len(reminders) <= 1 + away_seconds // 30
    assert (back["level"], back["event"]) == ("info", "Kafka answers again")
    assert back["away_seconds"] > away_seconds - 5
    assert {line["servers"] for line in logged} == {servers}
    away = [line for line in lines if lost["timestamp"] <= line["timestamp"] <= back["timestamp"]]
    others = [line for line in away if line["level"] == "warning" and line not in logged]
    others = [line for line in others if not line["event"].startswith("event loop")]
    assert len(others) <= 3, others
