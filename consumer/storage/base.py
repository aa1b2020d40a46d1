"""What every storage does: bytes to a published file, and one decision per export.

    directory     sync the part, create the manifest, give the part its final name
    object store  upload the part under a key of its own, create the manifest that names it

Invariant: a manifest is created once and never changed; creating it decides how the export
ended. What a manifest names is a whole file or nothing. All calls block, in an object store for a
bounded time; a refusal comes out as ``StorageUnavailable`` and the call may be made again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from datetime import timedelta
from typing import Protocol

from consumer.core.expiry import Due, Removed
from consumer.core.suspects import Mark
from schemas.completions import ExportCompleted, TerminalEvent


class Part(Protocol):
    """The bytes of one export before they are published. One thread at a time."""

    @property
    def location(self) -> str:
        """The URL that the file has once it is published."""

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
        """Bring all bytes to where a manifest may name them: to the disk, or into the store.

        Raises:
            PartUnsynced: the disk may have lost some of it; make it again. Else as ``flush``.
        """

    def publish(self, decided: ExportCompleted) -> None:
        """Have the file that the manifest names, of the synced part; it has these bytes.

        Where that is another attempt's, this part leaves nothing. Repeatable. Raises as ``flush``.
        """

    def discard(self, decided: TerminalEvent | None = None) -> None:
        """Remove what was written, as far as the storage allows; never raises.

        An object that a manifest may name, unless this is ``decided``, its export's manifest, stays
        for a sweep. Of no effect on what was published.
        """

    def stop(self) -> None:
        """Have a ``sync`` under way end with ``PartLost``, if it takes long; from any thread."""


class StoredFile(Protocol):
    """A finished file, open for reading. Threads may share it; it is closed by its last reference.

    ``size`` is in bytes, ``modified`` in seconds since the epoch.
    """

    @property
    def name(self) -> str:
        """What people call it: a path or a URL."""

    @property
    def size(self) -> int:
        """Bytes in it."""

    @property
    def modified(self) -> float:
        """When it was last written."""

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset`` on; none at the end.

        Raises:
            StorageUnavailable: it can't be read.
        """

    def presign(self, method: str, seconds: int) -> str | None:
        """A URL at which the store itself answers ``GET`` or ``HEAD`` to anyone, for so long.

        It is as secret as the file. None: there is no such, so the file has to be read.
        """


class MessageMark(Protocol):
    """Which messages an owner of a partition may have in hand, for the next owner to see.

    It outlives the owner's death. One thread at a time. It never raises, and waits for no disk.
    """

    def set(self, is_batch: bool, first: int, last: int, *, alone: bool = False) -> None:
        """One of these messages of the records, or of the requests, is in hand, by offset.

        ``alone``: its node has no other. At most ``MOST_MARKED`` are looked at.
        """

    def clear(self) -> None:
        """No message is in hand."""

    def remove(self) -> None:
        """The owner no longer needs it."""


class Storage(Protocol):
    """Where the exports of a group go. Threads may share it."""

    def open_part(
        self,
        partition: int,
        export_id: str,
        extension: str,
        decided: ExportCompleted | None = None,
    ) -> Part:
        """Begin a part of a file with this extension, as ``csv.gz``; nothing is written yet.

        ``decided`` is the export's manifest, where there is one: then the part makes its file.
        """

    @property
    def threads(self) -> Callable[[int], Executor] | None:
        """By a file's size in bytes, where its export's end is concluded; None: in turns."""

    def decide(self, event: TerminalEvent) -> TerminalEvent:
        """Create the export's manifest unless there is one; return the event of the one there is.

        Raises:
            StorageUnavailable: not decided, as far as is known; call it again.
        """

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """How the export ended, or None.

        Raises:
            StorageUnavailable: it can't be read.
        """

    def read_ahead(self, export_ids: Iterable[str]) -> Mapping[str, TerminalEvent | None]:
        """What ``manifest`` returns for each, read at once; for none where that isn't faster.

        Raises as ``manifest``.
        """

    def has_file(self, event: TerminalEvent) -> bool:
        """Whether the file of a completed export is there. Raises as ``manifest``."""

    def settle(self) -> None:
        """Force names to the disk: all that was published and decided. Raises as ``manifest``."""

    def sweep(self, partition: int) -> int:
        """Remove what former owners of a partition left that is no finished file; return how many.

        Called by the partition's new owner before it opens a part. One before it that still writes
        in the same place gets ``PartLost``. Raises as ``manifest``.
        """

    def open_mark(self, partition: int) -> MessageMark:
        """A mark of the partition's new owner; nothing is written yet."""

    def left_marks(self, partition: int) -> list[Mark]:
        """The marks that owners of a partition have left, or still write. Raises as ``manifest``.

        A new owner calls this before it marks anything.
        """

    def remove_marks(self, partition: int, marks: Iterable[Mark]) -> None:
        """Remove marks once they are counted; one that says nothing may stay for a while.

        Raises as ``manifest``.
        """


class GroupStorage(Storage, Protocol):
    """A storage as a node opens it, and as finished files are read.

    It has an id, written once; from the first that was found or founded on, no other is taken.
    """

    @property
    def root(self) -> str:
        """What people call it: a path or a URL, without secrets."""

    def find(self) -> str | None:
        """The id that the root has, or None.

        Raises:
            StorageUnavailable: it can't be read, or is none.
        """

    def found(self) -> str:
        """Give the root an id unless it has one; return it. Of several at once one decides.

        Raises:
            StorageUnavailable: it can't be written.
        """

    @property
    def scratch_bytes(self) -> int:
        """Bytes of parts that wait on a disk of the node; 0 where they are in the storage."""

    def holds_exports(self) -> bool:
        """Whether there are manifests, with or without an id. Raises as ``find``."""

    def check(self) -> None:
        """Write and remove a probe.

        Raises:
            StorageUnavailable: it can't be written; the message names the place.
        """

    def close(self) -> None:
        """Give back what is held of it. What was written stays."""

    def tidy(self, partition: int) -> int:
        """Remove what came too late for the ``sweep`` of a takeover; return how many.

        For the partition's owner, at any time. Raises as ``manifest``.
        """

    def expire(self, due: Due, *, dry_run: bool = False) -> Iterator[Removed]:
        """Remove files that are due, some at a time; ``dry_run``: only say which.

        Any process may, several at once too. What is refused is due again. Raises as ``manifest``.
        """

    def expire_manifests(
        self, due: Due, kept: timedelta, *, dry_run: bool = False
    ) -> Iterator[Removed]:
        """Likewise manifests of what ended ``kept`` ago and has no file, or one that is due.

        It looks at all there are.
        """

    def open_file(self, event: ExportCompleted) -> StoredFile | None:
        """The file of a completed export, or None if it isn't there. Raises as ``manifest``."""
