"""A feed counts what it holds, holds back by what is free, and unpacks batches in their place."""

from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from clients.record_stream import PackedBatch
from consumer.exports.messages import LargeMessage
from consumer.lanes.feed import (
    HELD_BYTES,
    MOST_UNREAD,
    MOST_UNREAD_BYTES,
    PAUSE_BYTES,
    Feed,
    Held,
)
from schemas.unread_value import UnreadValue
from tests.support.batches import CODECS, packed, record

PLACE = TopicPartition("export.records", 3)
MIB = 1024 * 1024


class Consumer:
    """What a feed asks of its consumer."""

    def __init__(self) -> None:
        self.paused: set[TopicPartition] = set()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Nothing is fetched here."""

    def pause(self, partition: TopicPartition) -> None:
        self.paused.add(partition)

    def resume(self, partition: TopicPartition) -> None:
        self.paused.discard(partition)


def message(offset: int, value: bytes | None, **more: Any) -> ConsumerRecord:
    fields = {"key": b"k", "headers": (), **more}
    return ConsumerRecord(
        PLACE.topic, 3, offset, 1000, 0, fields["key"], value, None, 1, 1, fields["headers"]
    )


def feed(consumer: Any, held: Held | None = None, offset: int = 0, **more: int) -> Feed:
    made = Feed(PLACE, consumer, lambda: None, held, **more)
    made.start_at(offset)
    return made


def batch(first: int, *values: bytes) -> ConsumerRecord:
    records = [record(n, b"k", value) for n, value in enumerate(values)]
    return message(first + len(values) - 1, PackedBatch(packed(CODECS["zstd"], records, first)))


def drained(feed: Feed) -> list[Any]:
    """All that can be taken, batches unpacked on the way."""
    taken: list[Any] = []
    while feed:
        while unpacking := feed.next_unpacking:
            feed.put_unpacked(unpacking, unpacking.piece())
        taken += feed.take(MIB)
    return taken


def test_headers_count() -> None:
    held = Held()
    full = feed(Consumer(), held)
    loaded = message(0, b"", headers=(("h" * 10, b"x" * 900_000),))
    for number in range(5):
        assert not held.unread
        full.put([loaded], number + 1)
    assert held.unread == {PLACE}
    full.take(MIB)
    assert not held.unread


def test_many_empty_headers_count_for_what_they_hold() -> None:
    held = Held()
    full = feed(Consumer(), held)
    full.put([message(n, b"", headers=(("", b""),) * 1_000) for n in range(30)], 30)
    assert held.unread


def full_feed(number: int, consumer: Consumer, held: Held) -> Feed:
    made = Feed(TopicPartition(PLACE.topic, number), consumer, lambda: None, held)
    made.start_at(0)
    made.put([message(n, b"x" * MIB) for n in range(5)], 5)
    return made


def test_what_is_fetched_of_a_few_full_feeds_stays_and_others_pause() -> None:
    """A paused partition loses what was fetched of it; what stays takes memory uncounted."""
    consumer, looks = Consumer(), list[None]()
    held = Held(lambda: looks.append(None))
    feeds = [full_feed(number, consumer, held) for number in range(MOST_UNREAD + 1)]
    assert held.unread == {one.partition for one in feeds[:-1]}
    assert consumer.paused == {feeds[-1].partition}
    feeds[-1].take(MIB)
    assert consumer.paused  # not before half of it is taken
    feeds[-1].take(3 * MIB)
    assert not consumer.paused
    assert not looks
    feeds[0].take(2 * MIB)
    feeds[1].stop()
    assert held.unread == {one.partition for one in feeds[2:-1]}
    assert len(looks) == 2
    feeds[1].start_at(0)
    feeds[1].put([message(n, b"x" * MIB) for n in range(5)], 5)
    assert feeds[1].partition in held.unread


def test_a_full_feed_that_nothing_is_taken_of_is_not_busy() -> None:
    """Else a storage that refuses would have its node fetch two hundred times a second."""
    now = 100.0
    held = Held(monotonic=lambda: now)
    found = [held.busy]
    full = full_feed(0, Consumer(), held)
    found.append(held.busy)
    now += 2
    found.append(held.busy)
    full.take(2 * MIB)
    full.put([message(n, b"x" * MIB) for n in range(5)], 10)
    assert [*found, held.busy] == [False, True, False, True]


def test_feeds_share_what_a_member_may_hold() -> None:
    consumer, held = Consumer(), Held()
    held.unread = {TopicPartition("other", number) for number in range(MOST_UNREAD)}
    feeds = [feed(consumer, held) for _ in range(72)]
    for one in feeds:
        consumer.paused.clear()
        while not consumer.paused:
            one.put([message(0, b"x" * 100_000)], one.position + 1)
    assert len(feeds[0]) * 100_000 > PAUSE_BYTES
    assert held.bytes < HELD_BYTES + 72 * 400_000
    for one in feeds:
        one.stop()
    assert held.bytes == 0


def test_of_a_message_beyond_the_bound_the_beginning_stays() -> None:
    bounded = feed(Consumer(), most_bytes=MIB)
    beginning = b"x" * 65_536
    bounded.put([batch(0, b"x" * (MIB - 100), beginning + b"y" * MIB)], 2)
    first, second = drained(bounded)
    assert len(first.value) == MIB - 100
    assert (second.offset, second.key, second.value) == (1, b"k", beginning)
    assert isinstance(second.value, UnreadValue)


def test_a_batch_is_unpacked_in_its_place() -> None:
    mixed = feed(Consumer())
    mixed.put([message(0, b"0"), batch(1, b"1", b"2", b"3"), message(4, b"4")], 5)
    assert [it.value for it in mixed.take(MIB)] == [b"0"]
    assert mixed.take(MIB) == []
    assert len(mixed) == 2
    found = drained(mixed)
    assert [(it.offset, it.value, it.key) for it in found] == [
        (n, b"%d" % n, b"k") for n in range(1, 5)
    ]
    assert mixed.next_unpacking is None


def test_a_batch_begins_where_the_feed_was_started() -> None:
    started = feed(Consumer(), offset=3)
    started.put([batch(1, b"1", b"2", b"3", b"4")], 5)
    assert [it.offset for it in drained(started)] == [3, 4]


def test_what_is_unpacked_for_a_feed_that_was_started_elsewhere_is_dropped() -> None:
    moved = feed(Consumer())
    moved.put([batch(0, b"0")], 1)
    unpacking = moved.next_unpacking
    assert unpacking
    moved.start_at(0)
    moved.put_unpacked(unpacking, unpacking.piece())
    assert len(moved) == 0


def test_a_piece_is_bounded_and_a_large_value_waits_for_its_turn() -> None:
    held = Held()
    large = feed(Consumer(), held)
    large.put([batch(0, *[b"x" * 400_000] * 6, b"y" * 2 * MIB, b"z")], 8)
    pieces = []
    while unpacking := large.next_unpacking:
        large.put_unpacked(unpacking, unpacking.piece())
        assert held.bytes < 2 * MIB
        taken = large.take(10 * MIB)
        pieces.append([it.offset for it in taken])
        for it in taken:
            if isinstance(it, LargeMessage):
                assert (it.value_bytes, it.key) == (2 * MIB, b"k")
                assert it.value == b"y" * 2 * MIB
                it.release()
                assert it.value == b"y" * 2 * MIB
    assert [offset for piece in pieces for offset in piece] == [*range(8)]
    assert max(map(len, pieces)) <= 3  # fewer on a busy machine: a piece has little time, too
    assert [6] in pieces


def test_a_large_value_is_not_read_to_take_it() -> None:
    """A feed is the event loop's: to read 16 MiB took half a second, and all feeds held one."""
    waiting = feed(Consumer())
    waiting.put([batch(0, b"y" * 2 * MIB, b"z")], 2)
    unpacking = waiting.next_unpacking
    assert unpacking
    waiting.put_unpacked(unpacking, unpacking.piece())
    assert waiting.next_unpacking is None
    (large,) = waiting.take(MIB)
    assert isinstance(large, LargeMessage)
    assert large._value is None  # nothing public says whether it is held


@pytest.mark.parametrize("kind", ["plain", "gzip"])
def test_the_beginning_of_a_batch_that_was_read_before_is_not_given_again(kind: str) -> None:
    value = PackedBatch(packed(CODECS[kind], [record(n, b"k", b"v") for n in range(5)]))
    value.first_offset = 3
    rest = feed(Consumer())
    rest.put([message(4, value)], 5)
    assert [it.offset for it in drained(rest)] == [3, 4]


def test_what_is_too_large_to_wait_at_the_consumer_is_fetched_again() -> None:
    consumer, held = Consumer(), Held()
    full = feed(consumer, held)
    full.put([message(0, b"x" * (PAUSE_BYTES + 1))], 1)
    full.bound_unread(MOST_UNREAD_BYTES)
    assert held.unread == {PLACE}
    assert not consumer.paused
    full.bound_unread(MOST_UNREAD_BYTES + 1)
    assert not held.unread
    assert consumer.paused == {PLACE}
    full.take(MIB)
    assert not consumer.paused
