"""The scratch disk of an object storage: marks, leftovers of the dead, descriptors."""

import os
import time
from pathlib import Path

import pytest

from consumer.core.suspects import MessagePlace
from consumer.errors import PartLost, StorageUnavailable
from consumer.storage.objects.scratch import Scratch
from consumer.storage.objects.storage import ObjectStorage
from schemas.completions import ExportCompleted
from sluice.errors import UserError
from sluice.storage import within
from tests.storage.test_local import open_below
from tests.support.faulty_bucket import Faulty, killed, process
from tests.support.storages import PARTITION, finished, synced


def test_marks_of_a_killed_process_are_brought_in_by_the_next_on_its_disk(
    faulty: Faulty, tmp_path: Path
) -> None:
    elsewhere = process(faulty, tmp_path / "elsewhere")
    killed(faulty, tmp_path / "disk", MessagePlace(True, 42))
    assert elsewhere.left_marks(PARTITION) == []
    disk = Scratch(tmp_path / "disk")
    ObjectStorage(faulty, disk).check()
    marks = elsewhere.left_marks(PARTITION)
    assert [mark.place for mark in marks] == [MessagePlace(True, 42)]
    assert [path.name for path in disk.place.parent.iterdir()] == [disk.place.name]
    elsewhere.remove_marks(PARTITION, marks)
    assert elsewhere.left_marks(PARTITION) == []


def test_a_mark_that_cannot_be_brought_in_is_kept(faulty: Faulty, tmp_path: Path) -> None:
    killed(faulty, tmp_path, MessagePlace(True, 42))
    next_one = ObjectStorage(faulty, Scratch(tmp_path))
    next_one.find()
    next_one.sweep(PARTITION)
    faulty.refused = {"write"}
    with pytest.raises(StorageUnavailable):
        next_one.check()
    faulty.refused = set()
    next_one.check()
    assert [mark.place for mark in next_one.left_marks(PARTITION)] == [MessagePlace(True, 42)]


async def test_a_scratch_directory_that_refuses_is_named_by_its_own_setting(
    faulty: Faulty, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    words = r"the scratch directory .*/file can't be written: Not a directory"
    with pytest.raises(UserError, match=f"^SLUICE_SCRATCH_DIR: {words}$"):
        await within(ObjectStorage(faulty, Scratch(tmp_path / "file")).check)
    faulty.refused = {"write"}
    with pytest.raises(UserError, match=r"^SLUICE_STORAGE_URL: write is refused$"):
        await within(ObjectStorage(faulty, Scratch(tmp_path / "disk")).check)


def test_a_living_process_on_the_same_disk_is_left_alone(faulty: Faulty, tmp_path: Path) -> None:
    one, other = (ObjectStorage(faulty, Scratch(tmp_path)) for _ in range(2))
    one.check()
    part = one.open_part(PARTITION, "a", "csv")
    part.append(b"x")
    part.flush()
    one.open_mark(PARTITION).set(True, 1, 1)
    other.check()
    other.sweep(PARTITION)
    part.sync()
    assert [mark.place for mark in one.left_marks(PARTITION)] == [MessagePlace(True, 1)]


def test_a_scratch_directory_that_was_removed_is_made_again(faulty: Faulty, tmp_path: Path) -> None:
    disk = Scratch(tmp_path)
    storage = ObjectStorage(faulty, disk)
    storage.check()
    part = storage.open_part(PARTITION, "a", "csv")
    part.append(b"x")
    part.flush()
    disk.place.rename(tmp_path / "elsewhere")
    part.append(b"x")
    with pytest.raises(PartLost):
        part.flush()
    storage.check()
    finished(storage, "b", b"x")


def test_drafts_of_scratch_directories_are_removed_when_they_are_old(
    faulty: Faulty, tmp_path: Path
) -> None:
    disk = Scratch(tmp_path)
    storage = ObjectStorage(faulty, disk)
    storage.check()
    draft = disk.place.parent / ".new-0123"
    draft.mkdir()
    storage.check()
    assert draft.exists()
    minutes_ago = time.time() - 120
    os.utime(draft, (minutes_ago, minutes_ago))
    storage.check()
    assert not draft.exists()


def test_no_descriptor_stays_open(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    for number in range(50):
        finished(storage, f"e{number}", b"x")
    (scratch,) = open_below(tmp_path)
    assert Path(scratch).is_dir(), "it holds the lock of its directory"


def test_parts_are_gone_once_they_are_uploaded(faulty: Faulty, tmp_path: Path) -> None:
    storage = process(faulty, tmp_path)
    finished(storage, "a", b"x")
    lost, _event = synced(storage, "b", b"x")
    lost.discard()
    assert not [path for path in tmp_path.rglob("parts/*/*") if path.is_file()]
    assert isinstance(storage.manifest("a"), ExportCompleted)
