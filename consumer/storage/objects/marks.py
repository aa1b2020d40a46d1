"""Marks of the message in hand, where an object for each message would cost more than its handling.

A process writes its marks on its scratch disk, as into a directory storage: that costs a
microsecond. When it has died, the next process on this disk brings them into the store
(``Scratch.clear_dead``), as a rule the same node, started again, before it joins the group. What
stays in hand for longer than most messages do is in the store while it lasts, for a disk may be
lost with its process. Invariants: a turn never waits for the store's answer about a mark; a mark
that was counted is removed from both.
"""

import contextlib
import threading
import time
from collections.abc import Iterable

from consumer.core.suspects import Mark
from consumer.errors import StorageUnavailable
from consumer.storage.marks import LocalMark, LocalMarks, mark_content, mark_name, parsed_marks
from consumer.storage.objects import layout
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.scratch import Scratch
from consumer.storage.part_file import storage_errors

LASTING_SECONDS = 0.1
"""Most messages take less; what kills by memory or by time takes more."""
# So what lasts is on its way into the bucket after 0.15 s.
_LOOK_SECONDS = 0.05
_LAST_SECONDS = 2.0


class ObjectMark:
    """``MessageMark`` on the scratch disk; ``keep`` brings it into the bucket if it lasts."""

    def __init__(self, local: LocalMark, bucket: Bucket, folder: str) -> None:
        self._local = local
        self._bucket = bucket
        self._folder = folder
        self._latest: tuple[str, bytes, float] | None = None
        self._kept: tuple[str, bytes] | None = None
        self._removed = False

    def set(self, is_batch: bool, first: int, last: int, *, alone: bool = False) -> None:
        """See ``MessageMark.set``."""
        self._local.set(is_batch, first, last, alone=alone)
        if name := self._local.name:
            content = mark_content(is_batch, first, last, alone=alone)
            self._latest = name, content, time.monotonic()

    def clear(self) -> None:
        """See ``MessageMark.clear``."""
        self._latest = None
        self._local.clear()

    def remove(self) -> None:
        """See ``MessageMark.remove``."""
        self._latest, self._removed = None, True
        self._local.remove()

    def keep(self) -> bool:
        """Have in the bucket what lasts, and nothing else; whether there may be more to come.

        One thread calls it while another one has the mark: the next call sees what is written
        meanwhile. Never raises.
        """
        # Read once: the turn's thread may replace it at any moment.
        latest = self._latest
        due = latest[:2] if latest and _lasts(latest[2]) else None
        if due != self._kept:
            with contextlib.suppress(StorageUnavailable):  # again, at the next look
                if due:
                    self._bucket.write(f"{self._folder}/{due[0]}", due[1])
                elif self._kept:
                    self._bucket.delete([f"{self._folder}/{self._kept[0]}"])
                self._kept = due
        return not self._removed or self._kept is not None


class ObjectMarks:
    """Those of one process, and what dead ones left in the bucket. Threads may share it."""

    def __init__(self, bucket: Bucket, scratch: Scratch) -> None:
        self._bucket = bucket
        self._scratch = scratch
        self._open: list[ObjectMark] = []
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def open(self, partition: int) -> ObjectMark:
        """A mark of a new owner."""
        mark = ObjectMark(self._own().open(partition), self._bucket, layout.marks(partition))
        self._open.append(mark)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="storage-marks", daemon=True)
            self._keeper.start()
        return mark

    def close(self) -> None:
        """The process ends: keep no more, and nothing that isn't in hand. Never raises."""
        self._closed.set()
        if self._keeper:
            self._keeper.join(_LAST_SECONDS)
            self._keeper = None

    def left(self, partition: int) -> list[Mark]:
        """The marks that are there, of this process's former lanes too. Raises as the bucket."""
        with storage_errors(f"marks in {self._scratch.place} can't be read"):
            found = self._own().left(partition)
        for listed in self._bucket.list(layout.marks(partition)):
            name, content = listed.name.rpartition("/")[2], self._bucket.read(listed.name)
            if content is not None:
                found += parsed_marks(name, content)
        return found

    def remove(self, partition: int, marks: Iterable[Mark]) -> None:
        """Remove marks; one of this process's that says nothing may stay. Raises as ``left``."""
        counted = list(marks)
        with storage_errors(f"marks in {self._scratch.place} can't be removed"):
            self._own().remove(partition, counted)
        folder = layout.marks(partition)
        self._bucket.delete(sorted({f"{folder}/{mark_name(mark.name)}" for mark in counted}))

    def bring_in(self, partition: int, name: str, content: bytes) -> None:
        """Bring a mark of a dead process into the bucket, if it says something."""
        if any(mark.place for mark in parsed_marks(name, content)):
            self._bucket.write(f"{layout.marks(partition)}/{name}", content)

    def _own(self) -> LocalMarks:
        return LocalMarks(self._scratch.place, self._scratch.make_place)

    def _keep(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            self._keep_all()
        # Once more after the end: what isn't in hand any more goes.
        self._keep_all()

    def _keep_all(self) -> None:
        for mark in list(self._open):
            if not mark.keep():
                self._open.remove(mark)


def _lasts(since: float) -> bool:
    return time.monotonic() - since > LASTING_SECONDS
