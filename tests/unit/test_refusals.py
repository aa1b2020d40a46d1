"""Turns on a storage that refuses: what a refusal of a read leaves, and what is let go."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consumer.core.storage_retry import RetryBudget
from consumer.exports.messages import LargeMessage
from consumer.exports.turn_result import TurnEnd
from consumer.lanes.health import WORKING
from consumer.lanes.slots import Slots
from consumer.lanes.turns import Turns
from tests.support.partition import RECORDS, Bench, only, take_outcome


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An export a has ended."""
    bench = Bench(tmp_path)
    bench.request("a")
    bench.batch(0, export_id="a", last=True)
    only(bench.turn())
    return bench


def turns_of(bench: Bench, threads: ThreadPoolExecutor, timeout_seconds: float) -> Turns:
    retry_budget = RetryBudget(timeout_seconds)
    return Turns(bench.partition, Slots(1), threads, bench.metrics, retry_budget)


def refuse_manifest(bench: Bench) -> None:
    (bench.directory / "a.manifest.json").rename(bench.directory / "aside")
    (bench.directory / "a.manifest.json").mkdir()


def serve_manifest(bench: Bench) -> None:
    (bench.directory / "a.manifest.json").rmdir()
    (bench.directory / "aside").rename(bench.directory / "a.manifest.json")


async def test_a_refused_read_that_passes_leaves_no_retry_time_used_up(
    bench: Bench, threads: ThreadPoolExecutor
) -> None:
    turns = turns_of(bench, threads, timeout_seconds=600)
    bench.partition.take_records([bench.batch(0, export_id="a")])
    refuse_manifest(bench)
    assert (await turns.run()).end is TurnEnd.REFUSED
    assert turns.wait_seconds > 0
    serve_manifest(bench)
    assert (await turns.run()).end is TurnEnd.IDLE
    assert turns.wait_seconds == 0, "the retry_budget is renewed, though nothing was written"
    assert turns.health is WORKING


async def test_a_read_that_is_refused_for_too_long_is_let_go_after_a_search(
    bench: Bench, threads: ThreadPoolExecutor
) -> None:
    turns = turns_of(bench, threads, timeout_seconds=0)
    bench.partition.take_records([bench.batch(0, export_id="a")])
    refuse_manifest(bench)
    assert (await turns.run()).end is TurnEnd.REFUSED
    assert "a.manifest.json" in turns.health.reason
    assert (await turns.run()).end is TurnEnd.OWNER_UNKNOWN
    assert turns.wait_seconds > 0, "a search says nothing of the storage"
    bench.partition.owners_known(below=2)
    assert (await turns.run()).end is TurnEnd.REFUSED
    assert turns.health is WORKING, "it was let go"
    assert len(take_outcome(bench.partition).dead_letters) == 1


async def test_a_repeated_request_whose_manifest_can_not_be_read_is_reported(
    bench: Bench, threads: ThreadPoolExecutor
) -> None:
    turns = turns_of(bench, threads, timeout_seconds=0)
    bench.partition.take_requests([bench.request("a")])
    refuse_manifest(bench)
    for _ in range(3):
        assert (await turns.run()).end is TurnEnd.REFUSED
        assert "a.manifest.json" in turns.health.reason
    serve_manifest(bench)
    assert (await turns.run()).end is TurnEnd.IDLE
    assert turns.health is WORKING


async def test_a_large_value_that_is_let_go_is_read_on_a_thread(
    bench: Bench, threads: ThreadPoolExecutor
) -> None:
    """To read it may be to decompress gigabytes, which would hold the event loop."""
    value = bench.encode({"export_id": "a", "seq": 0, "rows": []})
    readers: list[threading.Thread] = []

    def read() -> bytes:
        readers.append(threading.current_thread())
        return value

    turns = turns_of(bench, threads, timeout_seconds=0)
    bench.partition.owners_known(below=2)
    bench.partition.take_records([LargeMessage(RECORDS, 3, 1, 0, b"a", len(value), read)])
    refuse_manifest(bench)
    assert (await turns.run()).end is TurnEnd.REFUSED
    (letter,) = take_outcome(bench.partition).dead_letters
    assert letter.message.value == value
    assert len(readers) == 2, "once for its turn, once for its dead letter"
    assert threading.main_thread() not in readers
