"""Which storage a root is: founded once, recognised, and never made again."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consumer.errors import PartLost, StorageUnavailable
from consumer.storage.identity import NAME, Identity
from consumer.storage.local import LocalStorage
from schemas.completions import Source
from tests.support.storages import cancelled, finished

CONTENT = b"n\r\n1\r\n"


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def test_it_is_founded_once_and_found_again(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "exports"
    assert Identity(root).find() is None
    assert not root.exists()
    founded = Identity(root).found()
    assert json.loads((root / NAME).read_bytes()) == {"storage_id": founded}
    assert Identity(root).find() == Identity(root).found() == founded
    assert names(root) == {NAME}


def test_of_many_at_once_one_decides(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(lambda _: Identity(tmp_path / "exports").found(), range(64)))
    assert len(set(ids)) == 1
    assert names(tmp_path / "exports") == {NAME}


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b'{"storage_id": 5}', b"\xff"])
def test_what_names_no_id_is_not_overwritten(tmp_path: Path, text: bytes) -> None:
    (tmp_path / NAME).write_bytes(text)
    for ask in (Identity(tmp_path).find, Identity(tmp_path).found):
        with pytest.raises(StorageUnavailable, match="names no storage_id"):
            ask()
    assert (tmp_path / NAME).read_bytes() == text


def used_storage(root: Path) -> LocalStorage:
    """A storage that holds an export ``a``, and has written for partition 3."""
    storage = LocalStorage(root)
    storage.sweep(3)
    finished(storage, "a", CONTENT)
    return storage


def emptied(root: Path) -> None:
    """As an unmounted file system leaves its mount point."""
    root.rename(root.with_name("away"))
    root.mkdir()


def vanished(root: Path) -> None:
    root.rename(root.with_name("away"))


def replaced(root: Path) -> None:
    """By the storage of another group, with the same ids in it."""
    root.rename(root.with_name("away"))
    shutil.copytree(root.with_name("away"), root)
    (root / NAME).write_text(json.dumps({"storage_id": "another"}))


def overwritten(root: Path) -> None:
    """In place, so it has the inode that it had."""
    (root / NAME).write_text(json.dumps({"storage_id": "another"}))


def stripped(root: Path) -> None:
    (root / NAME).unlink()


@pytest.mark.parametrize("fault", [emptied, vanished, replaced, overwritten, stripped])
def test_a_root_that_is_no_longer_the_same_answers_nothing(
    tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    root = tmp_path / "exports"
    storage = used_storage(root)
    ended = storage.manifest("a")
    assert ended is not None
    fault(root)
    before = sorted(root.rglob("*"))
    calls: list[Callable[[], object]] = [
        storage.check,
        lambda: storage.manifest("a"),
        lambda: storage.manifest("b"),
        lambda: storage.read_ahead(["a"]),
        lambda: storage.read_ahead(["b", "c"]),
        lambda: storage.has_file(ended),
        lambda: storage.decide(cancelled("c")),
        lambda: storage.sweep(3),
        lambda: storage.sweep(4),
    ]
    for call in calls:
        with pytest.raises(StorageUnavailable, match="is not the storage that it was"):
            call()
    part = storage.open_part(3, "d", "csv")
    part.append(CONTENT)
    with pytest.raises(StorageUnavailable, match="is not the storage that it was"):
        part.sync()
    assert sorted(root.rglob("*")) == before


def test_a_part_of_before_is_lost(tmp_path: Path) -> None:
    root = tmp_path / "exports"
    storage = used_storage(root)
    part = storage.open_part(3, "b", "csv")
    part.append(CONTENT)
    part.flush()
    emptied(root)
    part.append(CONTENT)
    with pytest.raises(PartLost):
        part.flush()
    assert list(root.iterdir()) == []


def test_the_same_storage_may_come_back_as_a_copy(tmp_path: Path) -> None:
    root = tmp_path / "exports"
    storage = used_storage(root)
    vanished(root)
    with pytest.raises(StorageUnavailable):
        storage.check()
    shutil.copytree(root.with_name("away"), root)
    storage.check()
    ended = storage.manifest("a")
    assert ended is not None
    assert ended.source == Source(topic="t", partition=3, offset=0)


def test_an_older_builds_root_is_known_from_an_empty_one(tmp_path: Path) -> None:
    storage = used_storage(tmp_path / "exports")
    stripped(tmp_path / "exports")
    assert LocalStorage(tmp_path / "exports").holds_exports()
    assert not LocalStorage(tmp_path / "none").holds_exports()
    emptied(tmp_path / "exports")
    assert not storage.holds_exports()
