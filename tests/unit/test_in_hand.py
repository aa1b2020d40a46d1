"""What a partition has in hand, as another thread sees it."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consumer.core.suspects import MessagePlace, Suspect
from consumer.errors import ConsumerError, LaneStopped, StorageUnavailable
from consumer.exports.export_context import ExportContext
from consumer.exports.gate import Gate
from consumer.exports.in_hand import InHand, PartitionsInHand, Unmarked
from consumer.exports.partition import PartitionExports
from consumer.formats.csv import CsvWriter
from tests.support.clock import Clock
from tests.support.partition import RECORDS, REQUESTS, START, Bench
from tests.support.waiting import wait_until


def _partition(
    bench: Bench, seen: Callable[[], None] = lambda: None, suspects: tuple[Suspect, ...] = ()
) -> PartitionExports:
    class Writer(CsvWriter):
        def append(self, rows: Any) -> bytes:
            seen()
            return super().append(rows)

    context = ExportContext(bench.storage, lambda request, _: Writer(request), bench.metrics, 1_000)
    return PartitionExports(3, replace(START, suspects=suspects), context)


def test_the_message_being_handled_is_in_hand(tmp_path: Path) -> None:
    bench, seen = Bench(tmp_path), []
    partition = _partition(bench, lambda: seen.append(partition.in_hand.message))
    bench.request("a")
    batch = bench.batch(0, [1], last=True)
    bench.turn(partition)
    assert set(seen) == {batch}
    assert partition.in_hand.message is None


def test_nothing_is_in_hand_after_a_turn_that_broke_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    partition = _partition(bench)
    (tmp_path / "a.manifest.json").write_text("no manifest")
    bench.request("a")
    with pytest.raises(Exception, match="is no manifest of this version"):
        bench.turn(partition)
    assert partition.in_hand.message is None
    assert partition.in_hand.storage_since is None


def test_a_storage_call_that_hangs_is_seen(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    partition = _partition(bench)
    os.mkfifo(tmp_path / "a.manifest.json")
    request = bench.request("a")
    with ThreadPoolExecutor(1) as threads:
        turn = threads.submit(bench.turn, partition)
        try:
            # Writing the mark counts as a call to the storage too, but a short one.
            wait_until(lambda: partition.in_hand.storage_seconds() > 0.5)
            assert partition.in_hand.message is request
        finally:
            (tmp_path / "a.manifest.json").open("wb").close()  # now an empty manifest can be read
        assert isinstance(turn.exception(5), LaneStopped)
    assert partition.in_hand.storage_seconds() == 0


def call(hand: InHand, clock: Clock, seconds: float, error: Exception | None = None) -> None:
    """A storage call of this length, which fails or not."""
    with suppress(ConsumerError), hand:
        clock.seconds += seconds
        if error:
            raise error


def test_silence_counts_from_the_first_call_without_an_answer() -> None:
    clock = Clock()
    hand = InHand(3, Unmarked(), Gate(), clock)
    late = StorageUnavailable("it does not answer in time")
    call(hand, clock, 20, late)
    clock.seconds += 3  # until the call is retried
    with hand:
        assert hand.silent_seconds() == 23
        clock.seconds += 1
        assert (hand.storage_seconds(), hand.silent_seconds()) == (1, 24)
    assert hand.silent_seconds() == 0, "it has answered"
    call(hand, clock, 20, late)
    call(hand, clock, 0.1, StorageUnavailable("it is full"))
    assert hand.silent_seconds() == 0, "a refusal is an answer"
    call(hand, clock, 20, late)
    hand.answered()
    assert hand.silent_seconds() == 0, "what waited for it was given up"


def test_a_late_turn_of_an_owner_before_does_not_show(tmp_path: Path) -> None:
    bench, hands = Bench(tmp_path), PartitionsInHand()
    before = hands.begin(3)
    now = hands.begin(3)
    now.message = batch = bench.raw(RECORDS, b"")
    before.message = bench.raw(REQUESTS, b"")
    before.message = None
    assert [hand.message for hand in hands] == [batch]


def test_messages_that_are_taken_together_are_marked_together(tmp_path: Path) -> None:
    """A write for each would hand the interpreter to another thread each time."""
    bench = Bench(tmp_path)
    bench.request("a")
    batches = [bench.batch(seq, [1], last=seq == 4) for seq in range(5)]
    partition = _partition(bench, lambda: seen.add(_left(bench)))
    seen: set[tuple[int, ...]] = set()
    bench.turn(partition)
    offsets = [batch.offset for batch in batches]
    assert seen == {(*offsets[:2],), (*offsets[2:4],), (*offsets[4:],)}
    assert _left(bench) == ()


def test_messages_between_markers_are_marked_too(tmp_path: Path) -> None:
    """Where each was sent in a transaction of its own, every other offset is a marker."""
    bench, seen = Bench(tmp_path), []
    bench.request("a")
    sent = [bench.batch(seq, [1], last=seq == 20) for seq in range(21)]
    bench.records[:] = [replace(batch, offset=2 * batch.offset) for batch in sent]
    partition = _partition(bench, lambda: seen.append(_left(bench)))
    bench.turn(partition)
    offsets = [batch.offset for batch in bench.records]
    assert all(offset in left for offset, left in zip(offsets, seen, strict=True))


def _left(bench: Bench) -> tuple[int, ...]:
    return tuple(mark.place.offset for mark in bench.storage.left_marks(3) if mark.place)


def test_beside_a_suspect_each_message_is_marked_alone(tmp_path: Path) -> None:
    bench, seen = Bench(tmp_path), []
    bench.request("a")
    batches = [bench.batch(seq, [1], last=seq == 3) for seq in range(4)]
    suspect = Suspect(MessagePlace(True, batches[2].offset), 7)
    partition = _partition(bench, lambda: seen.append(_left(bench)), (suspect,))
    bench.turn(partition)
    ours = [batch.offset for batch in batches]
    assert seen[:3] == [(offset,) for offset in ours[:3]]
