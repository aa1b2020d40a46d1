"""One behaviour suite for every storage: parts, the decision, what is left behind."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from consumer.core.suspects import MOST_MARKED, MessagePlace
from consumer.errors import PartLost
from consumer.storage.base import GroupStorage
from consumer.storage.objects import marks
from consumer.storage.objects.layout import name_of
from consumer.storage.objects.storage import ObjectStorage
from schemas.completions import ExportCompleted
from tests.support.storages import (
    PARTITION,
    Opened,
    cancelled,
    completed,
    finished,
    read,
    synced,
)

LARGE = bytes(range(256)) * 100_000
"""More than one part of a multipart upload."""


@pytest.fixture(autouse=True)
def _nothing_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks as they are while messages are handled; ``test_object_marks`` has what lasts longer.

    On a busy machine the tenth of a second is over in the middle of a test, and a copy of the mark
    is on its way into the bucket.
    """
    monkeypatch.setattr(marks, "LASTING_SECONDS", 600.0)


def test_a_part_becomes_a_file_only_when_it_is_published(storage: GroupStorage) -> None:
    part = storage.open_part(PARTITION, "a", "csv")
    part.append(b"one,")
    part.flush()
    part.append(b"two")
    assert part.size == 7
    assert part.sha256 == hashlib.sha256(b"one,two").hexdigest()
    part.sync()
    assert storage.manifest("a") is None
    event = completed("a", b"one,two", part.location)
    assert storage.decide(event) == event
    part.publish(event)
    part.publish(event)
    part.discard()
    assert storage.manifest("a") == event
    assert read(storage, event) == b"one,two"


def test_the_location_does_not_change(storage: GroupStorage) -> None:
    part, event = synced(storage, "a", b"x")
    storage.decide(event)
    part.publish(event)
    assert part.location == event.location


def test_a_large_file_is_whole(storage: GroupStorage) -> None:
    event = finished(storage, "a", LARGE)
    assert event.bytes == len(LARGE)
    assert hashlib.sha256(read(storage, event) or b"").hexdigest() == event.sha256


def test_a_file_is_read_in_pieces(storage: GroupStorage) -> None:
    file = storage.open_file(finished(storage, "a", LARGE))
    assert file is not None
    assert file.size == len(LARGE)
    for offset, size in ((0, 10), (5, 10), (2_000_001, 3), (len(LARGE) - 5, 50)):
        assert file.read(offset, size) == LARGE[offset : offset + size]
    assert file.read(len(LARGE), 10) == b""
    joined, offset = bytearray(), 0
    while piece := file.read(offset, 700_000):
        joined += piece
        offset += len(piece)
    assert joined == LARGE


def test_an_empty_file_is_a_file(storage: GroupStorage) -> None:
    event = finished(storage, "a", b"")
    assert storage.has_file(event)
    assert read(storage, event) == b""


@pytest.mark.parametrize("reached", ["append", "flush", "sync"])
def test_a_discarded_part_leaves_nothing(another: Opened, reached: str) -> None:
    storage = another()
    part = storage.open_part(PARTITION, "a", "csv")
    part.append(b"one")
    if reached != "append":
        getattr(part, reached)()
    event = completed("a", b"one", part.location)
    part.discard()
    decided = storage.decide(cancelled("a"))
    part.discard(decided)
    part.discard(decided)
    assert storage.sweep(PARTITION) == another().sweep(PARTITION) == 0
    assert read(storage, event) is None


def test_the_first_decision_binds(another: Opened) -> None:
    storage = another()
    first, second = cancelled("a", offset=1), cancelled("a", offset=2)
    assert storage.manifest("a") is None
    assert storage.decide(first) is first
    assert another().decide(second) == first
    assert storage.decide(first) == first
    assert storage.manifest("a") == another().manifest("a") == first
    storage.settle()


def test_of_many_at_once_one_decides(another: Opened) -> None:
    storages = [another() for _ in range(4)]
    with ThreadPoolExecutor(16) as threads:
        for number in range(20):
            proposed = [cancelled(f"e{number}", offset) for offset in range(16)]
            decided = threads.map(
                lambda event: storages[event.source.offset % 4].decide(event), proposed
            )
            assert len({event.source.offset for event in decided}) == 1


def test_a_file_is_there_only_whole(storage: GroupStorage) -> None:
    part, event = synced(storage, "a", b"one")
    storage.decide(event)
    part.publish(event)
    assert storage.has_file(event)
    assert not storage.has_file(cancelled("a"))
    assert not storage.has_file(event.model_copy(update={"bytes": 4}))
    assert not storage.has_file(completed("b", b"one", event.location.replace("/a.", "/b.")))
    assert storage.open_file(event.model_copy(update={"bytes": 4})) is None


def test_of_two_attempts_one_file_stays(another: Opened) -> None:
    one, other = another(), another()
    lost, losing = synced(one, "a", b"x,y")
    won, winning = synced(other, "a", b"x,y")
    assert other.decide(winning) == winning
    decided = one.decide(losing)
    assert isinstance(decided, ExportCompleted)
    lost.publish(decided)
    won.publish(decided)
    assert read(one, decided) == read(other, decided) == b"x,y"
    assert another().sweep(PARTITION) == 0
    assert read(one, decided) == b"x,y"


def test_a_late_attempt_changes_nothing_of_a_finished_file(another: Opened) -> None:
    storage = another()
    event = finished(storage, "a", b"x,y")
    late, _ = synced(another(), "a", b"of another build")
    assert read(storage, event) == b"x,y"
    late.discard(event)
    assert read(storage, event) == b"x,y"


def test_what_was_decided_without_its_file_is_made_by_the_next(another: Opened) -> None:
    """As after a kill between the two, or a late attempt whose file was swept."""
    decided = lost_file(another)
    successor = another()
    successor.sweep(PARTITION)
    assert not successor.has_file(decided)
    part = successor.open_part(PARTITION, "a", "csv", decided)
    part.append(b"x,y")
    part.sync()
    assert successor.decide(completed("a", b"x,y", part.location)) == decided
    part.publish(decided)
    assert read(successor, decided) == b"x,y"
    assert another().sweep(PARTITION) == 0
    assert read(successor, decided) == b"x,y"


def test_who_learns_late_of_a_decision_makes_its_file_too(another: Opened) -> None:
    ours = another()
    part, event = synced(ours, "a", b"x,y")
    decided = lost_file(another)
    assert ours.decide(event) == decided
    part.publish(decided)
    assert read(ours, decided) == b"x,y"
    assert another().sweep(PARTITION) == 0
    assert read(ours, decided) == b"x,y"


def test_a_part_of_what_is_decided_removes_no_file(another: Opened) -> None:
    storage = another()
    decided = finished(storage, "a", b"x,y")
    part = another().open_part(PARTITION, "a", "csv", decided)
    part.append(b"x,y")
    part.flush()
    part.discard()
    assert read(storage, decided) == b"x,y"


def lost_file(another: Opened) -> ExportCompleted:
    """A manifest whose file is gone."""
    late = another()
    part, event = synced(late, "a", b"x,y")
    assert late.decide(event) == event
    part.discard()
    if isinstance(late, ObjectStorage):  # as a sweep before the manifest may have done
        late._bucket.delete([name_of(event.location) or ""])
    return event


def test_what_a_manifest_may_name_is_not_removed(another: Opened) -> None:
    """Who created it may not have heard so, and others have seen it by now."""
    late, other = another(), another()
    part, event = synced(late, "a", b"x,y")
    late.decide(event)
    if isinstance(late, ObjectStorage):
        part.discard()
        assert read(other, event) == b"x,y"
        assert other.sweep(PARTITION) == 0
        assert read(other, event) == b"x,y"


def test_a_sweep_takes_what_a_partitions_dead_owner_left(another: Opened) -> None:
    dead, ours = another(), another()
    ours.sweep(PARTITION)
    synced(dead, "a", b"x")
    ours.decide(cancelled("a"))
    assert ours.sweep(PARTITION + 1) == 0
    assert ours.sweep(PARTITION) == 1
    assert ours.sweep(PARTITION) == 0


def test_a_sweep_leaves_finished_files(another: Opened) -> None:
    storage = another()
    events = [finished(storage, f"e{number}", b"x") for number in range(5)]
    successor = another()
    assert successor.sweep(PARTITION) == storage.sweep(PARTITION) == successor.sweep(PARTITION) == 0
    assert [read(successor, event) for event in events] == [b"x"] * 5


def test_a_sweep_takes_the_parts_of_its_partition_only(storage: GroupStorage) -> None:
    ours, others = (storage.open_part(number, "a", "csv") for number in (3, 4))
    for part in (ours, others):
        part.append(b"x")
        part.flush()
    assert storage.sweep(3) == 1
    event = completed("a", b"x", others.location)
    others.sync()
    others.publish(event)
    assert read(storage, event) == b"x"


@pytest.mark.parametrize("act", ["flush", "sync"])
def test_who_was_swept_learns_it_and_makes_no_file(storage: GroupStorage, act: str) -> None:
    part = storage.open_part(PARTITION, "a", "csv")
    part.append(b"x")
    part.flush()
    storage.sweep(PARTITION)
    part.append(b"y")
    with pytest.raises(PartLost):
        getattr(part, act)()
    with pytest.raises(PartLost):
        part.sync()
    part.discard()
    assert storage.sweep(PARTITION) == 0


def test_a_mark_is_there_for_the_next_owner(storage: GroupStorage) -> None:
    first, second = storage.open_mark(3), storage.open_mark(3)
    assert storage.left_marks(3) == []
    first.clear()
    second.set(True, 2**62, 2**62)
    first.set(False, 0, 0)
    found = {mark.name: mark.place for mark in storage.left_marks(3)}
    assert len(found) == 2
    assert set(found.values()) == {MessagePlace(False, 0), MessagePlace(True, 2**62)}
    assert storage.left_marks(4) == []


def test_a_mark_says_what_is_in_hand_now(storage: GroupStorage) -> None:
    mark = storage.open_mark(3)
    for place in (MessagePlace(True, 10), MessagePlace(True, 9), MessagePlace(False, 123_456)):
        mark.set(place.is_batch, place.offset, place.offset)
        assert [left.place for left in storage.left_marks(3)] == [place]
    mark.clear()
    assert [left.place for left in storage.left_marks(3)] == [None]
    mark.remove()
    mark.remove()
    assert storage.left_marks(3) == []


def test_a_mark_may_be_of_some_messages_at_once(storage: GroupStorage) -> None:
    mark = storage.open_mark(3)
    mark.set(True, 10, 11)
    left = storage.left_marks(3)
    assert [one.place for one in left] == [MessagePlace(True, offset) for offset in (10, 11)]
    assert len({one.name for one in left}) == 1
    mark.set(True, 10, 10**12)
    assert len(storage.left_marks(3)) == MOST_MARKED
    storage.remove_marks(3, left)
    assert storage.left_marks(3) == []


def test_a_mark_says_whether_its_message_is_alone(storage: GroupStorage) -> None:
    mark = storage.open_mark(3)
    for alone in (True, False, True):
        mark.set(True, 10, 10, alone=alone)
        assert [(left.place, left.alone) for left in storage.left_marks(3)] == [
            (MessagePlace(True, 10), alone)
        ]
    mark.clear()
    assert [(left.place, left.alone) for left in storage.left_marks(3)] == [(None, False)]


def test_a_mark_that_was_counted_does_not_come_back(storage: GroupStorage) -> None:
    mark, other = storage.open_mark(3), storage.open_mark(3)
    mark.set(True, 7, 7)
    counted = storage.left_marks(3)
    other.set(True, 8, 8)
    storage.remove_marks(3, counted)
    storage.remove_marks(3, counted)
    mark.set(True, 9, 9)  # its owner doesn't know yet
    mark.clear()
    assert [left.place for left in storage.left_marks(3)] == [MessagePlace(True, 8)]
    mark.remove()


def test_a_sweep_leaves_marks(storage: GroupStorage) -> None:
    storage.open_mark(3).set(True, 7, 7)
    assert storage.sweep(3) == 0
    assert len(storage.left_marks(3)) == 1


def test_a_hostile_id_stays_inside(storage: GroupStorage) -> None:
    for export_id in ("a..", "a.manifest", "A-_.9" * 25, "files", "1-a", "a.csv", "manifests"):
        event = finished(storage, export_id, export_id.encode())
        assert read(storage, event) == export_id.encode()
        assert storage.manifest(export_id) == event
    assert storage.sweep(PARTITION) == 0


def test_it_is_founded_once_and_found_again(another: Opened) -> None:
    assert another().find() is None
    storages = [another() for _ in range(16)]
    with ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(lambda storage: storage.found(), storages))
    assert len(set(ids)) == 1
    assert another().find() == another().found() == ids[0]


def test_whether_it_holds_exports_shows_without_an_id(another: Opened) -> None:
    assert not another().holds_exports()
    another().decide(cancelled("a"))
    assert another().holds_exports()


def test_check_passes_where_it_can_be_written(storage: GroupStorage) -> None:
    storage.check()
    storage.check()
    storage.close()
