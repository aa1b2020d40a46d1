"""What every storage does: bytes to a published file, and one decision per export.

Invariant: a manifest is created once and never changed; creating it decides how the export
ended. A final name holds a whole file or nothing. All calls block; every ``OSError`` comes out as
``StorageUnavailable`` and the call may be made again.
"""

from collections.abc import Iterable
from typing import Protocol

from consumer.core.suspects import Mark
from schemas.completions import TerminalEvent


class Part(Protocol):
    """The bytes of one export before they are published. One thread at a time."""

    @property
    def size(self) -> int:
        """Bytes appended so far."""

    @property
    def sha256(self) -> str:
        """Of the bytes appended so far, in hexadecimal."""

    def append(self, data: bytes) -> None:
        """Take bytes into memory; this can't fail."""

    def flush(self) -> None:
        """Write what was appended.

        Raises:
            StorageUnavailable: call it again; nothing is written twice.
            PartLost: the partial file is gone: another owner has swept it.
        """

    def sync(self) -> None:
        """Flush, and force the bytes to the disk.

        Raises:
            PartUnsynced: the disk may have lost some of it; make it again. Else as ``flush``.
        """

    def publish(self) -> None:
        """Give the synced part its final name. Repeatable. Raises as ``flush``."""

    def discard(self) -> None:
        """Remove what was written, as far as the storage allows; never raises."""


class MessageMark(Protocol):
    """Which message an owner of a partition has in hand, for the next owner to see.

    It outlives the owner's death. One thread at a time. It never raises, and waits for no disk.
    """

    def set(self, is_batch: bool, offset: int, *, alone: bool = False) -> None:
        """This message of the records, or of the requests, is in hand; ``alone`` on its node."""

    def clear(self) -> None:
        """None is."""

    def remove(self) -> None:
        """The owner needs it no more."""


class Storage(Protocol):
    """Where the files of a group go. Threads may share it."""

    def check(self) -> None:
        """Write and remove a probe.

        Raises:
            StorageUnavailable: it can't be written; the message names the place.
        """

    def close(self) -> None:
        """Give back what is held of it. What was written stays."""

    def location(self, export_id: str, extension: str) -> str:
        """The URL of a finished file, which ends in its extension, such as ``csv.gz``."""

    def open_part(self, partition: int, export_id: str, extension: str) -> Part:
        """Begin a part; nothing is written yet."""

    def decide(self, event: TerminalEvent) -> TerminalEvent:
        """Create the export's manifest unless there is one; return the event of the one there is.

        Raises:
            StorageUnavailable: not decided; call it again.
        """

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """How the export ended, or None.

        Raises:
            StorageUnavailable: it can't be read.
        """

    def has_file(self, event: TerminalEvent) -> bool:
        """Whether the file of a completed export has its final name. Raises as ``manifest``."""

    def settle(self) -> None:
        """Force names to the disk: all that was published and decided. Raises as ``manifest``."""

    def sweep(self, partition: int) -> int:
        """Remove every partial file of a partition; return how many.

        Called by the partition's new owner before it opens a part; an owner before it that still
        writes gets ``PartLost``. Raises as ``manifest``.
        """

    def open_mark(self, partition: int) -> MessageMark:
        """A mark of the partition's new owner; nothing is written yet."""

    def left_marks(self, partition: int) -> list[Mark]:
        """The marks that owners of a partition have left, or still write. Raises as ``manifest``.

        A new owner asks before it marks anything.
        """

    def remove_marks(self, partition: int, marks: Iterable[Mark]) -> None:
        """Remove marks once they are counted; one that says nothing may stay for a while.

        Raises as ``manifest``.
        """
