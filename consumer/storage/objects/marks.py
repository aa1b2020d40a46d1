"""Marks of the message in hand, where an object for each message would cost more than its handling.

A process writes its marks on its scratch disk, as into a directory storage: that costs a
microsecond. When it has died, the next process on this disk brings them into the store
(``Scratch.clear_dead``), as a rule the same node, started again, before it joins the group. So a
death is counted unless the disk is lost with the process. Invariant: a mark that was counted is
removed from both.
"""

from collections.abc import Iterable

from consumer.core.suspects import Mark
from consumer.storage.marks import LocalMark, LocalMarks, mark_name, parsed_marks
from consumer.storage.objects import layout
from consumer.storage.objects.bucket import Bucket
from consumer.storage.objects.scratch import Scratch
from consumer.storage.part_file import storage_errors


class ObjectMarks:
    """Those of one process, and what dead ones left in the bucket. Threads may share it."""

    def __init__(self, bucket: Bucket, scratch: Scratch) -> None:
        self._bucket = bucket
        self._scratch = scratch

    def open(self, partition: int) -> LocalMark:
        """A mark of a new owner."""
        return self._own().open(partition)

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
        self._bucket.delete([f"{folder}/{mark_name(mark.name)}" for mark in counted])

    def keep(self, partition: int, name: str, content: bytes) -> None:
        """Bring a mark of a dead process into the bucket, if it says something."""
        if any(mark.place for mark in parsed_marks(name, content)):
            self._bucket.write(f"{layout.marks(partition)}/{name}", content)

    def _own(self) -> LocalMarks:
        return LocalMarks(self._scratch.place, self._scratch.make_place)
