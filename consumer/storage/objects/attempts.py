"""Keys of uploads, chosen so that an owner's leftovers are found without listing all files.

A key is never used twice: a data file can't be created conditionally, so an attempt that comes late
must not replace another one's. Keys come in series of one process and partition, and a series is
announced by a small object before its first upload, until each of its files was named by a manifest
or removed. What is announced by others is looked through when a partition is taken over, and now
and then. Invariants: a file that no manifest names lies in an announced series; and only that is
removed whose export's manifest names another file, or none.
"""

import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from consumer.errors import LaneStopped, StorageUnavailable
from consumer.storage.objects import layout
from consumer.storage.objects.bucket import Bucket, ListedObject
from schemas.completions import ExportCompleted, TerminalEvent

_MOST_OF_A_SERIES = 100
"""An owner that is killed leaves a series: so many manifests are read for that."""
_RENEW_SECONDS = 300.0
_FORGET_SECONDS = 1500.0
"""An owner that lives renews an announcement before; clocks may differ by a quarter of an hour."""
_UNDECIDED_SECONDS = 86_400.0
"""A file whose export has no manifest for so long: no attempt lasts, and none sleeps, for a day."""


@dataclass(slots=True)
class _Series:
    """``announced_at`` is a monotonic time. ``doubtful``: an upload's fate isn't known."""

    partition: int
    name: str
    begun_at: float
    keys: int = 0
    unsettled: int = 0
    full: bool = False
    doubtful: bool = False
    announced_at: float | None = None
    lock: Lock = field(default_factory=Lock)


class UploadAttempt:
    """One attempt's key, announced before it is used; ``settle`` it in the end."""

    def __init__(self, name: str, series: _Series, attempts: "Attempts") -> None:
        self.name = name
        self._series = series
        self._attempts = attempts
        self._settled = False

    def announce(self) -> None:
        """Before the upload, and now and then while it lasts. Raises StorageUnavailable."""
        self._attempts.announce(self._series)

    def settle(self, *, sure: bool = True) -> None:
        """Its file is named by a manifest, or is not there; else it isn't ``sure``, and is swept.

        The first call counts.
        """
        if not self._settled:
            self._settled = True
            self._attempts.settle(self._series, sure=sure)


class Attempts:
    """One process's attempts. Threads may share it; ``manifest`` reads a manifest."""

    def __init__(self, bucket: Bucket, manifest: Callable[[str], TerminalEvent | None]) -> None:
        self._bucket = bucket
        self._manifest = manifest
        self._lock = Lock()
        self._current: dict[int, _Series] = {}
        self._ours: dict[str, _Series] = {}
        self._retractable: list[_Series] = []
        self._named: dict[int, dict[str, set[str]]] = {}

    def begin(self, partition: int, export_id: str, file_name: str) -> UploadAttempt:
        """Reserve a unique key; writes nothing yet."""
        with self._lock:
            series = self._series(partition)
            series.keys += 1
            series.unsettled += 1
            name = layout.file(partition, series.name, series.keys, export_id, file_name)
        return UploadAttempt(name, series, self)

    def _series(self, partition: int) -> _Series:
        now, series = time.monotonic(), self._current.get(partition)
        if series and (series.keys >= _MOST_OF_A_SERIES or now - series.begun_at > _RENEW_SECONDS):
            # No key is added any more: it ends once those that it has are settled.
            series.full = True
            if not series.unsettled:
                self._end(series)
            series = None
        if series is None:
            series = _Series(partition, uuid.uuid4().hex[:16], now)
            self._current[partition] = self._ours[series.name] = series
        return series

    def announce(self, series: _Series) -> None:
        """Announce a series. Raises StorageUnavailable."""
        self._retract()
        # Uploads of one series wait here until one announcement covers all of them.
        with series.lock:
            now = time.monotonic()
            if series.announced_at is None or now - series.announced_at > _RENEW_SECONDS:
                self._bucket.write(layout.announcement(series.partition, series.name), b"")
                series.announced_at = now

    def settle(self, series: _Series, *, sure: bool) -> None:
        """Count one more settled key of a series."""
        with self._lock:
            series.unsettled -= 1
            series.doubtful |= not sure
            if series.full and not series.unsettled:
                self._end(series)
        self._retract()

    def close(self) -> None:
        """No more uploads: retract the announcements of settled series. Never raises."""
        with self._lock:
            for series in list(self._ours.values()):
                if not series.unsettled:
                    self._end(series)
            self._current.clear()
        self._retract()

    def _end(self, series: _Series) -> None:
        """A doubtful series stays announced and is swept like a foreign one."""
        if self._ours.pop(series.name, None) and not series.doubtful and series.announced_at:
            self._retractable.append(series)

    def _retract(self) -> None:
        with self._lock:
            ended, self._retractable = self._retractable, []
        # Outside of the lock, because a request takes time.
        names = [layout.announcement(series.partition, series.name) for series in ended]
        with contextlib.suppress(StorageUnavailable):  # a sweep does, some time
            self._bucket.delete(names)

    def sweep(self, partition: int) -> int:
        """Remove files that no manifest names or will name; return how many.

        For the partition's owner: it aborts others' uploads. That, and everything else here, does
        no harm if it is no longer the owner. Raises StorageUnavailable.
        """
        removed, before = 0, self._named.get(partition, {})
        # A named file stays named: the next sweep needn't read its manifest again.
        self._named[partition] = named = dict[str, set[str]]()
        for announced in self._bucket.list(layout.announcements(partition)):
            series = announced.name.rpartition("/")[2]
            if series not in self._ours:
                named[series] = before.get(series, set())
                removed += self._sweep_series(partition, announced, named[series])
        return removed

    def _sweep_series(self, partition: int, announced: ListedObject, named: set[str]) -> int:
        folder = layout.series_files(partition, announced.name.rpartition("/")[2])
        # Before the listing, so that no upload ends unseen after it.
        self._bucket.abort_uploads(folder)
        orphans, undecided = list[str](), False
        for file in self._bucket.list(folder):
            if file.name in named:
                continue
            try:
                event = self._manifest(layout.export_of(file.name))
            except LaneStopped:
                # Of an ended export, or a newer build's: nothing here depends on what it says.
                undecided = True
                continue
            if isinstance(event, ExportCompleted) and layout.name_of(event.location) == file.name:
                named.add(file.name)
            elif event or time.time() - file.modified > _UNDECIDED_SECONDS:
                orphans.append(file.name)
            else:
                undecided = True
        self._bucket.delete(orphans)
        if not undecided and time.time() - announced.modified > _FORGET_SECONDS:
            self._bucket.delete([announced.name])
        return len(orphans)
