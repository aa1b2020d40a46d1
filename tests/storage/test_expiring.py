"""On every storage expired files and old manifests are removed, by any process; nothing else."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from obstore.store import MemoryStore

from consumer.core.expiry import Due, Removed
from consumer.storage.base import GroupStorage
from consumer.storage.local import LocalStorage
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.storage import ObjectStorage
from tests.support.storages import (
    PARTITION,
    Opened,
    cancelled,
    finished,
    objects,
    read,
    synced,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
OURS = [PARTITION]


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def ids(removals: Iterator[Removed]) -> list[str]:
    found = list(removals)
    assert not [why for removed in found for why in removed.refused]
    return sorted(export_id for removed in found for export_id, _ in removed.exports)


def owner(moment: datetime) -> Due:
    return Due.for_owner(moment, OURS)


def test_a_file_is_removed_once_it_is_due_and_its_manifest_stays(another: Opened) -> None:
    storage, began = another(), now()
    soon = finished(storage, "soon", b"abc", began + MINUTE)
    later = finished(storage, "later", b"x", began + HOUR)
    stays = finished(storage, "stays", b"x")
    storage.decide(cancelled("cancelled"))
    assert ids(another().expire(owner(began))) == []
    assert ids(another().expire(owner(began + 2 * MINUTE))) == [], "its clock may run ahead"
    assert ids(another().expire(Due.for_owner(began + 5 * MINUTE, []))) == [], "it is another's"
    (removed,) = [one for one in another().expire(owner(began + 5 * MINUTE)) if one.exports]
    assert removed == Removed((("soon", 3),))
    assert ids(another().expire(owner(began + 5 * MINUTE))) == []
    assert read(storage, soon) is None
    assert storage.manifest("soon") == soon
    assert read(storage, later) == read(storage, stays) == b"x"
    assert ids(another().expire(Due.for_owner(began + HOUR + 9 * MINUTE, []))) == ["later"]
    assert read(storage, stays) == b"x"
    assert another().sweep(PARTITION) == 0


def test_all_that_has_expired_is_removed_at_once_and_no_more(another: Opened) -> None:
    storage = another()
    slot = now().replace(minute=0, second=0) + HOUR
    finished(storage, "a", b"x", slot)
    kept = finished(storage, "b", b"x", slot + MINUTE)
    dry = ids(storage.expire(Due.at_once(slot), dry_run=True))
    assert dry == []
    dry = ids(storage.expire(Due.at_once(slot + timedelta(seconds=1)), dry_run=True))
    assert dry == ids(storage.expire(Due.at_once(slot + timedelta(seconds=1)))) == ["a"]
    assert read(storage, kept) == b"x"
    assert ids(storage.expire(Due.at_once(slot + MINUTE))) == ["b"]


def test_the_manifest_says_when_whatever_was_noted(another: Opened) -> None:
    """As where another attempt, that ended later, decided."""
    storage, began = another(), now()
    part, event = synced(storage, "a", b"x")
    early, late = (event.model_copy(update={"expires_at": began + n * HOUR}) for n in (1, 2))
    storage._expiring.note(early)  # type: ignore[attr-defined]
    storage.decide(late)
    part.publish(late)
    assert ids(another().expire(owner(began + HOUR + 10 * MINUTE))) == []
    assert read(storage, late) == b"x"
    assert ids(another().expire(owner(began + 2 * HOUR + 10 * MINUTE))) == ["a"]


def test_a_dry_run_removes_nothing(another: Opened) -> None:
    storage, began = another(), now()
    event = finished(storage, "a", b"abc", began)
    for _ in range(2):
        assert ids(storage.expire(owner(began + DAY), dry_run=True)) == ["a"]
        kept = timedelta(0)
        dry = storage.expire_manifests(owner(began + DAY), kept, dry_run=True)
        assert ids(dry) == ["a"]
    assert read(storage, event) == b"abc"
    assert ids(storage.expire(owner(began + DAY))) == ["a"]


def test_of_several_at_once_none_fails(another: Opened) -> None:
    storage, began = another(), now()
    events = [finished(storage, f"e{n}", b"x", began + n * MINUTE) for n in range(40)]
    due, others = owner(began + HOUR), [another() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda one: ids(one.expire(due)), others))
    assert {one for some in found for one in some} == {event.export_id for event in events}
    assert [read(storage, event) for event in events] == [None] * 40
    assert ids(another().expire(due)) == []


def test_what_is_decided_after_its_note_was_looked_at_is_removed_by_the_next(
    another: Opened,
) -> None:
    storage, began = another(), now()
    part, event = synced(storage, "a", b"x")
    event = event.model_copy(update={"expires_at": began})
    storage._expiring.note(event)  # type: ignore[attr-defined]  # and then it sleeps
    late = owner(began + 10 * MINUTE)
    assert ids(another().expire(late)) == []
    assert storage.decide(event) == event
    part.publish(event)
    assert ids(another().expire(late)) == ["a"]
    assert read(storage, event) is None


def test_a_note_without_a_manifest_goes_after_a_day(another: Opened) -> None:
    storage, began = another(), now()
    _, event = synced(storage, "a", b"x")
    storage._expiring.note(event.model_copy(update={"expires_at": began}))  # type: ignore[attr-defined]
    assert ids(storage.expire(owner(began + 10 * MINUTE))) == []
    assert notes(storage)
    assert ids(storage.expire(owner(began + 2 * DAY))) == []
    assert not notes(storage)


def test_notes_go_with_the_files_but_not_of_a_slot_that_is_not_over(another: Opened) -> None:
    storage, began = another(), now()
    finished(storage, "a", b"x", began)
    assert ids(storage.expire(Due.at_once(now() + timedelta(seconds=1)))) == ["a"]
    finished(storage, "b", b"x", began)  # in the same slot, which it takes for noted
    assert ids(storage.expire(owner(began + 10 * MINUTE))) == ["b"]
    assert not notes(storage)


def test_a_file_that_comes_after_its_expiry_is_removed_too(another: Opened) -> None:
    """As of an owner that slept between the two, and woke after the file was looked for."""
    storage, began = another(), now()
    part, event = synced(storage, "a", b"x")
    event = event.model_copy(update={"expires_at": began - HOUR})
    storage.decide(event)
    assert len(ids(another().expire(owner(began + 10 * MINUTE)))) == int(
        isinstance(storage, ObjectStorage)
    )
    part.publish(event)
    another_part = another().open_part(PARTITION, "a", "csv")
    another_part.append(b"x")
    another_part.sync()
    another_part.publish(event)
    assert read(storage, event) == b"x"
    assert ids(another().expire(owner(began + 10 * MINUTE))) == ["a"]
    assert read(storage, event) is None


def test_old_manifests_go_once_there_is_no_file(another: Opened) -> None:
    storage, began = another(), now()
    finished(storage, "expired", b"x", began)
    finished(storage, "expires", b"x", began + DAY)
    finished(storage, "stays", b"x")
    storage.decide(cancelled("cancelled"))
    for due in (Due.at_once(began), owner(began + 30 * MINUTE)):
        assert ids(storage.expire_manifests(due, HOUR)) == []
    assert ids(another().expire(owner(began + 2 * HOUR))) == ["expired"]
    due = owner(began + 2 * HOUR)
    found = ids(storage.expire_manifests(due, HOUR, dry_run=True))
    assert found == ids(another().expire_manifests(due, HOUR)) == ["cancelled", "expired"]
    assert [storage.manifest(one) for one in found] == [None, None]
    assert all(storage.manifest(one) for one in ("expires", "stays"))
    assert ids(another().expire_manifests(due, HOUR)) == []


def test_what_is_no_manifest_stays_beside_them(tmp_path: Path) -> None:
    bucket = Bucket(MemoryStore(), "memory://b")
    storage = objects(bucket, tmp_path)()
    storage.decide(cancelled("a"))
    bucket.write("manifests/README", b"")
    bucket.write("manifests/deep/a.json", b"")
    assert ids(storage.expire_manifests(owner(now() + DAY), HOUR)) == ["a"]
    left = {one.name for one in bucket.list("manifests")}
    assert left == {"manifests/README", "manifests/deep/a.json"}


def test_a_file_whose_note_is_lost_goes_with_its_manifest(another: Opened) -> None:
    storage, began = another(), now()
    event = finished(storage, "a", b"x", began)
    drop_notes(storage)
    assert ids(another().expire(owner(began + DAY))) == []
    assert ids(another().expire_manifests(owner(began + DAY), HOUR)) == ["a"]
    assert read(storage, event) is None


def test_what_cant_be_removed_holds_up_nothing_else(tmp_path: Path) -> None:
    storage, began = LocalStorage(tmp_path), now()
    for export_id in ("a", "b", "c"):
        finished(storage, export_id, b"x", began)
    (tmp_path / "a.csv").unlink()
    (tmp_path / "a.csv" / "inner").mkdir(parents=True)
    (tmp_path / "b.manifest.json").write_text("{}")
    found = list(storage.expire(owner(began + HOUR)))
    assert [one.exports for one in found] == [(("c", 1),)]
    assert ["can't be removed" in why for one in found for why in sorted(one.refused)] == [
        True,
        False,
    ]
    (tmp_path / "a.csv" / "inner").rmdir()
    (tmp_path / "a.csv").rmdir()
    (tmp_path / "a.csv").touch()
    (again,) = storage.expire(owner(began + HOUR))
    assert (again.exports, len(again.refused)) == ((("a", 1),), 1)


def test_files_of_others_beside_the_notes_hold_up_nothing(tmp_path: Path) -> None:
    """As a desktop leaves ``.DS_Store`` on a network file system."""
    storage, began = LocalStorage(tmp_path), now()
    finished(storage, "a", b"x", began)
    day = tmp_path / ".expiring" / "2026-01-01"
    day.mkdir()
    for place in (day.parent, day):
        (place / ".DS_Store").touch()
    (day / "0000").touch()
    assert ids(storage.expire(owner(began + HOUR))) == ["a"]


def test_nothing_is_removed_of_a_directory_that_took_its_place(tmp_path: Path) -> None:
    storage, began = LocalStorage(tmp_path / "exports"), now()
    finished(storage, "a", b"x", began)
    other = LocalStorage(tmp_path / "other")
    event = finished(other, "a", b"x", began)
    (tmp_path / "exports").rename(tmp_path / "aside")
    (tmp_path / "other").rename(tmp_path / "exports")
    (found,) = storage.expire(owner(began + HOUR))
    assert (found.exports, len(found.refused)) == ((), 1)
    assert read(LocalStorage(tmp_path / "exports"), event) == b"x"


def test_an_unreadable_manifest_keeps_its_file_and_no_other(tmp_path: Path) -> None:
    bucket = Bucket(MemoryStore(), "memory://bucket")
    storage, began = objects(bucket, tmp_path)(), now()
    events = [finished(storage, export_id, b"x", began) for export_id in ("a", "b")]
    manifest = bucket.read("manifests/a.json")
    assert manifest is not None
    bucket.write("manifests/a.json", b"{}")
    (found,) = storage.expire(owner(began + HOUR))
    assert (found.exports, len(found.refused)) == ((("b", 1),), 1)
    assert [read(storage, event) for event in events] == [b"x", None]
    # However long that takes, it is found again when a person puts the manifest right.
    (found,) = storage.expire(owner(began + 3 * DAY))
    assert (found.exports, len(found.refused)) == ((), 1)
    bucket.write("manifests/a.json", manifest)
    assert ids(storage.expire(owner(began + 3 * DAY))) == ["a"]


def test_in_a_bucket_a_hundred_exports_need_one_note(tmp_path: Path) -> None:
    storage, expires_at = objects(Bucket(MemoryStore(), "memory://b"), tmp_path)(), now() + HOUR
    for number in range(150):
        finished(storage, f"e{number}", b"x", expires_at)
    assert len(notes(storage)) == 2
    found = list(storage.expire(owner(expires_at + HOUR)))
    assert [len(one.exports) for one in found] in ([100, 50], [50, 100])
    assert not notes(storage)


class Distant(Bucket):
    """Reads take 50 ms."""

    def read(self, name: str) -> bytes | None:
        time.sleep(0.05)
        return super().read(name)


def test_in_a_bucket_many_manifests_are_read_at_a_time(tmp_path: Path) -> None:
    bucket, expires_at = MemoryStore(), now() + HOUR
    near, far = (objects(one(bucket, "memory://b"), tmp_path)() for one in (Bucket, Distant))
    for number in range(100):
        finished(near, f"e{number}", b"x", expires_at)
    began = time.monotonic()
    assert len(ids(far.expire(owner(expires_at + HOUR)))) == 100
    assert len(ids(far.expire_manifests(owner(expires_at + 3 * HOUR), HOUR))) == 100
    assert time.monotonic() - began < 4, "one after the other they take ten seconds"


def notes(storage: GroupStorage) -> list[str]:
    if isinstance(storage, ObjectStorage):
        return [one.name for one in storage._bucket.list("expiring")]
    assert isinstance(storage, LocalStorage)
    place = storage.directory / ".expiring"
    return [str(path) for path in place.rglob("*") if path.is_file()]


def drop_notes(storage: GroupStorage) -> None:
    if isinstance(storage, ObjectStorage):
        storage._bucket.delete(notes(storage))
    else:
        for note in notes(storage):
            Path(note).unlink()
