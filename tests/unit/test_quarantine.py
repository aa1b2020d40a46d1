"""What becomes of messages that nodes died on, once and twice, on a real directory."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consumer.core.resume import ResumePoint
from consumer.core.suspects import Mark, MessagePlace, Suspect
from consumer.exports.export_context import ExportContext
from consumer.exports.gate import Gate
from consumer.exports.in_hand import PartitionsInHand
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from consumer.formats.csv import CsvWriter
from consumer.storage.local import LocalStorage
from schemas.completions import ExportCompleted, ExportFailed
from schemas.vocabulary import DeadLetterReason, FailReason
from tests.support.partition import RECORDS, REQUESTS, START, Bench, Sent, only, take_outcome
from tests.support.waiting import wait_until

ONCE, TWICE = 17, None


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    LocalStorage(tmp_path).check()
    return Bench(tmp_path)


def suspect(message: Sent, mark: int | None = TWICE) -> Suspect:
    return Suspect(MessagePlace(message.topic == RECORDS, message.offset), mark)


def owner(bench: Bench, *suspects: Suspect, point: ResumePoint = START) -> PartitionExports:
    return bench.owner(replace(point, suspects=suspects))


def internal(event: object, message: Sent) -> ExportFailed:
    assert isinstance(event, ExportFailed)
    assert event.reason is FailReason.INTERNAL
    assert f"{message.topic} 3:{message.offset}" in event.message
    return event


def test_a_batch_that_nodes_died_on_twice_fails_its_export_alone(bench: Bench) -> None:
    bench.request("a")
    bench.request("b")
    bench.batch(0, [1])
    killer = bench.raw(RECORDS, b"never decoded", b"a")
    bench.batch(2, last=True)
    bench.batch(0, [1], export_id="b", last=True)
    partition = owner(bench, suspect(killer))
    failed, done = bench.turn(partition)
    assert internal(failed, killer).rows == 1
    assert isinstance(done, ExportCompleted)
    assert bench.files() == {"a.manifest.json", "b.csv", "b.manifest.json"}
    assert partition.resume_point() == ResumePoint(2, (), 4, 4)
    assert bench.metric("sluice_messages_set_aside_total") == 1


def test_the_first_batch_too(bench: Bench) -> None:
    bench.request("a")
    killer = bench.batch(0, [1], last=True)
    assert internal(only(bench.turn(owner(bench, suspect(killer)))), killer).rows == 0


def test_a_batch_that_one_node_died_on_is_handled_and_no_suspect_any_more(bench: Bench) -> None:
    bench.request("a")
    first = bench.batch(0, [1])
    last = bench.batch(1, last=True)
    partition = owner(bench, suspect(first, ONCE), suspect(last, ONCE))
    partition.take_requests(bench.requests)
    partition.take_records([first])
    while partition.turn().end is TurnEnd.SPENT:
        pass
    assert partition.resume_point().suspects == (suspect(last, ONCE),)
    assert isinstance(only(bench.turn(partition)), ExportCompleted)
    assert partition.resume_point().suspects == ()


@pytest.mark.parametrize("key", [None, b"", b"no id!", b"\xff"])
def test_a_batch_whose_key_is_no_id_is_a_dead_letter(bench: Bench, key: bytes | None) -> None:
    killer = bench.raw(RECORDS, b"{", key)
    partition = owner(bench, suspect(killer))
    partition.take_records([killer])
    result = partition.turn()
    assert result.end is TurnEnd.IDLE
    assert not result.orphan_pending
    letter = take_outcome(partition).dead_letters[0]
    assert (letter.reason, letter.message) == (DeadLetterReason.NODE_KILLER, killer)


def test_a_batch_of_nobody_waits_for_its_owner_and_is_a_dead_letter(bench: Bench) -> None:
    killer = bench.raw(RECORDS, b"{", b"nobody")
    partition = owner(bench, suspect(killer))
    partition.take_records([killer])
    assert partition.turn().end is TurnEnd.OWNER_UNKNOWN
    assert partition.resume_point().suspects == (suspect(killer),)
    partition.owners_known(below=1)
    result = partition.turn()
    assert result.end is TurnEnd.IDLE
    assert result.orphan_pending, "its id can't be requested before this is committed"
    letter = take_outcome(partition).dead_letters[0]
    assert (letter.reason, letter.message) == (DeadLetterReason.NODE_KILLER, killer)


def test_a_batch_of_an_export_that_has_ended_is_late(bench: Bench) -> None:
    bench.request("a")
    bench.batch(0, [1], last=True)
    killer = bench.raw(RECORDS, b"{", b"a")
    partition = owner(bench, suspect(killer))
    assert isinstance(only(bench.turn(partition)), ExportCompleted)
    assert take_outcome(partition).dead_letters == []
    assert bench.metric("sluice_batches_dropped_total", why="late") == 1


def test_a_request_that_nodes_died_on_twice_fails_unread(bench: Bench) -> None:
    killer = bench.raw(REQUESTS, b"never decoded", b"a")
    late = bench.batch(0, [1], last=True)
    partition = owner(bench, suspect(killer))
    event = internal(only(bench.turn(partition)), killer)
    assert (event.export_id, event.format, event.user) == ("a", "unknown", "anonymous")
    assert event.source.offset == killer.offset
    assert late.offset < partition.next_offsets[1]
    assert bench.files() == {"a.manifest.json"}
    assert bench.metric("sluice_batches_dropped_total", why="late") == 1


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"{", b"no id!"),
        (b"{", None),
        (b'{"type":"export.requested","export_id":"b"}', b"b"),
        (b'{"type":"export.cancel_requested","export_id":"c"}', b"c"),
    ],
    ids=["key is no id", "no key", "id is open", "cancellation"],
)
def test_what_cannot_be_the_request_of_an_export_is_a_dead_letter(
    bench: Bench, value: bytes, key: bytes | None
) -> None:
    bench.request("b")
    killer = bench.raw(REQUESTS, value, key)
    bench.batch(0, [1], export_id="b", last=True)
    partition = owner(bench, suspect(killer))
    partition.take_requests(bench.requests)
    partition.take_records(bench.records)
    while partition.turn().end is TurnEnd.SPENT:
        pass
    outcome = take_outcome(partition)
    assert isinstance(only(outcome.events), ExportCompleted)
    assert [it.reason for it in outcome.dead_letters] == [DeadLetterReason.NODE_KILLER]


def test_the_request_of_an_open_export_may_kill_who_restores_it(bench: Bench) -> None:
    killer = bench.request("a", user="alice")
    bench.batch(0, [1])
    bench.turn()
    point = replace(bench.partition.resume_point(), suspects=(suspect(killer),))
    partition, events = bench.replay(point)
    assert internal(only(events), killer).user == "anonymous"
    assert partition.resume_point() == ResumePoint(1, (), 1, 1)


def test_the_manifest_decides_over_a_request_that_is_set_aside(bench: Bench) -> None:
    killer = bench.request("a")
    bench.batch(0, [1], last=True)
    decided = only(bench.turn())
    partition, events = bench.replay(replace(START, suspects=(suspect(killer),)))
    assert events == [decided]
    assert partition.resume_point().open_requests == ()


@pytest.mark.parametrize("of_request", [True, False])
def test_what_completed_and_has_no_file_is_made_again(bench: Bench, of_request: bool) -> None:
    """An attempt before outlived all its messages, and its manifest binds."""
    request = bench.request("a")
    batch = bench.batch(0, [1], last=True)
    decided = only(bench.turn())
    (bench.directory / "a.csv").unlink()
    killer = request if of_request else batch
    _, events = bench.replay(replace(START, suspects=(suspect(killer),)))
    assert [event.event_id for event in events] == [decided.event_id]
    assert bench.files() == {"a.csv", "a.manifest.json"}


def test_what_was_set_aside_is_known_as_long_as_it_is_read_again(bench: Bench) -> None:
    bench.request("a")
    bench.request("b")
    bench.batch(0, [1], export_id="a")
    killer = bench.batch(0, [1], export_id="b")
    partition = owner(bench, suspect(killer))
    internal(only(bench.turn(partition)), killer)
    point = partition.resume_point()
    assert point.suspects == (suspect(killer),)
    replayed, events = bench.replay(point)
    assert events == []
    assert take_outcome(replayed).dead_letters == []
    bench.batch(1, export_id="a", last=True)
    assert isinstance(only(bench.turn(replayed)), ExportCompleted)
    assert replayed.resume_point().suspects == ()


def test_a_replayed_batch_fails_the_export_that_it_was_part_of(bench: Bench) -> None:
    bench.request("a")
    killer = bench.batch(0, [1])
    bench.turn()
    point = bench.partition.resume_point()
    assert point.records_position == 1
    _, events = bench.replay(replace(point, suspects=(suspect(killer),)))
    assert internal(only(events), killer).rows == 0


class Watched:
    """An owner whose writer looks at what is marked while it has rows in hand."""

    def __init__(self, bench: Bench) -> None:
        self.marks: list[MessagePlace | None] = []
        storage = bench.storage
        marks = self.marks

        class Writer(CsvWriter):
            def append(self, rows: Any) -> bytes:
                marks.extend(mark.place for mark in storage.left_marks(3))
                return super().append(rows)

        context = ExportContext(storage, lambda request, _: Writer(request), bench.metrics, 1_000)
        self.partition = PartitionExports(3, START, context)


def places(marks: Sequence[Mark]) -> list[MessagePlace | None]:
    return [mark.place for mark in marks]


def test_what_is_in_hand_is_marked_for_the_next_owner(bench: Bench) -> None:
    watched = Watched(bench)
    bench.request("a")
    for seq in range(3):
        bench.batch(seq, [1], last=seq == 2)
    bench.turn(watched.partition)
    assert list(dict.fromkeys(watched.marks)) == [MessagePlace(True, offset) for offset in range(3)]
    assert places(bench.storage.left_marks(3)) == [None]
    watched.partition.discard()
    assert bench.storage.left_marks(3) == []


def test_nothing_is_marked_while_the_storage_is_waited_for(bench: Bench) -> None:
    watched = Watched(bench)
    manifest = bench.directory / "a.manifest.json"
    os.mkfifo(manifest)
    bench.request("a")
    with ThreadPoolExecutor(1) as threads:
        turn = threads.submit(bench.turn, watched.partition)
        try:
            # Writing the mark counts as a call to the storage too, but a short one.
            wait_until(lambda: watched.partition.in_hand.storage_seconds() > 0.5)
            assert places(bench.storage.left_marks(3)) == [None]
        finally:
            manifest.open("wb").close()  # now it is read, and is no manifest
        assert turn.exception(5)
    assert places(bench.storage.left_marks(3)) == [None]


class BesideOne:
    """A node that has one message in hand in another partition, and an owner of a suspect."""

    def __init__(self, bench: Bench, most_seconds: float) -> None:
        self.left: list[Mark] = []
        storage, left = bench.storage, self.left

        class Writer(CsvWriter):
            def append(self, rows: Any) -> bytes:
                left.extend(storage.left_marks(3))
                return super().append(rows)

        bench.request("a")
        killer = bench.batch(0, [1], last=True)
        self.gate = Gate(most_seconds)
        hands = PartitionsInHand(self.gate)
        context = ExportContext(
            storage, lambda request, _: Writer(request), bench.metrics, 1_000, in_hand=hands
        )
        self.other = hands.begin(4, storage.open_mark(4))
        self.other.take(killer, is_batch=True)
        point = replace(START, suspects=(suspect(killer, ONCE),))
        self.partition = PartitionExports(3, point, context)


def test_a_suspect_waits_until_its_node_has_nothing_else_in_hand(bench: Bench) -> None:
    node = BesideOne(bench, most_seconds=60)
    with ThreadPoolExecutor(1) as threads:
        turn = threads.submit(bench.turn, node.partition)
        try:
            wait_until(lambda: node.gate.wanted)
            assert not turn.done()
            assert not list(bench.directory.glob("a.*"))
        finally:
            node.other.put_down()
        assert isinstance(only(turn.result(5)), ExportCompleted)
    assert {(mark.place, mark.alone) for mark in node.left} == {(MessagePlace(True, 0), True)}


def test_a_death_beside_a_message_that_hangs_does_not_count_as_the_second(bench: Bench) -> None:
    node = BesideOne(bench, most_seconds=0.05)
    assert isinstance(only(bench.turn(node.partition)), ExportCompleted)
    assert {(mark.place, mark.alone) for mark in node.left} == {(MessagePlace(True, 0), False)}
    point = replace(START, suspects=(suspect(bench.records[0], ONCE),))
    assert point.suspecting(node.left) == point
    node.other.put_down()
