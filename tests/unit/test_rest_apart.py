"""A rebalance comes while an end is concluded outside of turns."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from consumer.core.lane_machine import Event, LaneMachine
from consumer.errors import PartLost
from consumer.lanes.work import HEARTBEAT_SECONDS, Work
from tests.support.apart import ApartStorage, Store
from tests.support.partition import Bench


@pytest.fixture
def bench(storage: ApartStorage, tmp_path: Path) -> Bench:
    """Its export was cancelled, and that isn't decided yet."""
    bench = Bench(tmp_path, made=storage)
    bench.request("a")
    bench.turn()
    bench.cancel()
    bench.turn()
    assert not bench.partition.settled
    return bench


@pytest.fixture
def work(bench: Bench) -> Work:
    beside: Any = SimpleNamespace(looked_for_seconds=0.0)
    context: Any = SimpleNamespace(export_context=bench.partition._context)
    feeds: Any = (beside, beside)
    return Work(LaneMachine(), asyncio.Event(), feeds, bench.partition, beside, beside, context)


def test_it_waits_for_the_end(work: Work, bench: Bench, storage: ApartStorage) -> None:
    assert work._rest() is Event.NOTHING_DUE
    storage.by_hand.run()
    assert work._rest() is Event.TURN_DUE
    bench.partition.turn()
    assert work._rest() is Event.REST_DUE


def test_it_waits_for_a_heartbeat_at_most(work: Work, bench: Bench) -> None:
    assert work._rest() is Event.NOTHING_DUE
    bench.clock.seconds += HEARTBEAT_SECONDS
    with pytest.raises(PartLost, match="while the storage refused"):
        work._rest()


def test_it_does_not_wait_for_what_was_refused(
    work: Work, bench: Bench, storage: ApartStorage, store: Store
) -> None:
    store.refused = {"create"}
    storage.by_hand.run()
    bench.partition.turn()
    with pytest.raises(PartLost, match="while the storage refused"):
        work._rest()
