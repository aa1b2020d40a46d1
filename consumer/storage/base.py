"""The interface of every storage: bytes to a published file, and one decision per export.

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
    """One export's bytes before they are published. For one thread at a time."""

    @property
    def location(self) -> str:
        """The file's URL once it is published."""

    @property
    def size(self) -> int:
        """Bytes appended so far."""

    @property
    def sha256(self) -> str:
        """The hash of the bytes appended so far, in hexadecimal."""

    def append(self, data: bytes) -> None:
        """Buffer bytes in memory; this can't fail."""

    def flush(self) -> None:
        """Write the appended bytes.

        Raises:
            StorageUnavailable: call it again; nothing is written twice.
            PartLost: another owner has swept the partial file.
        """

    def sync(self) -> None:
        """Make all bytes durable, on disk or in the store, so that a manifest may name them.

        Raises:
            PartUnsynced: the disk may have lost some of it; remake it. Otherwise as ``flush``.
        """

    def publish(self, decided: ExportCompleted) -> None:
        """Give the synced part the name in the manifest, which has the same bytes.

        If that name is another attempt's, this part leaves nothing. Repeatable. Raises as
        ``flush``.
        """

    def discard(self, decided: TerminalEvent | None = None) -> None:
        """Remove written bytes as far as the storage allows; never raises.

        An object that a manifest may name stays for a sweep, unless ``decided``, its export's
        manifest, is given. Published files are unaffected.
        """

    def stop(self) -> None:
        """Make a long-running ``sync`` end with ``PartLost``; callable from any thread."""


class StoredFile(Protocol):
    """A finished file, open for reading. Threads may share it; it is closed by its last reference.

    ``size`` is in bytes, ``modified`` in seconds since the epoch.
    """

    @property
    def name(self) -> str:
        """Its name for people: a path or a URL."""

    @property
    def size(self) -> int:
        """Bytes in it."""

    @property
    def modified(self) -> float:
        """When it was last written."""

    def read(self, offset: int, size: int) -> bytes:
        """Read up to ``size`` bytes from ``offset`` on; none at the end.

        Raises:
            StorageUnavailable: it can't be read.
        """

    def presign(self, method: str, seconds: int) -> str | None:
        """A URL at which the store itself answers anyone's ``GET`` or ``HEAD``, for a limited time.

        It is as secret as the file. None if there is none, so that the file has to be read.
        """


class MessageMark(Protocol):
    """The messages that a partition's owner may have in hand, visible to the next owner.

    It survives the owner's death. For one thread at a time. Never raises or waits for a disk.
    """

    def set(self, is_batch: bool, first: int, last: int, *, alone: bool = False) -> None:
        """One of these messages of the records or requests, by offset, is in hand.

        ``alone``: its node handles no other. At most ``MOST_MARKED`` messages are marked.
        """

    def clear(self) -> None:
        """No message is in hand."""

    def remove(self) -> None:
        """Remove the mark: the owner no longer needs it."""


class Storage(Protocol):
    """Stores a group's exports. Threads may share it."""

    def open_part(
        self,
        partition: int,
        export_id: str,
        extension: str,
        decided: ExportCompleted | None = None,
    ) -> Part:
        """Create a part for a file with this extension, such as ``csv.gz``; writes nothing yet.

        ``decided`` is the export's manifest, if it exists: then the part remakes its file.
        """

    @property
    def threads(self) -> Callable[[int], Executor] | None:
        """The threads that conclude an export's end, by file size in bytes; None: in turns."""

    def decide(self, event: TerminalEvent) -> TerminalEvent:
        """Create the export's manifest unless it exists; return the existing one's event.

        Raises:
            StorageUnavailable: maybe not decided; call it again.
        """

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """How the export ended, or None.

        Raises:
            StorageUnavailable: it can't be read.
        """

    def read_ahead(self, export_ids: Iterable[str]) -> Mapping[str, TerminalEvent | None]:
        """What ``manifest`` returns for each, read together; empty if that isn't faster.

        Raises as ``manifest``.
        """

    def has_file(self, event: TerminalEvent) -> bool:
        """Whether the file of a completed export is there. Raises as ``manifest``."""

    def settle(self) -> None:
        """Sync the names of all that was published and decided. Raises as ``manifest``."""

    def sweep(self, partition: int) -> int:
        """Remove the unfinished files of a partition's former owners; return how many.

        Called by the partition's new owner before it opens a part. A former owner that still writes
        there gets ``PartLost``. Raises as ``manifest``.
        """

    def open_mark(self, partition: int) -> MessageMark:
        """Create a mark for the partition's new owner; writes nothing yet."""

    def left_marks(self, partition: int) -> list[Mark]:
        """The marks that owners of a partition left or still write. Raises as ``manifest``.

        A new owner calls this before it marks any message.
        """

    def remove_marks(self, partition: int, marks: Iterable[Mark]) -> None:
        """Remove counted marks; an empty one may stay for a while.

        Raises as ``manifest``.
        """


class GroupStorage(Storage, Protocol):
    """A storage as a node opens it, and as readers of finished files use it.

    It has an id, written once; after the first one found or created, no other is accepted.
    """

    @property
    def root(self) -> str:
        """Its name for people: a path or a URL, without secrets."""

    def find(self) -> str | None:
        """The root's id, or None.

        Raises:
            StorageUnavailable: it can't be read, or is invalid.
        """

    def found(self) -> str:
        """Give the root an id unless it has one; return it. Of concurrent calls one wins.

        Raises:
            StorageUnavailable: it can't be written.
        """

    @property
    def scratch_bytes(self) -> int:
        """Bytes of parts on a disk of the node; 0 if parts are in the storage."""

    def holds_exports(self) -> bool:
        """Whether there are manifests, even without an id. Raises as ``find``."""

    def check(self) -> None:
        """Write and remove a probe.

        Raises:
            StorageUnavailable: it can't be written; the message names the place.
        """

    def close(self) -> None:
        """Release its resources. Written data stays."""

    def tidy(self, partition: int) -> int:
        """Remove files that came too late for the takeover's ``sweep``; return how many.

        For the partition's owner, at any time. Raises as ``manifest``.
        """

    def expire(self, due: Due, *, dry_run: bool = False) -> Iterator[Removed]:
        """Remove due files, some at a time; ``dry_run``: only report them.

        Any process may call it, even concurrently. Refused files are due again. As ``manifest``.
        """

    def expire_manifests(
        self, due: Due, kept: timedelta, *, dry_run: bool = False
    ) -> Iterator[Removed]:
        """Likewise manifests of what ended ``kept`` ago and has no file, or one that is due.

        It scans all manifests.
        """

    def open_file(self, event: ExportCompleted) -> StoredFile | None:
        """The file of a completed export, or None if it isn't there. Raises as ``manifest``."""
