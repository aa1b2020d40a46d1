"""Expired files of a bucket, found by notes for series.

A note is an empty object, made before the first manifest that names a file of the series with an
expiry in a slot: as a rule one for a hundred exports. It goes after the files; see
``consumer.core.expiry``. Invariant: a file is removed only if its export's manifest says that it
has expired.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice

from consumer.core.expiry import UNDECIDED, Due, Removed, slot_of
from consumer.daemon_threads import DaemonThreads
from consumer.errors import LaneStopped
from consumer.storage.objects import layout
from consumer.storage.objects.bucket import Bucket, ListedObject
from schemas.completions import ExportCompleted, TerminalEvent

_AT_A_TIME = 1000
_MOST_KNOWN = 10_000
_READS = 16
"""Manifests that are read at a time: one after the other, at 20 ms each, they were 50 a second."""


class ExpiringObjects:
    """Expired files of one bucket; ``manifest`` reads its manifests. Threads may share it.

    Its calls raise ``StorageUnavailable``.
    """

    def __init__(self, bucket: Bucket, manifest: Callable[[str], TerminalEvent | None]) -> None:
        self._bucket = bucket
        self._manifest = manifest
        self._noted: dict[str, None] = {}
        self._expiries: dict[str, datetime | None] = {}
        self._reads = DaemonThreads(_READS, "storage-expire")

    def close(self) -> None:
        """Stop reading."""
        self._reads.shutdown()

    def note(self, event: ExportCompleted) -> None:
        """Note an expiry before the file may exist; most series are already noted."""
        name = layout.name_of(event.location)
        if event.expires_at is None or name is None:
            return
        note = layout.expiry_note(
            slot_of(event.expires_at, datetime.now(UTC)), *layout.series_of(name)
        )
        if note not in self._noted:
            self._bucket.write(note, b"")
            # Remember it only now: after a refusal the next file tries again.
            if len(self._noted) >= _MOST_KNOWN:
                self._noted.clear()
            self._noted[note] = None

    def remove(self, due: Due, *, dry_run: bool) -> Iterator[Removed]:
        """See ``GroupStorage.expire``."""
        for slot in self._slots(due):
            done = list[str]()
            for note in self._bucket.list(f"{layout.EXPIRING}/{slot}"):
                series = layout.noted_series(note.name)
                if series is None or not due.covers(slot, series[0]):
                    continue
                removed, all_known = self._remove_series(*series, due, dry_run=dry_run)
                if removed.exports or removed.refused:
                    yield removed
                if all_known and due.is_over(slot):
                    done.append(note.name)
            if not dry_run:
                self._bucket.delete(done)

    def remove_manifests(self, due: Due, kept: timedelta, *, dry_run: bool) -> Iterator[Removed]:
        """See ``GroupStorage.expire_manifests``."""
        before = (due.ours_before - kept).timestamp()
        old = (one for one in self._bucket.list(layout.MANIFESTS) if one.modified < before)
        while some := list(islice(old, _AT_A_TIME)):
            yield self._remove_some_manifests(some, due, dry_run=dry_run)

    def _slots(self, due: Due) -> Iterator[str]:
        for day in due.begun_days(self._bucket.folders(layout.EXPIRING)):
            times = sorted(self._bucket.folders(f"{layout.EXPIRING}/{day}"))
            yield from due.begun(f"{day}/{time}" for time in times)

    def _remove_series(
        self, partition: int, series: str, due: Due, *, dry_run: bool
    ) -> tuple[Removed, bool]:
        """Remove due files; returns whether all remaining ones have a readable manifest."""
        names, removed, refused = list[str](), list[tuple[str, int]](), list[str]()
        all_known, before = True, due.before(partition)
        files = list(self._bucket.list(layout.series_files(partition, series)))
        answers = [self._reads.submit(self._expiry, file) for file in files]
        for file, answer in zip(files, answers, strict=True):
            try:
                known, expires_at = answer.result()
            except LaneStopped as error:
                known, expires_at = False, None
                refused.append(str(error))
            if expires_at and expires_at <= before:
                names.append(file.name)
                removed.append((layout.export_of(file.name), file.size))
            all_known &= known or file.modified < (due.now - UNDECIDED).timestamp()
        if not dry_run:
            self._bucket.delete(names)
        return Removed(tuple(removed), tuple(refused)), all_known and not refused

    def _expiry(self, file: ListedObject) -> tuple[bool, datetime | None]:
        """Whether its export has ended, and when it expires."""
        with suppress(KeyError):
            return True, self._expiries[file.name]
        event = self._manifest(layout.export_of(file.name))
        if event is None:
            return False, None
        if len(self._expiries) >= _MOST_KNOWN:
            self._expiries.clear()
        expires_at = event.expires_at if isinstance(event, ExportCompleted) else None
        self._expiries[file.name] = expires_at
        return True, expires_at

    def _remove_some_manifests(
        self, manifests: list[ListedObject], due: Due, *, dry_run: bool
    ) -> Removed:
        files, names, removed = list[str](), list[str](), list[tuple[str, int]]()
        refused = list[str]()
        ended = [
            (one.name, export_id)
            for one in manifests
            if (export_id := layout.export_of_manifest(one.name))
        ]
        answers = [self._reads.submit(self._manifest, export_id) for _, export_id in ended]
        for (name, export_id), answer in zip(ended, answers, strict=True):
            try:
                event = answer.result()
            except LaneStopped as error:
                refused.append(str(error))
                continue
            if event is None:  # another node was faster
                continue
            if isinstance(event, ExportCompleted):
                if not event.expired(due.ours_before):
                    continue
                files += filter(None, [layout.name_of(event.location)])
            names.append(name)
            removed.append((export_id, 0))
        if not dry_run:
            # Files first: without their manifests nothing would find them.
            self._bucket.delete(files)  # usually removed before
            self._bucket.delete(names)
        return Removed(tuple(removed), tuple(refused), manifests=True)
