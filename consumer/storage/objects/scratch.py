"""A process's directory on a disk of its node: parts until they are uploaded, and marks.

    {directory}/{storage id}/{process}/parts/…     what is being written
                                      /.in-hand/…  what is being worked on

Once its process has ended, nothing here is needed but the marks, which show what it died on. The
next process on this disk copies them to where all nodes see them. A process holds a lock on its
directory, which programs that clear temporary directories respect too. Invariant: only directories
with a free lock are read and removed, so files in use stay.
"""

import contextlib
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Lock

from consumer.errors import ScratchUnavailable
from consumer.storage.marks import IN_HAND
from consumer.storage.part_file import storage_errors

_UNFINISHED = ".new-"
_UNFINISHED_SECONDS = 60.0  # it has its lock, and its name, within milliseconds
_scratch_errors = partial(storage_errors, refused=ScratchUnavailable)


class Scratch:
    """One process's scratch directory. Threads may share it; call ``open`` first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self._siblings = self.directory
        self._place = self.directory
        self._lock = -1
        self._counting = Lock()
        self.bytes = 0
        """Bytes of parts on the disk."""

    @property
    def is_open(self) -> bool:
        """Whether this process has its directory, as far as is known."""
        return self._lock >= 0

    @property
    def place(self) -> Path:
        """This process's directory."""
        return self._place

    def open(self, storage_id: str) -> None:
        """Create this process's directory for one storage, unless it exists.

        Raises:
            ScratchUnavailable: it can't be created.
        """
        # A cleaner of temporary directories may have removed it.
        if self._lock >= 0 and self._place.is_dir():
            return
        process = uuid.uuid4().hex[:12]
        self._siblings = self.directory / storage_id
        draft = self._siblings / f"{_UNFINISHED}{process}"
        with _scratch_errors(f"the scratch directory {self.directory} can't be written"):
            draft.mkdir(parents=True, mode=0o700)
            # Lock it before it gets its name: unlocked directories count as dead and are removed.
            lock = _locked(draft)
            place = self._siblings / process
            draft.rename(place)
        self._place, self._lock, before = place, lock, self._lock
        if before >= 0:  # the old directory was removed: its parts are lost
            os.close(before)

    def make_place(self, directory: Path) -> None:
        """Create a two-level subdirectory. Raises OSError."""
        if not directory.is_dir():
            # Don't create parents: a removed directory must not come back without its lock.
            for one in (directory.parent, directory):
                one.mkdir(exist_ok=True)

    def count(self, added: int) -> None:
        """Count bytes of parts added, or (negative) removed."""
        with self._counting:
            self.bytes += added

    def part_path(self, partition: int, name: str) -> Path:
        """A new, never used path for a part of a partition."""
        return self._parts(partition) / f"{name}.{uuid.uuid4().hex[:12]}"

    def sweep(self, partition: int) -> int:
        """Remove the parts of a partition; return how many. Raises ScratchUnavailable."""
        directory, swept = self._parts(partition), 0
        with _scratch_errors(f"{directory} can't be swept"):
            if directory.is_dir():
                for part in directory.iterdir():
                    part.unlink(missing_ok=True)
                    swept += 1
        return swept

    def check(self) -> None:
        """Write and remove a probe. Raises ScratchUnavailable."""
        probe = self._place / f"probe-{uuid.uuid4().hex[:12]}"
        with _scratch_errors(f"the scratch directory {self.directory} can't be written"):
            try:
                probe.write_bytes(b"probe")
            finally:
                probe.unlink(missing_ok=True)

    def clear_dead(self, keep: Callable[[int, str, bytes], None]) -> None:
        """Remove directories of ended processes, after passing their marks to ``keep``.

        ``keep`` gets the partition, the mark's name and its content.

        Raises:
            StorageUnavailable: as ``keep``, or (``ScratchUnavailable``) they can't be read or
                removed.
        """
        with _scratch_errors(f"{self._siblings} can't be cleared"):
            for dead in self._dead():
                for mark in (dead / IN_HAND).glob("*/*"):
                    if mark.parent.name.isdecimal():
                        keep(int(mark.parent.name), mark.name, mark.read_bytes())
                shutil.rmtree(dead)

    def close(self) -> None:
        """The process ends normally, so it has no marks left. Never raises."""
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                shutil.rmtree(self._place)
            os.close(self._lock)
            self._lock = -1

    def _parts(self, partition: int) -> Path:
        return self._place / "parts" / str(partition)

    def _dead(self) -> Iterator[Path]:
        for sibling in list(self._siblings.iterdir()):
            if sibling == self._place:
                continue
            with contextlib.suppress(FileNotFoundError):  # another one was faster
                if sibling.name.startswith(_UNFINISHED):
                    if time.time() - sibling.stat().st_mtime > _UNFINISHED_SECONDS:
                        shutil.rmtree(sibling)
                    continue
                with contextlib.suppress(BlockingIOError):
                    lock = _locked(sibling)
                    try:
                        yield sibling
                    finally:
                        os.close(lock)


def _locked(path: Path) -> int:
    """Lock a directory; the descriptor holds the lock until it is closed or the process ends.

    Raises BlockingIOError where another process holds it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
