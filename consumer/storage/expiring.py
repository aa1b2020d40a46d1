"""Expired files of a directory, found by one note per export.

    .expiring/2026-11-28/0612/{partition}-{export_id}

A note is created before its export's manifest and removed after the file; see
``consumer.core.expiry``. Invariant: a file is removed only if its export's manifest says that it
has expired.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from consumer.core.expiry import GRACE, UNDECIDED, Due, Removed, slot_of
from consumer.errors import ConsumerError
from consumer.storage.part_file import storage_errors
from schemas.completions import ExportCompleted, TerminalEvent
from schemas.vocabulary import is_export_id

NAME = ".expiring"
_AT_A_TIME = 100
_MANIFEST = ".manifest.json"


class ExpiringFiles:
    """Expired files of one directory; ``manifest`` reads its manifests. Threads may share it."""

    def __init__(self, directory: Path, manifest: Callable[[str], TerminalEvent | None]) -> None:
        self._directory = directory
        self._notes = directory / NAME
        self._manifest = manifest

    def note(self, event: ExportCompleted) -> None:
        """Note an expiry; call it before the file may exist. Raises OSError."""
        if event.expires_at is None:
            return
        slot = self._notes / slot_of(event.expires_at, datetime.now(UTC))
        note = slot / f"{event.source.partition}-{event.export_id}"
        try:
            note.touch()
        except FileNotFoundError:
            # Don't create the root: a missing one must not come back empty.
            for place in (self._notes, slot.parent, slot):
                place.mkdir(exist_ok=True)
            note.touch()

    def remove(self, due: Due, *, dry_run: bool) -> Iterator[Removed]:
        """See ``GroupStorage.expire``."""
        for slot in self._slots(due):
            place = self._notes / slot
            notes = (place / name for name in _names(place))
            while some := list(islice(notes, _AT_A_TIME)):
                yield self._remove_some(some, slot, due, dry_run=dry_run)
            if due.is_over(slot) and not dry_run:
                with contextlib.suppress(OSError):  # notes are left, or another node was faster
                    place.rmdir()
        if not dry_run:
            self._remove_past_days(due)

    def remove_manifests(self, due: Due, kept: timedelta, *, dry_run: bool) -> Iterator[Removed]:
        """See ``GroupStorage.expire_manifests``."""
        before = (due.ours_before - kept).timestamp()
        with os.scandir(self._directory) as entries:
            old = (
                entry.name.removesuffix(_MANIFEST)
                for entry in entries
                if entry.name.endswith(_MANIFEST) and _was_written(entry) < before
            )
            while some := list(islice(old, _AT_A_TIME)):
                yield self._remove_some_manifests(some, due, dry_run=dry_run)

    def _slots(self, due: Due) -> Iterator[str]:
        for day in due.begun_days(_names(self._notes)):
            slots = (f"{day}/{time}" for time in _names(self._notes / day))
            yield from due.begun(sorted(slots))

    def _remove_some(self, notes: list[Path], slot: str, due: Due, *, dry_run: bool) -> Removed:
        removed, refused = list[tuple[str, int]](), list[str]()
        for note in notes:
            number, _, export_id = note.name.partition("-")
            if not (number.isdecimal() and is_export_id(export_id)):
                continue
            if due.covers(slot, partition := int(number)):
                try:
                    event = self._manifest(export_id)
                    if isinstance(event, ExportCompleted) and event.expired(due.before(partition)):
                        if self._remove_file(event, dry_run=dry_run):
                            removed.append((export_id, event.bytes))
                        done = True
                    else:
                        # The export ended otherwise, or no attempt will ever decide it.
                        done = due.is_over(slot) and (event is not None or _is_old(note, due))
                    if done and not dry_run:
                        note.unlink(missing_ok=True)
                except (ConsumerError, OSError) as error:
                    refused.append(f"{export_id}: {error}")
        return Removed(tuple(removed), tuple(refused))

    def _remove_some_manifests(self, export_ids: list[str], due: Due, *, dry_run: bool) -> Removed:
        removed, refused = list[tuple[str, int]](), list[str]()
        for export_id in export_ids:
            try:
                event = self._manifest(export_id)
                if isinstance(event, ExportCompleted):
                    if not event.expired(due.ours_before):
                        continue
                    # The file first: without its manifest nothing would find it.
                    self._remove_file(event, dry_run=dry_run)
                if event is None:  # another node was faster
                    continue
                if not dry_run:
                    self._directory.joinpath(f"{export_id}{_MANIFEST}").unlink(missing_ok=True)
                removed.append((export_id, 0))
            except (ConsumerError, OSError) as error:
                refused.append(f"{export_id}: {error}")
        return Removed(tuple(removed), tuple(refused), manifests=True)

    def _remove_file(self, event: ExportCompleted, *, dry_run: bool) -> bool:
        """Remove a file; returns whether it existed."""
        file = self._directory / f"{event.export_id}.{event.extension}"
        if dry_run:
            return file.exists()
        with storage_errors(f"{file} can't be removed"):
            try:
                file.unlink()
            except FileNotFoundError:
                return False
        return True

    def _remove_past_days(self, due: Due) -> None:
        today = (due.now - GRACE).strftime("%Y-%m-%d")
        for day in due.begun_days(_names(self._notes)):
            if day < today:
                with contextlib.suppress(OSError):  # likewise
                    self._notes.joinpath(day).rmdir()


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):  # others leave files, such as .DS_Store
        return []


def _was_written(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:  # another node was faster
        return math.inf


def _is_old(note: Path, due: Due) -> bool:
    return note.stat().st_mtime < (due.now - UNDECIDED).timestamp()
