"""A directory, or a network file system that nodes share.

    .sluice.json                    which storage this is
    {export_id}.{extension}          a finished file
    {export_id}.manifest.json       how the export ended
    .parts/{partition}/…            what is being written; swept when a partition is taken over
    .in-hand/{partition}/…          what is being worked on; see ``consumer.storage.marks``
    .expiring/{day}/…               what expires when; see ``consumer.storage.expiring``

An export's end: fsync the part, link the manifest, rename the part, fsync the directory. link(2)
creates a name only if it doesn't exist, on NFS too; rename(2) replaces a name atomically.

Invariant: if the root is no longer the one that was opened, nothing is concluded from it and
nothing left in it.
"""

import contextlib
import errno
import itertools
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from consumer.core.expiry import Due, Removed
from consumer.core.suspects import Mark
from consumer.errors import LaneStopped, PartLost, PartUnsynced, StorageUnavailable
from consumer.storage.expiring import ExpiringFiles
from consumer.storage.identity import Identity
from consumer.storage.marks import LocalMark, LocalMarks
from consumer.storage.part_file import PartFile, storage_errors
from consumer.storage.reserve import Reserve
from schemas.completions import ExportCompleted, TerminalEvent, decode_event, encode_event

_PARTS = ".parts"
_MANIFEST = ".manifest.json"
_MOST_MANIFEST_BYTES = 1024 * 1024  # more than any of ours
_PROBE_SECONDS = 10.0  # a probe lives for milliseconds
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class LocalStorage:
    """``GroupStorage`` in a directory.

    A node finds or creates its ``identity`` first; otherwise the first call does. Only that creates
    the directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.identity = Identity(self.directory)
        # Names are never reused, not even by a process that reuses a dead one's id.
        self._owner = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()
        self._reserve = Reserve(self.directory / _PARTS)
        self._expiring = ExpiringFiles(self.directory, self.manifest)
        self._marks = LocalMarks(self.directory, self._make_place)

    @property
    def root(self) -> str:
        """See ``GroupStorage.root``."""
        return str(self.directory)

    def find(self) -> str | None:
        """See ``GroupStorage.find``."""
        return self.identity.find()

    def found(self) -> str:
        """See ``GroupStorage.found``."""
        return self.identity.found()

    @property
    def scratch_bytes(self) -> int:
        """See ``GroupStorage.scratch_bytes``."""
        return 0

    def check(self) -> None:
        """See ``GroupStorage.check``. Tries a hard link too: decisions depend on it."""
        probe = self._part_path("probe", self._owner)
        linked = probe.with_suffix(".link")
        with storage_errors(f"{self.directory} can't be written"):
            self._make_place(probe.parent)
            _remove_old(probe.parent)
            try:
                probe.write_bytes(b"probe")
                linked.hardlink_to(probe)
            finally:
                linked.unlink(missing_ok=True)
                probe.unlink(missing_ok=True)
        # Restore it here after it was spent.
        self._reserve.keep()

    def close(self) -> None:
        """See ``GroupStorage.close``."""
        self._reserve.spend()

    def open_part(
        self,
        partition: int,
        export_id: str,
        extension: str,
        decided: ExportCompleted | None = None,
    ) -> "LocalPart":
        """See ``Storage.open_part``."""
        return LocalPart(
            export_id,
            self._part_path(str(partition), f"{export_id}.{extension}"),
            self._file(export_id, extension),
            self.identity.require,
            self._make_place,
            self._expiring.note,
        )

    @property
    def threads(self) -> None:
        """See ``Storage.threads``: a disk takes milliseconds."""

    def decide(self, event: TerminalEvent) -> TerminalEvent:
        """See ``Storage.decide``."""
        manifest = self._manifest(event.export_id)
        draft = self._part_path(str(event.source.partition), f"{event.export_id}.manifest")
        with storage_errors(f"{manifest} can't be written"):
            try:
                # The content first, then the name: nobody reads a partial manifest.
                self._write_draft(draft, encode_event(event) + b"\n")
                self.identity.require()
                # Before the manifest: a death in between leaves an extra note, never a file without
                # one.
                if isinstance(event, ExportCompleted):
                    self._expiring.note(event)
                manifest.hardlink_to(draft)
            except FileExistsError:
                return self._read(manifest)
            finally:
                draft.unlink(missing_ok=True)
        return event

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """See ``Storage.manifest``."""
        event = self._find_manifest(export_id)
        self.identity.require()  # an emptied root would have none either
        return event

    def read_ahead(self, export_ids: Iterable[str]) -> Mapping[str, TerminalEvent | None]:
        """See ``Storage.read_ahead``: one look at the root's id does for all."""
        read = dict[str, TerminalEvent | None]()
        for export_id in export_ids:
            # What can't be read is read again with its request, which then gets the error.
            with contextlib.suppress(LaneStopped, StorageUnavailable):
                read[export_id] = self._find_manifest(export_id)
        self.identity.require()  # an emptied root would have none either
        return read

    def has_file(self, event: TerminalEvent) -> bool:
        """See ``Storage.has_file``."""
        if not isinstance(event, ExportCompleted):
            return False
        file = self._file(event.export_id, event.extension)
        self.identity.require()
        with storage_errors(f"{file} can't be read"):
            try:
                return file.stat().st_size == event.bytes
            except FileNotFoundError:
                return False

    def tidy(self, partition: int) -> int:
        """See ``GroupStorage.tidy``: a late owner finds its part gone and makes no file."""
        return 0

    def expire(self, due: Due, *, dry_run: bool = False) -> Iterator[Removed]:
        """See ``GroupStorage.expire``."""
        with storage_errors(f"what expires in {self.directory} can't be listed"):
            yield from self._expiring.remove(due, dry_run=dry_run)

    def expire_manifests(
        self, due: Due, kept: timedelta, *, dry_run: bool = False
    ) -> Iterator[Removed]:
        """See ``GroupStorage.expire_manifests``."""
        with storage_errors(f"{self.directory} can't be listed"):
            yield from self._expiring.remove_manifests(due, kept, dry_run=dry_run)

    def open_file(self, event: ExportCompleted) -> "LocalFile | None":
        """See ``GroupStorage.open_file``. Nodes may have the directory at different paths."""
        if not self.has_file(event):
            return None
        file = self._file(event.export_id, event.extension)
        with storage_errors(f"{file} can't be read"):
            try:
                return LocalFile(file)
            except FileNotFoundError:
                return None

    def settle(self) -> None:
        """See ``Storage.settle``."""
        with storage_errors(f"{self.directory} can't be synced"):
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def sweep(self, partition: int) -> int:
        """See ``Storage.sweep``."""
        directory = self.directory / _PARTS / str(partition)
        with storage_errors(f"{directory} can't be swept"):
            self._make_place(directory)
            swept = 0
            for part in directory.iterdir():
                # A fenced owner may publish or discard it at the same moment.
                part.unlink(missing_ok=True)
                swept += 1
            return swept

    def holds_exports(self) -> bool:
        """See ``GroupStorage.holds_exports``."""
        with storage_errors(f"{self.directory} can't be listed"):
            try:
                with os.scandir(self.directory) as entries:
                    return any(entry.name.endswith(_MANIFEST) for entry in entries)
            except FileNotFoundError:
                return False

    def _make_place(self, place: Path) -> None:
        """Create a directory for parts, only within this storage."""
        self.identity.require()
        if not os.path.isdir(place):  # noqa: PTH112 - for each export: one call instead of four
            # Don't create the root: a missing one must not come back empty.
            for directory in (place.parent, place):
                directory.mkdir(exist_ok=True)

    def open_mark(self, partition: int) -> LocalMark:
        """See ``Storage.open_mark``."""
        return self._marks.open(partition)

    def left_marks(self, partition: int) -> list[Mark]:
        """See ``Storage.left_marks``."""
        self.identity.require()
        with storage_errors(f"marks in {self.directory} can't be read"):
            return self._marks.left(partition)

    def remove_marks(self, partition: int, marks: Iterable[Mark]) -> None:
        """See ``Storage.remove_marks``."""
        with storage_errors(f"marks in {self.directory} can't be removed"):
            self._marks.remove(partition, marks)

    def _write_draft(self, draft: Path, content: bytes) -> None:
        try:
            try:
                _write_synced(draft, content)
            except FileNotFoundError:
                self._make_place(draft.parent)
                _write_synced(draft, content)
        except OSError as error:
            if error.errno not in _NO_ROOM or not self._reserve.spend():
                raise
            _write_synced(draft, content)

    def _find_manifest(self, export_id: str) -> TerminalEvent | None:
        manifest = self._manifest(export_id)
        with storage_errors(f"{manifest} can't be read"):
            try:
                return self._read(manifest)
            except FileNotFoundError:
                return None

    def _read(self, manifest: Path) -> TerminalEvent:
        try:
            with manifest.open("rb") as file:
                return decode_event(file.read(_MOST_MANIFEST_BYTES))
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


class LocalPart(PartFile):
    """A ``Part`` that is published by a rename; ``require`` checks the root before it is made."""

    def __init__(
        self,
        export_id: str,
        path: Path,
        final: Path,
        require: Callable[[], None],
        make_place: Callable[[Path], None],
        note: Callable[[ExportCompleted], None],
    ) -> None:
        super().__init__(path, make_place)
        self._export_id = export_id
        self._final = final
        self._require = require
        self._note = note
        self._published = False

    @property
    def location(self) -> str:
        """See ``Part.location``."""
        return self._final.as_uri()

    def sync(self) -> None:
        """See ``Part.sync``. Notices a directory in the file's place before the decision."""
        if self._final.is_dir():
            raise StorageUnavailable(f"{self._final} can't be published: it is a directory")
        with self._opened() as descriptor:
            self._write_pending(descriptor)
            try:
                os.fsync(descriptor)
            except OSError as error:
                # The kernel may have dropped the pages it could not write, and a second fsync
                # would then succeed without them (fsync(2), "fsyncgate").
                message = f"{self.path} can't be synced: {error.strerror}"
                raise PartUnsynced(self._export_id, message) from error

    def _create(self) -> int:
        self._require()
        return super()._create()

    def publish(self, decided: ExportCompleted) -> None:
        """See ``Part.publish``."""
        if not self._published:
            # If it is gone, another owner has swept it: the lane reloads.
            with storage_errors(f"{self._final} can't be published", gone=PartLost):
                self.path.rename(self._final)
                if decided.expired(datetime.now(UTC)):
                    self._note(decided)  # the one made before the manifest may be gone
            self._published = True

    def discard(self, decided: TerminalEvent | None = None) -> None:
        """See ``Part.discard``."""
        if not self._published:
            super().discard(decided)


class LocalFile:
    """A ``StoredFile`` in a directory: an open descriptor, readable even after a removal."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._descriptor = os.open(path, os.O_RDONLY)
        status = os.fstat(self._descriptor)
        self.size, self.modified = status.st_size, status.st_mtime

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # it was never opened
            os.close(self._descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """See ``StoredFile.read``."""
        with storage_errors(f"{self.name} can't be read"):
            return os.pread(self._descriptor, size, offset)

    def presign(self, method: str, seconds: int) -> None:
        """See ``StoredFile.presign``: there is none."""
        return


def _remove_old(directory: Path) -> None:
    """Remove probes of processes that were killed before they removed them."""
    for probe in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another node was faster
            if time.time() - probe.stat().st_mtime > _PROBE_SECONDS:
                probe.unlink()


def _write_synced(path: Path, content: bytes) -> None:
    # Without a file object: for each export it would take four more system calls, and each of them
    # hands the interpreter to another thread.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
