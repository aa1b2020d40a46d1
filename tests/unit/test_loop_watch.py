"""The watch over the event loop: what stalls it is measured and named."""

import asyncio
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from consumer.exports.in_hand import PartitionsInHand
from consumer.metrics import Metrics
from sluice.loop_watch import BEAT_SECONDS, LoopWatch
from tests.support.partition import RECORDS, Sent
from tests.support.stalling_node import hold_interpreter
from tests.support.waiting import until, wait_until

BATCH = Sent(RECORDS, 17, b"")


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(f"sluice_event_loop_{name}", labels)
    assert found is not None
    return found


def stalls(logs: list[Any]) -> list[Any]:
    """The longest first: on a busy machine the loop stands still for reasons of others too."""
    found = [line for line in logs if line["event"] == "event loop stood still"]
    return sorted(found, key=lambda line: -line["seconds"])


def lasting(logs: list[Any]) -> list[Any]:
    return [line for line in logs if line["event"] == "event loop stands still"]


async def busily_sleeping(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - that is the fault


async def test_a_task_that_blocks_is_named() -> None:
    metrics = Metrics()
    with capture_logs() as logs, LoopWatch(PartitionsInHand(), metrics):
        await asyncio.create_task(busily_sleeping(0.5), name="the culprit")
        await until(lambda: "the culprit" in [line.get("task") for line in stalls(logs)])
    line = next(line for line in stalls(logs) if line.get("task") == "the culprit")
    assert line["log_level"] == "warning"
    assert line["at"].startswith("busily_sleeping (")
    assert line["in_hand"] == []
    assert 0.35 < line["seconds"] < 10  # it slept for 0.5; the rest is for busy machines
    assert line["cpu_seconds"] < 0.3
    assert 0.35 < sample(metrics.registry, "longest_stall_seconds") < 10
    assert sample(metrics.registry, "stall_seconds_bucket", le="0.25") < sample(
        metrics.registry, "stall_seconds_count"
    )


async def test_a_thread_that_holds_the_interpreter_is_found_by_its_message() -> None:
    hands, metrics = PartitionsInHand(), Metrics()
    hands.begin(2)
    hanging = hands.begin(3)
    hanging.message = Sent(RECORDS, 1, b"")
    hanging.storage_since = time.monotonic()  # it waits, and holds up nobody
    working = hands.begin(7)

    def turn() -> None:
        working.message = BATCH
        hold_interpreter(0.5)
        time.sleep(4 * BEAT_SECONDS)  # handling goes on after the call that held the lock
        working.message = None

    with capture_logs() as logs, LoopWatch(hands, metrics):
        await asyncio.to_thread(turn)
        await until(lambda: stalls(logs))
    line = stalls(logs)[0]
    assert line["in_hand"] == [{"partition": 7, "topic": RECORDS, "offset": 17}]
    assert sample(metrics.registry, "longest_stall_seconds") > 0.35


async def test_what_lasts_is_logged_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.loop_watch._LASTING_SECONDS", 0.5)
    hands = PartitionsInHand()
    hands.begin(7).message = BATCH
    with capture_logs() as logs, LoopWatch(hands, Metrics()):
        wait_until(lambda: lasting(logs))  # on the loop
        await until(lambda: stalls(logs))
    assert len(lasting(logs)) == 1
    assert stalls(logs)[0]["seconds"] > 0.5


async def test_a_loop_that_works_is_not_warned_of() -> None:
    """In one of some tries: on a busy machine a loop that works may wait for a core."""
    for _ in range(20):
        metrics = Metrics()
        with capture_logs() as logs, LoopWatch(PartitionsInHand(), metrics):
            await asyncio.sleep(0.4)
        if not stalls(logs):
            break
    assert stalls(logs) == []
    assert sample(metrics.registry, "stall_seconds_bucket", le="0.25") == sample(
        metrics.registry, "stall_seconds_count"
    )
