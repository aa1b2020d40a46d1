"""Marks of the message in hand, in files: what an owner that is killed was working on.

    .in-hand/{partition}/{name}     the owner's mark:
                                    `records  00000000000000000042-00000000000000000049 alone`

One of these messages is in hand; ``alone`` if the node handles no other. Older builds wrote only
the first offset.

A mark is a few bytes, written in place without fsync: it outlives the process and costs a
microsecond. A network file system shows it to other machines when the process ends, or half a
minute later. Invariant: writing a mark never raises; without one a death isn't counted.
"""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from consumer.core.suspects import MOST_MARKED, Mark, MessagePlace
from consumer.errors import StorageUnavailable

log = structlog.get_logger(__name__)

IN_HAND = ".in-hand"
_NAME = re.compile("[0-9a-f]{8}")
_MARK = re.compile(b"(requests|records) +([0-9]{20})(?:-([0-9]{20}))?( alone| *)\n")
# As long as any mark, so that nothing of the previous one remains behind it.
_NOTHING = b"nothing  %020d-%020d      \n" % (0, 0)
# A mark has 57.
_MOST_BYTES = 64
# On a network file system, a frozen owner's mark may become visible this late.
_LATE_SECONDS = 60.0


class LocalMarks:
    """The marks below a directory; ``make_place`` makes directories in it, as ``LocalPart``'s."""

    def __init__(self, root: Path, make_place: Callable[[Path], None]) -> None:
        self._directory = root / IN_HAND
        self._make_place = make_place

    def open(self, partition: int) -> "LocalMark":
        """Create a mark for a new owner."""
        return LocalMark(self._directory / str(partition), self._make_place)

    def left(self, partition: int) -> list[Mark]:
        """The existing marks. Raises OSError."""
        directory = self._directory / str(partition)
        try:
            paths = list(directory.iterdir())
        except FileNotFoundError:
            return []
        found = []
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # its owner has removed it
                found += parsed_marks(path.name, path.read_bytes())
        return found

    def remove(self, partition: int, marks: Iterable[Mark]) -> None:
        """Remove marks; keep recent empty ones, which may still fill. Raises OSError."""
        for mark in marks:
            path = self._directory / str(partition) / mark_name(mark.name)
            with contextlib.suppress(FileNotFoundError):
                if mark.place or time.time() - path.stat().st_mtime > _LATE_SECONDS:
                    path.unlink()


class LocalMark:
    """One owner's mark, in a file created with the first message."""

    def __init__(self, directory: Path, make_place: Callable[[Path], None]) -> None:
        self._directory = directory
        self._make_place = make_place
        self._path: Path | None = None
        self._descriptor = -1
        self._refused = False

    @property
    def name(self) -> str | None:
        """The name of its file, once it exists."""
        return self._path.name if self._path else None

    def set(self, is_batch: bool, first: int, last: int, *, alone: bool = False) -> None:
        """See ``MessageMark.set``."""
        self._write(mark_content(is_batch, first, last, alone=alone))

    def clear(self) -> None:
        """See ``MessageMark.clear``."""
        if self._descriptor >= 0:
            self._write(_NOTHING)

    def remove(self) -> None:
        """See ``MessageMark.remove``."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._path, self._descriptor = None, -1

    def _write(self, content: bytes) -> None:
        try:
            if self._descriptor < 0:
                self._create()
            os.pwrite(self._descriptor, content, 0)
        except (OSError, StorageUnavailable) as error:
            if not self._refused:
                self._refused = True
                why = f"{self._directory}: {error}"
                log.warning("what is in hand can't be marked: deaths aren't counted", error=why)

    def _create(self) -> None:
        self._make_place(self._directory)
        path = self._directory / mark_name(secrets.randbits(32))
        # Exclusively: never reuse another owner's mark with the same random name.
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._path = path


def mark_name(number: int) -> str:
    """The name of a mark's file."""
    return f"{number:08x}"


def mark_content(is_batch: bool, first: int, last: int, *, alone: bool) -> bytes:
    """The content of a mark for these messages."""
    topic = b"records  %020d-%020d" if is_batch else b"requests %020d-%020d"
    return topic % (first, last) + (b" alone\n" if alone else b"      \n")


def parsed_marks(name: str, content: bytes) -> list[Mark]:
    """Parse a file's marks, all with its name: one per message that may have been in hand.

    A mark without a place is empty or of an unknown form. No marks: the file is no mark.
    """
    if not _NAME.fullmatch(name):
        return []
    number, found = int(name, 16), _MARK.fullmatch(content[:_MOST_BYTES])
    if found is None:
        return [Mark(number, None)]
    # Older builds wrote only the first. Never more than this build writes, whatever the file has.
    first = int(found[2])
    last = min(int(found[3] or first), first + MOST_MARKED - 1)
    is_batch, alone = found[1] == b"records", found[4] == b" alone"
    return [
        Mark(number, MessagePlace(is_batch, offset), alone) for offset in range(first, last + 1)
    ]
