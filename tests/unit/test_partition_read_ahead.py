"""Manifests of a turn's requests, read together where each is a request to a store."""

import threading
from pathlib import Path

import pytest

from consumer.errors import StorageUnavailable
from consumer.storage.objects.storage import ObjectStorage
from schemas.completions import Source
from tests.support.apart import ApartStorage, Store
from tests.support.partition import Bench, served
from tests.support.storages import cancelled

_MEET_SECONDS = 10.0


class Meeting(Store):
    """A read of a manifest returns only when others of ``parties`` are under way."""

    def __init__(self, parties: int) -> None:
        super().__init__()
        self.met = threading.Barrier(parties, timeout=_MEET_SECONDS)

    def read(self, name: str) -> bytes | None:
        if name.startswith("manifests/"):
            self.met.wait()
        return super().read(name)


@pytest.fixture
def bench(tmp_path: Path, storage: ApartStorage) -> Bench:
    return Bench(tmp_path, made=storage)


def test_the_requests_of_a_turn_are_looked_up_together(tmp_path: Path) -> None:
    store = Meeting(8)
    bench = Bench(tmp_path, made=ApartStorage(store, tmp_path))
    for number in range(8):
        bench.request(f"e-{number}")
    bench.turn()
    assert bench.partition.open_count == 8


def test_an_end_between_two_turns_is_seen(bench: Bench) -> None:
    """Only as much is handled as the first turn has time for: the rest is looked up again."""
    bench.request("first")
    bench.request("second")
    bench.feed(bench.partition)
    served(bench.partition.turn(budget_seconds=0))
    elsewhere = Source(topic="export.requests", partition=7, offset=0)
    bench.storage.decide(cancelled("second").model_copy(update={"source": elsewhere}))
    served(bench.partition.turn())
    assert bench.partition.open_count == 1
    assert bench.metric("export_requests_total", format="csv", status="duplicate", user="anonymous")


def test_a_repeat_in_the_same_turn_is_one(bench: Bench) -> None:
    for export_id in ("a", "b", "a"):
        bench.request(export_id)
    bench.turn()
    assert bench.partition.open_count == 2
    assert bench.metric("export_requests_total", format="csv", status="duplicate", user="anonymous")


def test_a_store_that_refuses_has_them_looked_up_again(bench: Bench, store: Store) -> None:
    bench.request("a")
    bench.request("b")
    bench.feed(bench.partition)
    refused = bench.partition
    store.refused.add("read")
    assert isinstance(refused.turn().refusal, StorageUnavailable)
    store.refused.clear()
    served(refused.turn())
    assert refused.open_count == 2


def test_what_was_read_together_is_what_is_there(storage: ObjectStorage) -> None:
    event = storage.decide(cancelled("a"))
    assert storage.read_ahead(["a", "b"]) == {"a": event, "b": None}
