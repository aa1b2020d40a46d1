"""A real Prometheus scrapes a real node through a rough hour, made short.

Every metric has moved; every query of the rules and of the dashboard has an answer.
"""

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from broker.ports import pick_free_port
from compose.grafana.dashboard import FILE
from consumer.metrics.catalogue import ContractMetrics, NodeMetrics
from consumer.metrics.document import declared
from schemas.topics import Topics
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import committed, events
from tests.support.prometheus import RULES, Prometheus, prometheus_of
from tests.support.upstream import Upstream, rows_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

RUNNING = "export_concurrent_running"
MOVED_OTHERWISE = {
    "export_success_rate": "min_over_time(export_success_rate[10m]) < 100",
    "sluice_rebalances_total": "max_over_time(sluice_rebalances_total[10m]) > 1",
    # These take an object store: there ``test_objects`` has them move.
    "sluice_storage_upload_seconds_count": "sluice_storage_upload_seconds_count == 0",
    "sluice_storage_uploaded_bytes_total": "sluice_storage_uploaded_bytes_total == 0",
    "sluice_storage_uploads_running": "sluice_storage_uploads_running == 0",
    "sluice_scratch_bytes": "sluice_scratch_bytes >= 0",
    # These take minutes after an expiry: ``test_expiry`` has them move.
    "sluice_expired_files_total": "sluice_expired_files_total == 0",
    "sluice_expired_bytes_total": "sluice_expired_bytes_total == 0",
    "sluice_expired_manifests_total": "sluice_expired_manifests_total == 0",
    "sluice_expiry_failures_total": "sluice_expiry_failures_total == 0",
    # These take nodes that die of a message: the storm of killers does that.
    "sluice_messages_set_aside_total": "sluice_messages_set_aside_total == 0",
    "sluice_suspect_messages_total": "sluice_suspect_messages_total >= 0",
}
ALSO_MOVED = [
    *(("export_requests_total", "status", f"{n}ed") for n in ("succeed", "fail", "cancell")),
    ("export_requests_total", "status", "duplicate"),
    *(("export_latency_ms_count", "format", name) for name in ("csv", "pdf")),
    *(("export_fail_total", "reason", name) for name in ("sequence_gap", "invalid_request")),
    *(("sluice_dead_letters_total", "reason", name) for name in ("unreadable", "orphan_batch")),
    *(("sluice_batches_dropped_total", "why", name) for name in ("repeat", "late", "replayed")),
    *(("sluice_transaction_seconds_count", "outcome", n) for n in ("committed", "aborted")),
    ("sluice_storage_errors_total", "errno", "ENOTDIR"),
]


def movements() -> Iterator[str]:
    """A query for each metric and each way to move it that has an answer once it has moved."""
    registry = CollectorRegistry()
    for catalogue in (ContractMetrics(registry), NodeMetrics(registry)):
        for labelled, kind, _ in declared(catalogue):
            name = labelled.partition("{")[0] + ("_count" if kind == "histogram" else "")
            yield MOVED_OTHERWISE.get(name, f"max_over_time({name}[10m]) > 0")
    for name, label, value in ALSO_MOVED:
        yield f'max_over_time({name}{{{label}="{value}"}}[10m]) > 0'


async def ordinary_work(upstream: Upstream, prometheus: Prometheus) -> None:
    """Exports that complete, one of them large; ``open`` stays open over all that follows.

    Between turns a slot is free: the large one goes on until a scrape has met a turn.
    """
    await upstream.request("open")
    await upstream.batch("open", 0, rows_of(0, 100))
    await upstream.request("large", format="pdf")
    seq, last = 0, False
    async with asyncio.timeout(60):
        while not last:
            last = bool(await prometheus.query(f"max_over_time({RUNNING}[10m]) > 0"))
            # A native turn takes microseconds a row: with few rows no scrape would meet one.
            await upstream.batch("large", seq, rows_of(seq * 10_000, 10_000), last=last)
            seq += 1
    await upstream.request("cut", format="pdf")
    await upstream.batch("cut", 0, [[1, "longer than its column \U0001f389 " * 100]], last=True)
    for number in range(20):
        await upstream.request(f"csv-{number}", user=f"user-{number}")
        await upstream.batch(f"csv-{number}", 0, rows_of(0, 500), last=True)


async def mistakes(upstream: Upstream, topics: Topics) -> None:
    """Whatever an upstream service can do wrong."""
    await upstream.request("gap")
    await upstream.batch("gap", 1, rows_of(0, 1))
    await upstream.request("zip", format="zip")
    await upstream.request("csv-0")
    await upstream.batch("csv-0", 0, rows_of(0, 1))
    await upstream.batch("open", 0, rows_of(0, 100))
    await upstream.batch("nobody", 0, rows_of(0, 1))
    await upstream.send(topics.records, None, b"{")
    await upstream.request("unwanted")
    for export_id in ("unwanted", "unknown"):
        await upstream.publish({"type": "export.cancel_requested", "export_id": export_id})


async def refused_storage(upstream: Upstream, storage: Path, prometheus: Prometheus) -> None:
    """A file is where the parts are to be, until it is seen that the partition waits."""
    parts = storage / ".parts" / "0"
    parts.rename(parts.with_name("kept"))
    parts.touch()
    await upstream.request("refused")
    for seq in range(20):
        await upstream.batch("refused", seq, rows_of(0, 1_000), last=seq == 19)
    await prometheus.until("sluice_storage_retries_total > 1")
    await prometheus.until("sum by (instance) (sluice_consumer_lag_records) > 0")
    parts.unlink()
    parts.with_name("kept").rename(parts)


async def fenced(bootstrap_servers: str, topics: Topics, upstream: Upstream) -> None:
    """Another process starts a producer under the partition's transactional id; then work comes."""
    group = f"group-{topics.requests.removesuffix('.requests')}"  # as in settings_for
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, transactional_id=f"{group}.{topics.requests}.0"
    )
    await producer.start()
    await producer.stop()
    await upstream.request("fenced")
    await upstream.batch("fenced", 0, rows_of(0, 10), last=True)


async def unreadable_manifest(upstream: Upstream, storage: Path, prometheus: Prometheus) -> None:
    """It stops the partition until a person has acted."""
    (storage / "broken.manifest.json").write_text("{")
    await upstream.request("broken")
    await prometheus.until("sluice_partition_trouble == 1")


async def check_rules(prometheus: Prometheus) -> None:
    """Each is evaluated without an error, and what it compares is there.

    With ``bool`` a comparison answers 0 or 1, instead of nothing where it doesn't hold.
    """
    rules = await prometheus.rules()
    assert len(rules) == RULES.read_text("utf-8").count("expr: ")
    for rule in rules:
        assert rule["health"] == "ok", rule
        compared = re.sub(r"( (?:>=|<=|==|>|<) )", r"\1bool ", rule["query"])
        await prometheus.until(compared)


async def check_dashboard(prometheus: Prometheus) -> None:
    """Each query of each panel, as Grafana would fill it in."""
    panels: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(queries) > 20
    for query in queries:
        if "sluice_storage_upload_seconds" in query:
            continue  # without an object store it is a quantile of nothing, which is no number
        await prometheus.until(query.replace("$job", "sluice").replace("$__rate_interval", "5m"))


async def still_for_a_moment(node: NodeProcess) -> None:
    """So that the event loop stands still; a scrape comes before and after."""
    await asyncio.sleep(3)
    os.kill(node.pid, signal.SIGSTOP)
    await asyncio.sleep(0.5)
    os.kill(node.pid, signal.SIGCONT)


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_everything_moves_and_every_query_has_an_answer(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    ports, storage = [pick_free_port(), pick_free_port()], tmp_path / "exports"
    settings: dict[str, Any] = {"SESSION_TIMEOUT_SECONDS": 2}
    node = node_on(bootstrap_servers, topics, tmp_path, HTTP_PORT=ports[0], **settings)
    other = node_on(
        bootstrap_servers, topics, tmp_path, "other.log", HTTP_PORT=ports[1], **settings
    )
    targets = [f"127.0.0.1:{port}" for port in ports]
    async with prometheus_of(targets, tmp_path) as prometheus, node as running:
        await prometheus.until("up == 1")
        await ordinary_work(upstream, prometheus)
        await events(bootstrap_servers, topics.completions, at_least=22, seconds=60)
        await mistakes(upstream, topics)
        await committed(bootstrap_servers, topics.dead_letters, at_least=2)
        await refused_storage(upstream, storage, prometheus)
        await events(bootstrap_servers, topics.completions, at_least=26, seconds=60)
        await fenced(bootstrap_servers, topics, upstream)
        await events(bootstrap_servers, topics.completions, at_least=27, seconds=60)
        async with other:
            await prometheus.until("sluice_rebalances_total > 1")
        await prometheus.until("sum(sluice_open_exports) > 0")
        running.kill()  # its part of ``open`` is for the next owner to sweep
        await running.start()
        await unreadable_manifest(upstream, storage, prometheus)
        await still_for_a_moment(running)
        for movement in movements():
            await prometheus.until(movement)
        await check_rules(prometheus)
        await check_dashboard(prometheus)
        await prometheus.until('ALERTS{alertname="ExportDeadLetters", alertstate="firing"}')


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_what_an_open_transaction_holds_back_is_no_lag(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, transactional_id="upstream")
    port = pick_free_port()
    node = node_on(bootstrap_servers, topics, tmp_path, HTTP_PORT=port)
    async with prometheus_of([f"127.0.0.1:{port}"], tmp_path) as prometheus, node:
        lag = f'sluice_consumer_lag_records{{topic="{topics.records}"}}'
        position = f'sluice_consumer_position_offset{{topic="{topics.records}"}}'
        await producer.start()
        async with producer.transaction():
            for _ in range(5):
                await producer.send_and_wait(topics.records, b"{")
            (scrapes,) = await prometheus.until(f"count_over_time({lag}[10m])")
            await prometheus.until(f"count_over_time({lag}[10m]) > {scrapes['value']} + 3")
            assert await prometheus.query(f"max_over_time({lag}[10m]) == 0")
            assert await prometheus.query(f"{position} == 0")
        await prometheus.until(f"{position} == 6")
        await prometheus.until(f"{lag} == 0")
        await producer.stop()


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_what_a_node_met_before_its_first_scrape_raises_alerts(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    for number in range(6):
        await upstream.request(f"gap-{number}")
        await upstream.batch(f"gap-{number}", 1, rows_of(0, 1))
    await upstream.send(topics.records, None, b"{")
    port = pick_free_port()
    async with node_on(bootstrap_servers, topics, tmp_path, HTTP_PORT=port):
        await events(bootstrap_servers, topics.completions, at_least=6, seconds=60)
        await committed(bootstrap_servers, topics.dead_letters, at_least=1)
        async with prometheus_of([f"127.0.0.1:{port}"], tmp_path) as prometheus:
            for alert in ("ExportFailSpike", "ExportDeadLetters"):
                await prometheus.until(f'ALERTS{{alertname="{alert}", alertstate="firing"}}')
            assert not await prometheus.query("changes(export_fail_total[10m]) > 0")
