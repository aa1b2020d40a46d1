"""One behaviour suite for every storage: parts, the decision, what is left behind."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consumer.core.suspects import Place
from consumer.errors import PartLost
from consumer.storage.base import Storage
from consumer.storage.local import LocalStorage
from schemas.completions import ExportCancelled, ExportCompleted, Source, TerminalEvent
from schemas.vocabulary import Format

MOMENT = datetime(2026, 11, 21, 10, tzinfo=UTC)
STORAGES: dict[str, Callable[[Path], Storage]] = {"local": LocalStorage}


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return STORAGES[request.param](tmp_path / "exports")


def cancelled(export_id: str, offset: int = 0) -> ExportCancelled:
    return ExportCancelled(
        export_id=export_id,
        user="u",
        rows=0,
        requested_at=MOMENT,
        started_at=None,
        completed_at=MOMENT,
        duration_ms=1,
        source=Source(topic="t", partition=3, offset=offset),
        format=Format.CSV,
        message="no more wanted",
    )


def completed(export_id: str, content: bytes, location: str) -> ExportCompleted:
    fields = cancelled(export_id).model_dump(exclude={"type", "message"})
    return ExportCompleted(
        **fields,
        location=location,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def read(storage: Storage, export_id: str) -> bytes | None:
    path = Path(storage.location(export_id, Format.CSV).removeprefix("file://"))
    return path.read_bytes() if path.exists() else None


def test_a_part_becomes_a_file_only_when_it_is_published(storage: Storage) -> None:
    part = storage.open_part(3, "a", Format.CSV)
    part.append(b"one,")
    part.flush()
    part.append(b"two")
    part.sync()
    assert read(storage, "a") is None
    part.publish()
    part.publish()
    assert read(storage, "a") == b"one,two"
    assert part.size == 7
    assert part.sha256 == hashlib.sha256(b"one,two").hexdigest()


def test_an_empty_file_is_a_file(storage: Storage) -> None:
    part = storage.open_part(3, "a", Format.CSV)
    part.sync()
    part.publish()
    assert read(storage, "a") == b""


def test_a_discarded_part_leaves_nothing(storage: Storage) -> None:
    part = storage.open_part(3, "a", Format.CSV)
    part.append(b"one")
    part.flush()
    part.discard()
    assert storage.sweep(3) == 0
    assert read(storage, "a") is None


def test_the_first_decision_binds(storage: Storage) -> None:
    first, second = cancelled("a", offset=1), cancelled("a", offset=2)
    assert storage.manifest("a") is None
    assert storage.decide(first) == first
    assert storage.decide(second) == first
    assert storage.manifest("a") == first
    storage.settle()


def test_a_file_is_seen_under_its_final_name_only_whole(storage: Storage) -> None:
    event: TerminalEvent = completed("a", b"one", storage.location("a", Format.CSV))
    assert not storage.has_file(event)
    part = storage.open_part(3, "a", Format.CSV)
    part.append(b"one")
    part.sync()
    part.publish()
    assert storage.has_file(event)
    assert not storage.has_file(cancelled("a"))


def test_a_sweep_takes_the_parts_of_its_partition_only(storage: Storage) -> None:
    ours, others = storage.open_part(3, "a", Format.CSV), storage.open_part(4, "b", Format.CSV)
    for part in (ours, others):
        part.append(b"x")
        part.flush()
    assert storage.sweep(3) == 1
    others.sync()
    others.publish()
    assert read(storage, "b") == b"x"


@pytest.mark.parametrize("act", ["flush", "sync"])
def test_who_was_swept_is_told_and_makes_no_file(storage: Storage, act: str) -> None:
    part = storage.open_part(3, "a", Format.CSV)
    part.append(b"x")
    part.flush()
    storage.sweep(3)
    part.append(b"y")
    with pytest.raises(PartLost):
        getattr(part, act)()
    with pytest.raises(PartLost):
        part.publish()
    assert read(storage, "a") is None


def test_a_mark_is_there_for_the_next_owner(storage: Storage) -> None:
    storage.check()
    first, second = storage.open_mark(3), storage.open_mark(3)
    assert storage.left_marks(3) == []
    first.clear()
    second.set(True, 2**62)
    first.set(False, 0)
    found = {mark.name: mark.place for mark in storage.left_marks(3)}
    assert len(found) == 2
    assert set(found.values()) == {Place(False, 0), Place(True, 2**62)}
    assert storage.left_marks(4) == []


def test_a_mark_says_what_is_in_hand_now(storage: Storage) -> None:
    storage.check()
    mark = storage.open_mark(3)
    for place in (Place(True, 10), Place(True, 9), Place(False, 123_456)):
        mark.set(place.is_batch, place.offset)
        assert [left.place for left in storage.left_marks(3)] == [place]
    mark.clear()
    assert [left.place for left in storage.left_marks(3)] == [None]
    mark.remove()
    mark.remove()
    assert storage.left_marks(3) == []


def test_a_mark_says_whether_its_message_is_alone(storage: Storage) -> None:
    storage.check()
    mark = storage.open_mark(3)
    for alone in (True, False, True):
        mark.set(True, 10, alone=alone)
        assert [(left.place, left.alone) for left in storage.left_marks(3)] == [
            (Place(True, 10), alone)
        ]
    mark.clear()
    assert [(left.place, left.alone) for left in storage.left_marks(3)] == [(None, False)]


def test_a_mark_that_was_counted_does_not_come_back(storage: Storage) -> None:
    storage.check()
    mark, other = storage.open_mark(3), storage.open_mark(3)
    mark.set(True, 7)
    counted = storage.left_marks(3)
    other.set(True, 8)
    storage.remove_marks(3, counted)
    storage.remove_marks(3, counted)
    mark.set(True, 9)  # its owner doesn't know yet
    mark.clear()
    assert [left.place for left in storage.left_marks(3)] == [Place(True, 8)]
    mark.remove()


def test_a_sweep_leaves_marks(storage: Storage) -> None:
    storage.check()
    storage.open_mark(3).set(True, 7)
    assert storage.sweep(3) == 0
    assert len(storage.left_marks(3)) == 1


def test_a_hostile_id_stays_inside(storage: Storage) -> None:
    for export_id in ("a..", "a.manifest", "A-_.9" * 25):
        part = storage.open_part(3, export_id, Format.CSV)
        part.sync()
        part.publish()
        assert read(storage, export_id) == b""
        assert storage.decide(cancelled(export_id)).export_id == export_id


def test_check_passes_where_it_can_be_written(storage: Storage) -> None:
    storage.check()
    storage.check()
    storage.close()
