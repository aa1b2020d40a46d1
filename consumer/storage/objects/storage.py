"""``GroupStorage`` in an object store: files and decisions as objects, parts on a local disk.

An export's end: announce the upload, upload the whole part, create the manifest that names it. Only
manifests are created conditionally (If-None-Match), because multipart uploads can't be. See
``layout`` for the keys, ``attempts`` for what is swept. Invariant: an attempt that gets no
confirmation that it created the manifest reads it: the existing one decides, even if it is its own.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from datetime import timedelta

from consumer.core.expiry import Due, Removed
from consumer.core.suspects import Mark
from consumer.daemon_threads import DaemonThreads
from consumer.errors import LaneStopped, StorageUnavailable
from consumer.storage.objects import layout
from consumer.storage.objects.attempts import Attempts
from consumer.storage.objects.bucket import UPLOAD_BUFFER_BYTES, Bucket, ListedObject
from consumer.storage.objects.expiring import ExpiringObjects
from consumer.storage.objects.identity import ObjectIdentity
from consumer.storage.objects.marks import ObjectMark, ObjectMarks
from consumer.storage.objects.part import ObjectPart
from consumer.storage.objects.reading import ObjectFile
from consumer.storage.objects.scratch import Scratch
from schemas.completions import ExportCompleted, TerminalEvent, decode_event, encode_event

# 16 of 1 MiB, two of one buffer, two of three buffers.
_UPLOADS = (
    ("small", 1024 * 1024, 16),
    ("middling", UPLOAD_BUFFER_BYTES, 2),
    ("large", sys.maxsize, 2),
)
"""Concurrent uploads by file size: together they hold at most 80 MiB."""
_READS_AT_A_TIME = 16
# A probe lives for two requests; the store's clock may differ from ours by a quarter of an hour.
_OLD_PROBE_SECONDS = 1500.0


class ObjectStorage:
    """A bucket storage. A node finds or creates its id first; otherwise the first call does."""

    def __init__(self, bucket: Bucket, scratch: Scratch) -> None:
        self._bucket = bucket
        self._scratch = scratch
        self._identity = ObjectIdentity(bucket)
        self._attempts = Attempts(bucket, self._read_manifest)
        self._expiring = ExpiringObjects(bucket, self._read_manifest)
        self._marks = ObjectMarks(bucket, scratch)
        self._decides_once = False
        self._reads = DaemonThreads(_READS_AT_A_TIME, "storage-read")
        self._threads = [
            (most_bytes, DaemonThreads(count, f"storage-upload-{name}"))
            for name, most_bytes, count in _UPLOADS
        ]

    @property
    def root(self) -> str:
        """See ``GroupStorage.root``."""
        return self._bucket.url

    def find(self) -> str | None:
        """See ``GroupStorage.find``."""
        return self._identity.find()

    def found(self) -> str:
        """See ``GroupStorage.found``."""
        return self._identity.found()

    @property
    def scratch_bytes(self) -> int:
        """See ``GroupStorage.scratch_bytes``."""
        return self._scratch.bytes

    def holds_exports(self) -> bool:
        """See ``GroupStorage.holds_exports``."""
        found = self._bucket.list(layout.MANIFESTS)
        return any(layout.export_of_manifest(one.name) is not None for one in found)

    def check(self) -> None:
        """See ``GroupStorage.check``. Also copies marks of dead processes on this disk."""
        self._open_scratch()
        self._scratch.check()
        probe = f"{layout.PROBES}/{self._scratch.place.name}"
        if not self._decides_once:
            self._remove_old_probes()
            # A store that ignores ``If-None-Match`` would let two owners decide one export.
            self._bucket.create(probe, b"")
            if self._bucket.create(probe, b""):
                raise StorageUnavailable(f"{self.root}: the store lets two create one object")
            self._decides_once = True
        self._bucket.write(probe, b"")
        self._bucket.delete([probe])
        self._scratch.clear_dead(self._marks.bring_in)

    def close(self) -> None:
        """See ``GroupStorage.close``."""
        for _, threads in self._threads:
            threads.shutdown()
        self._reads.shutdown()
        self._marks.close()
        self._attempts.close()
        self._expiring.close()
        self._scratch.close()

    def open_part(
        self,
        partition: int,
        export_id: str,
        extension: str,
        decided: ExportCompleted | None = None,
    ) -> ObjectPart:
        """See ``Storage.open_part``."""
        if not self._scratch.is_open:
            self._open_scratch()
        name = f"{export_id}.{extension}"
        return ObjectPart(
            self._scratch.part_path(partition, name),
            self._scratch.make_place,
            self._scratch.count,
            self._bucket,
            extension,
            lambda: self._attempts.begin(partition, export_id, name),
            self._expiring.note,
            decided,
        )

    @property
    def threads(self) -> Callable[[int], Executor]:
        """See ``Storage.threads``."""
        return lambda size: next(
            threads for most_bytes, threads in self._threads if size <= most_bytes
        )

    def decide(self, event: TerminalEvent) -> TerminalEvent:
        """See ``Storage.decide``."""
        self._identity.require()
        # Before the manifest: a death in between leaves an extra note, never a file without one.
        if isinstance(event, ExportCompleted):
            self._expiring.note(event)
        manifest, refusal = layout.manifest(event.export_id), None
        # 3. Create the manifest, unless there is one.
        try:
            if self._bucket.create(manifest, encode_event(event) + b"\n"):
                return event
        except StorageUnavailable as error:
            refusal = error
        # 4. Read it, after an error too: the response to the creation may have been lost.
        there = self._read_manifest(event.export_id)
        if there is None:
            raise refusal or StorageUnavailable(f"{self.root}/{manifest} is made by another")
        # Ours: it was created, and the response lost.
        return event if there == event else there

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """See ``Storage.manifest``."""
        event = self._read_manifest(export_id)
        # Whether there is one or none: the bucket may have been emptied, or be another group's now.
        self._identity.require()
        return event

    def read_ahead(self, export_ids: Iterable[str]) -> Mapping[str, TerminalEvent | None]:
        """See ``Storage.read_ahead``: each request costs a round trip to the store."""
        reading = {one: self._reads.submit(self.manifest, one) for one in export_ids}
        try:
            return {export_id: future.result() for export_id, future in reading.items()}
        finally:
            for future in reading.values():
                future.cancel()

    def has_file(self, event: TerminalEvent) -> bool:
        """See ``Storage.has_file``."""
        return isinstance(event, ExportCompleted) and self._head(event) is not None

    def open_file(self, event: ExportCompleted) -> ObjectFile | None:
        """See ``GroupStorage.open_file``."""
        found = self._head(event)
        return ObjectFile(self._bucket, found) if found else None

    def settle(self) -> None:
        """See ``Storage.settle``: acknowledged objects are durable."""

    def sweep(self, partition: int) -> int:
        """See ``Storage.sweep``."""
        self._open_scratch()
        return self._scratch.sweep(partition) + self._attempts.sweep(partition)

    def tidy(self, partition: int) -> int:
        """See ``GroupStorage.tidy``."""
        return self._attempts.sweep(partition)

    def expire(self, due: Due, *, dry_run: bool = False) -> Iterator[Removed]:
        """See ``GroupStorage.expire``."""
        self._identity.require()
        yield from self._expiring.remove(due, dry_run=dry_run)

    def expire_manifests(
        self, due: Due, kept: timedelta, *, dry_run: bool = False
    ) -> Iterator[Removed]:
        """See ``GroupStorage.expire_manifests``."""
        self._identity.require()
        yield from self._expiring.remove_manifests(due, kept, dry_run=dry_run)

    def open_mark(self, partition: int) -> ObjectMark:
        """See ``Storage.open_mark``."""
        return self._marks.open(partition)

    def left_marks(self, partition: int) -> list[Mark]:
        """See ``Storage.left_marks``."""
        self._open_scratch()
        return self._marks.left(partition)

    def remove_marks(self, partition: int, marks: Iterable[Mark]) -> None:
        """See ``Storage.remove_marks``."""
        self._marks.remove(partition, marks)

    def _open_scratch(self) -> None:
        self._identity.require()
        self._scratch.open(self._identity.known)

    def _remove_old_probes(self) -> None:
        """Remove probes of processes that ended or lost the store before removing them."""
        old = time.time() - _OLD_PROBE_SECONDS
        probes = self._bucket.list(layout.PROBES)
        self._bucket.delete([probe.name for probe in probes if probe.modified < old])

    def _head(self, event: ExportCompleted) -> ListedObject | None:
        name = layout.name_of(event.location)
        found = self._bucket.head(name) if name else None
        self._identity.require(now=found is None)
        return found if found and found.size == event.bytes else None

    def _read_manifest(self, export_id: str) -> TerminalEvent | None:
        name = layout.manifest(export_id)
        content = self._bucket.read(name)
        if content is None:
            return None
        try:
            return decode_event(content)
        except ValueError as error:
            raise LaneStopped(
                f"{self.root}/{name} is no manifest of this version ({error}); restore it or "
                "remove it"
            ) from None
