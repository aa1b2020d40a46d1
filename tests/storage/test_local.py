"""What only a directory can show: a disk that refuses, and goes on where it was."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumer.core.suspects import Mark, MessagePlace
from consumer.errors import LaneStopped, StorageUnavailable
from consumer.storage.local import LocalStorage
from tests.support.storages import cancelled, completed


@contextlib.contextmanager
def storage_on(directory: Path) -> Iterator[LocalStorage]:
    storage = LocalStorage(directory)
    yield storage
    storage.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("a tmpfs can't be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(bytes(512)):
            pass


def open_below(directory: Path) -> list[str]:
    """Files below a directory that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    return [path for path in found if path.startswith(f"{directory}/")]


def test_a_full_disk_refuses_and_a_freed_one_goes_on(small_disk: Path) -> None:
    storage = LocalStorage(small_disk)
    ballast = small_disk / "ballast"
    part = storage.open_part(0, "a", "csv")
    part.append(b"0123456789" * 1000)
    part.flush()
    ballast.write_bytes(bytes(225_000))
    part.append(b"abcdefghij" * 3000)
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="No space left"):
            part.flush()
    ballast.unlink()
    part.sync()
    part.publish(completed("a", b"", part.location))
    assert (small_disk / "a.csv").read_bytes() == b"0123456789" * 1000 + b"abcdefghij" * 3000


def test_a_manifest_that_finds_no_room_is_not_there_by_half(small_disk: Path) -> None:
    storage = LocalStorage(small_disk)
    storage.sweep(3)
    fill(small_disk)
    with pytest.raises(StorageUnavailable):
        storage.decide(cancelled("a"))
    assert storage.manifest("a") is None
    (small_disk / "ballast").unlink()
    assert storage.decide(cancelled("a")) == storage.manifest("a")


def test_a_full_disk_still_takes_a_manifest(small_disk: Path) -> None:
    with storage_on(small_disk) as storage:
        storage.check()
        part = storage.open_part(3, "a", "csv")
        part.append(b"x")
        part.flush()
        fill(small_disk)
        part.append(bytes(8192))
        with pytest.raises(StorageUnavailable):
            part.flush()
        assert storage.decide(cancelled("a")) == storage.manifest("a")
    files = {path.name for path in small_disk.iterdir() if path.is_file()}
    assert files == {".sluice.json", "ballast", "a.manifest.json"}


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("in the way")
    with pytest.raises(StorageUnavailable, match=r"exports can't be written"):
        LocalStorage(tmp_path / "exports").check()


def test_a_manifest_that_is_none_stops_the_lane_loudly(tmp_path: Path) -> None:
    (tmp_path / "a.manifest.json").write_text("{}")
    with pytest.raises(LaneStopped, match=r"a\.manifest\.json"):
        LocalStorage(tmp_path).manifest("a")


def test_one_bad_manifest_hinders_no_request_before_its_own(tmp_path: Path) -> None:
    """It is read again with its own request, which then gets the error."""
    storage = LocalStorage(tmp_path)
    ended = storage.decide(cancelled("a"))
    (tmp_path / "none.manifest.json").write_text("{}")
    (tmp_path / "directory.manifest.json").mkdir()
    assert storage.read_ahead(["none", "a", "directory", "b"]) == {"a": ended, "b": None}


def test_a_probe_that_a_killed_node_left_is_removed_and_a_fresh_one_is_not(tmp_path: Path) -> None:
    with storage_on(tmp_path) as storage:
        storage.check()
        probes = tmp_path / ".parts" / "probe"
        (probes / "old").touch()
        (probes / "fresh").touch()
        minute_ago = time.time() - 60
        os.utime(probes / "old", (minute_ago, minute_ago))
        storage.check()
    assert [probe.name for probe in probes.iterdir()] == ["fresh"]


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    parts = [storage.open_part(0, f"e{n}", "csv") for n in range(200)]
    for part in parts:
        part.append(b"x")
        part.flush()
    assert open_below(tmp_path) == []


def test_a_mark_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.check()
    if not (child := os.fork()):
        storage.open_mark(3).set(True, 42, 42)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [mark.place for mark in storage.left_marks(3)] == [MessagePlace(True, 42)]


def test_a_mark_can_be_changed_on_a_full_disk(small_disk: Path) -> None:
    storage = LocalStorage(small_disk)
    storage.check()
    mark = storage.open_mark(3)
    mark.set(True, 1, 1)
    fill(small_disk)
    mark.set(True, 2, 2)
    assert [left.place for left in storage.left_marks(3)] == [MessagePlace(True, 2)]


def test_a_mark_that_cannot_be_made_hinders_nobody(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    (tmp_path / ".in-hand").write_bytes(b"")
    mark = storage.open_mark(3)
    with capture_logs() as logs:
        for offset in range(3):
            mark.set(True, offset, offset)
            mark.clear()
    mark.remove()
    assert [line["log_level"] for line in logs] == ["warning"]
    (tmp_path / ".in-hand").unlink()
    mark.set(True, 7, 7)
    assert [left.place for left in storage.left_marks(3)] == [MessagePlace(True, 7)]


def test_a_vanished_root_is_not_made_again_by_a_mark(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "exports")
    storage.check()
    shutil.rmtree(tmp_path / "exports")
    storage.open_mark(3).set(True, 1, 1)
    assert not (tmp_path / "exports").exists()


def test_marks_that_say_nothing_are_removed_when_they_are_old(tmp_path: Path) -> None:
    """On a network file system a frozen owner's comes late."""
    storage = LocalStorage(tmp_path)
    storage.check()
    young, old = storage.open_mark(3), storage.open_mark(3)
    old.set(True, 1, 1)
    old.clear()
    (aged,) = (tmp_path / ".in-hand" / "3").iterdir()
    os.utime(aged, (0, 0))
    young.set(True, 1, 1)
    young.clear()
    storage.remove_marks(3, storage.left_marks(3))
    assert len(storage.left_marks(3)) == 1
    assert not aged.exists()


@pytest.mark.parametrize("content", [b"", b"records 7", b"records  9\n", b"\xff" * 100])
def test_a_mark_that_cannot_be_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / ".in-hand" / "3"
    place.mkdir(parents=True)
    (place / "0123abcd").write_bytes(content)
    (place / "notes.txt").write_bytes(b"records  00000000000000000001\n")
    assert LocalStorage(tmp_path).left_marks(3) == [Mark(0x0123ABCD, None)]


@pytest.mark.parametrize("topic", ["records ", "requests"])
def test_a_mark_of_an_older_build_is_read(tmp_path: Path, topic: str) -> None:
    place = tmp_path / ".in-hand" / "3"
    place.mkdir(parents=True)
    (place / "0123abcd").write_text(f"{topic} {42:020}\n")
    assert LocalStorage(tmp_path).left_marks(3) == [
        Mark(0x0123ABCD, MessagePlace(topic == "records ", 42), alone=False)
    ]


def test_marks_leave_no_descriptor_open(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    for _ in range(3):
        mark = storage.open_mark(3)
        mark.set(True, 1, 1)
        mark.remove()
    assert open_below(tmp_path) == []
