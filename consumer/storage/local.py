"""A directory, or a network file system that nodes share.

    .sluice.json                    which storage this is
    {export_id}.{extension}          a finished file
    {export_id}.manifest.json       how the export ended
    .parts/{partition}/…            what is being written; swept when a partition is taken over
    .in-hand/{partition}/…          what is being worked on; see ``consumer.storage.marks``

Order of an end: fsync the part, link the manifest, rename the part, fsync the directory. link(2)
creates a name only if it isn't there, on NFS too; rename(2) replaces a name in one step.

Invariants: no part's descriptor outlives a call, so thousands of exports may be open; and no answer
is drawn from a root that isn't the one that was opened, nor is anything created in it.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from consumer.core.suspects import Mark
from consumer.errors import LaneStopped, PartLost, PartUnsynced, StorageUnavailable
from consumer.storage.identity import Identity
from consumer.storage.marks import LocalMark, LocalMarks
from consumer.storage.reserve import Reserve
from schemas.completions import ExportCompleted, TerminalEvent, decode_event, encode_event

_PARTS = ".parts"
_MANIFEST = ".manifest.json"
_PROBE_SECONDS = 10.0  # a probe lives for milliseconds
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class LocalStorage:
    """``Storage`` in a directory.

    A node finds or founds its ``identity`` before all else; else the first call does. Only that
    creates the directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.identity = Identity(self.directory)
        # A name is never used twice, not even by a process that gets the id of a dead one.
        self._owner = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()
        self._reserve = Reserve(self.directory / _PARTS)
        self._marks = LocalMarks(self.directory, self._make_place)

    def check(self) -> None:
        """See ``Storage.check``. Tries a hard link too: without it nothing can be decided."""
        probe = self._part_path("probe", self._owner)
        linked = probe.with_suffix(".link")
        with _storage_errors(f"{self.directory} can't be written"):
            self._make_place(probe.parent)
            _remove_old(probe.parent)
            try:
                probe.write_bytes(b"probe")
                linked.hardlink_to(probe)
            finally:
                linked.unlink(missing_ok=True)
                probe.unlink(missing_ok=True)
        self._reserve.keep()

    def close(self) -> None:
        """See ``Storage.close``."""
        self._reserve.spend()

    def location(self, export_id: str, extension: str) -> str:
        """See ``Storage.location``."""
        return self._file(export_id, extension).as_uri()

    def open_part(self, partition: int, export_id: str, extension: str) -> "LocalPart":
        """See ``Storage.open_part``."""
        return LocalPart(
            export_id,
            self._part_path(str(partition), f"{export_id}.{extension}"),
            self._file(export_id, extension),
            self._make_place,
        )

    def decide(self, event: TerminalEvent) -> TerminalEvent:
        """See ``Storage.decide``."""
        manifest = self._manifest(event.export_id)
        draft = self._part_path(str(event.source.partition), f"{event.export_id}.manifest")
        with _storage_errors(f"{manifest} can't be written"):
            self._make_place(draft.parent)
            try:
                self._write_draft(draft, encode_event(event) + b"\n")
                manifest.hardlink_to(draft)
            except FileExistsError:
                return self._read(manifest)
            finally:
                draft.unlink(missing_ok=True)
        return event

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """See ``Storage.manifest``."""
        manifest = self._manifest(export_id)
        self.identity.require()  # in a root that was emptied there would be none either
        with _storage_errors(f"{manifest} can't be read"):
            try:
                return self._read(manifest)
            except FileNotFoundError:
                return None

    def has_file(self, event: TerminalEvent) -> bool:
        """See ``Storage.has_file``."""
        if not isinstance(event, ExportCompleted):
            return False
        file = self._file(event.export_id, event.extension)
        self.identity.require()
        with _storage_errors(f"{file} can't be read"):
            try:
                return file.stat().st_size == event.bytes
            except FileNotFoundError:
                return False

    def settle(self) -> None:
        """See ``Storage.settle``."""
        with _storage_errors(f"{self.directory} can't be synced"):
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def sweep(self, partition: int) -> int:
        """See ``Storage.sweep``."""
        directory = self.directory / _PARTS / str(partition)
        with _storage_errors(f"{directory} can't be swept"):
            self._make_place(directory)
            swept = 0
            for part in directory.iterdir():
                part.unlink(missing_ok=True)
                swept += 1
            return swept

    def holds_exports(self) -> bool:
        """Whether there are manifests, as an older build leaves them without an identity.

        Raises:
            StorageUnavailable: it can't be listed.
        """
        with _storage_errors(f"{self.directory} can't be listed"):
            try:
                with os.scandir(self.directory) as entries:
                    return any(entry.name.endswith(_MANIFEST) for entry in entries)
            except FileNotFoundError:
                return False

    def _make_place(self, place: Path) -> None:
        """Have a directory of parts, in this storage only."""
        self.identity.require()
        if not os.path.isdir(place):  # noqa: PTH112 - for each export: one call instead of four
            for directory in (place.parent, place):
                directory.mkdir(exist_ok=True)

    def open_mark(self, partition: int) -> LocalMark:
        """See ``Storage.open_mark``."""
        return self._marks.open(partition)

    def left_marks(self, partition: int) -> list[Mark]:
        """See ``Storage.left_marks``."""
        self.identity.require()
        with _storage_errors(f"marks in {self.directory} can't be read"):
            return self._marks.left(partition)

    def remove_marks(self, partition: int, marks: Iterable[Mark]) -> None:
        """See ``Storage.remove_marks``."""
        with _storage_errors(f"marks in {self.directory} can't be removed"):
            self._marks.remove(partition, marks)

    def _write_draft(self, draft: Path, content: bytes) -> None:
        try:
            _write_synced(draft, content)
        except OSError as error:
            if error.errno not in _NO_ROOM or not self._reserve.spend():
                raise
            _write_synced(draft, content)

    def _read(self, manifest: Path) -> TerminalEvent:
        try:
            return decode_event(manifest.read_bytes())
        except ValueError as error:
            raise LaneStopped(
                f"{manifest} is no manifest of this version ({error}); restore it or remove it"
            ) from None

    def _file(self, export_id: str, extension: str) -> Path:
        return self.directory / f"{export_id}.{extension}"

    def _manifest(self, export_id: str) -> Path:
        return self.directory / f"{export_id}{_MANIFEST}"

    def _part_path(self, place: str, name: str) -> Path:
        unique = f"{self._owner}-{next(self._numbers)}"
        return self.directory / _PARTS / place / f"{name}.{unique}"


class LocalPart:
    """``Part`` in a file of its own, opened only while it is written."""

    def __init__(
        self, export_id: str, path: Path, final: Path, make_place: Callable[[Path], None]
    ) -> None:
        self._export_id = export_id
        self._make_place = make_place
        self._path = path
        self._final = final
        self._pending = bytearray()
        self._written = 0
        self._created = False
        self._published = False
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        """See ``Part.size``."""
        return self._written + len(self._pending)

    @property
    def sha256(self) -> str:
        """See ``Part.sha256``."""
        return self._digest.hexdigest()

    def append(self, data: bytes) -> None:
        """See ``Part.append``."""
        self._digest.update(data)
        self._pending += data

    def flush(self) -> None:
        """See ``Part.flush``."""
        if self._pending:
            with self._opened() as descriptor:
                self._write_pending(descriptor)

    def sync(self) -> None:
        """See ``Part.sync``. A directory in the place of the file is seen before it is decided."""
        if self._final.is_dir():
            raise StorageUnavailable(f"{self._final} can't be published: it is a directory")
        with self._opened() as descriptor:
            self._write_pending(descriptor)
            try:
                os.fsync(descriptor)
            except OSError as error:
                # The kernel may have dropped the pages it could not write, and a second fsync
                # would then succeed without them (fsync(2), "fsyncgate").
                message = f"{self._path} can't be synced: {error.strerror}"
                raise PartUnsynced(self._export_id, message) from error

    def publish(self) -> None:
        """See ``Part.publish``."""
        if not self._published:
            with _storage_errors(f"{self._final} can't be published", gone=PartLost):
                self._path.rename(self._final)
            self._published = True

    def discard(self) -> None:
        """See ``Part.discard``."""
        self._pending.clear()
        if self._created and not self._published:
            with contextlib.suppress(OSError):  # the next owner of the partition sweeps it
                self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The file, created by the first call only: one that was swept does not come back."""
        with _storage_errors(f"{self._path} can't be written", gone=PartLost):
            if self._created:
                descriptor = os.open(self._path, os.O_WRONLY)
            else:
                self._make_place(self._path.parent)
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                self._created = True
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _write_pending(self, descriptor: int) -> None:
        """Write at the offset reached, so that a write that failed half-way can be repeated."""
        while self._pending:
            count = os.pwrite(descriptor, self._pending, self._written)
            self._written += count
            del self._pending[:count]


def _remove_old(directory: Path) -> None:
    """Remove what a process left that was killed between making its probe and removing it."""
    for probe in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another node was faster
            if time.time() - probe.stat().st_mtime > _PROBE_SECONDS:
                probe.unlink()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _storage_errors(what: str, gone: type[Exception] = StorageUnavailable) -> Iterator[None]:
    """Turn an ``OSError`` into the tree's own; ``gone`` is raised where the file isn't there."""
    try:
        yield
    except FileNotFoundError as error:
        raise gone(f"{what}: {error.strerror}") from error
    except OSError as error:
        raise StorageUnavailable(f"{what}: {error.strerror}") from error
