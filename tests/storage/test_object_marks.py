"""Marks of what lasts, in a bucket: seen by all, whatever becomes of the disk."""

from pathlib import Path

from consumer.core.suspects import MessagePlace
from tests.support.faulty_bucket import Faulty, process
from tests.support.storages import PARTITION
from tests.support.waiting import wait_until


def marked(faulty: Faulty) -> list[str]:
    """Names of the marks in the bucket."""
    return sorted(name for name in faulty.names() if name.startswith("in-hand/"))


def test_what_stays_in_hand_is_seen_by_all_while_it_does(faulty: Faulty, tmp_path: Path) -> None:
    storage, elsewhere = (process(faulty, tmp_path) for _ in range(2))
    mark = storage.open_mark(PARTITION)
    mark.set(True, 42, 42, alone=True)
    wait_until(lambda: elsewhere.left_marks(PARTITION))
    (left,) = elsewhere.left_marks(PARTITION)
    assert (left.place, left.alone) == (MessagePlace(True, 42), True)
    mark.set(False, 7, 8)
    wait_until(lambda: len(elsewhere.left_marks(PARTITION)) == 2)
    mark.clear()
    wait_until(lambda: not elsewhere.left_marks(PARTITION))
    mark.set(True, 43, 43)
    wait_until(lambda: elsewhere.left_marks(PARTITION))
    mark.remove()
    wait_until(lambda: not elsewhere.left_marks(PARTITION))


def test_what_is_handled_at_once_costs_no_request(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    quick, slow = storage.open_mark(PARTITION), storage.open_mark(PARTITION)
    slow.set(True, 1, 1)
    while not marked(faulty):
        quick.set(True, 2, 2)
        quick.clear()
    assert len(marked(faulty)) == 1
    assert [mark.place for mark in process(faulty, tmp_path).left_marks(PARTITION)] == [
        MessagePlace(True, 1)
    ]


def test_a_mark_that_the_store_refuses_is_brought_in_later(faulty: Faulty, tmp_path: Path) -> None:
    storage, elsewhere = (process(faulty, tmp_path) for _ in range(2))
    faulty.refused = {"write"}
    storage.open_mark(PARTITION).set(True, 42, 42)
    wait_until(lambda: any(call.startswith("write in-hand/") for call in faulty.calls))
    assert marked(faulty) == []
    faulty.refused = set()
    wait_until(lambda: marked(faulty))
    counted = elsewhere.left_marks(PARTITION)
    elsewhere.remove_marks(PARTITION, counted)
    assert marked(faulty) == []


def test_a_process_that_ends_in_peace_leaves_no_mark(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    mark = storage.open_mark(PARTITION)
    mark.set(True, 42, 42)
    wait_until(lambda: marked(faulty))
    mark.clear()
    mark.remove()
    storage.close()
    assert marked(faulty) == []
