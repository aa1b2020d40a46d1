"""When a partition takes exports for idle."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from consumer.core.lane_machine import Event, LaneMachine
from consumer.lanes.work import PROMPT_SECONDS, Work
from tests.support.partition import Bench

IDLE_SECONDS = 50.0


class Cluster:
    """Answers after a time."""

    def __init__(self, bench: Bench) -> None:
        self.seconds = 0.0
        self._bench = bench

    async def fetch_end(self, _: object) -> int:
        self._bench.clock.seconds += self.seconds
        return self._bench.partition.next_offsets[1]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """It has an open export."""
    bench = Bench(tmp_path)
    bench.request("a")
    bench.turn()
    return bench


@pytest.fixture
def cluster(bench: Bench) -> Cluster:
    return Cluster(bench)


@pytest.fixture
def work(bench: Bench, cluster: Cluster) -> Work:
    feed: Any = SimpleNamespace(partition=None)
    commits: Any = SimpleNamespace(advance=lambda: False)
    turns: Any = SimpleNamespace(wait_seconds=0.0)
    context: Any = SimpleNamespace(
        cluster=cluster,
        export_context=bench.partition._context,
        limits=SimpleNamespace(idle_timeout_seconds=IDLE_SECONDS),
    )
    machine, moved = LaneMachine(), asyncio.Event()
    return Work(machine, moved, (feed, feed), bench.partition, turns, commits, context)


async def test_an_end_that_came_at_once_counts(work: Work, bench: Bench) -> None:
    bench.clock.seconds += IDLE_SECONDS
    assert work._is_long_idle()
    assert await work._check_idle() is Event.NOTHING_DUE
    assert work._idle_check is not None


async def test_while_kafka_is_away_nobody_is_idle(
    work: Work, bench: Bench, cluster: Cluster
) -> None:
    bench.clock.seconds += IDLE_SECONDS
    cluster.seconds = PROMPT_SECONDS + 0.1
    assert work._is_long_idle()
    await work._check_idle()
    assert work._idle_check is None
    bench.clock.seconds += IDLE_SECONDS - 0.1
    assert not work._is_long_idle()
    cluster.seconds = 0.0
    bench.clock.seconds += 0.2
    assert work._is_long_idle()
    await work._check_idle()
    assert work._idle_check is not None
