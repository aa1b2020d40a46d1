"""A disk in memory, and ``Storage`` on it: what is volatile, what is durable, where it may break.

Modelled on ``consumer.storage.local``: parts and drafts of manifests in a directory of their own,
link and rename as single steps. A journal orders the names: a machine crash keeps a beginning of
what was done since the last ``settle``. Bytes that were not synced are lost in part. Invariant:
nothing here decides anything; whatever may happen to a call happens in ``strike``.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from consumer.core.suspects import MOST_MARKED, Mark, MessagePlace
from consumer.errors import PartLost, PartUnsynced, StorageUnavailable
from schemas.completions import ExportCompleted, TerminalEvent
from tests.model.tape import Tape

Strike = Callable[[str], None]
"""Called at every named moment of a call; it may raise what a disk or a death would."""


class Inode:
    """A file's bytes; the first ``synced`` of them outlive the machine."""

    __slots__ = ("content", "synced")

    def __init__(self) -> None:
        self.content = bytearray()
        self.synced = 0


class Disk:
    """What all processes of the machine share."""

    def __init__(self) -> None:
        self.parts: dict[str, Inode] = {}
        self.stuck: set[str] = set()
        """Parts that the disk refused to remove; the next owner of the partition does."""
        self.files: dict[str, Inode] = {}
        self.manifests: dict[str, TerminalEvent] = {}
        self.marks: dict[int, tuple[list[MessagePlace], bool] | None] = {}
        """By name; what processes have in hand. They outlive a process, and hardly a machine."""
        self.marks_made = 0
        self._journal: list[tuple[str | None, Callable[[], object]]] = []

    def link(self, event: TerminalEvent) -> None:
        """Create a manifest; its bytes are synced, its name is not."""
        export_id = event.export_id
        self.manifests[export_id] = event
        self._journal.append((f"{export_id}.manifest", partial(self.manifests.pop, export_id)))

    def rename(self, part: str, final: str) -> None:
        """Give a part its final name. Raises KeyError if there is no such part."""
        before = self.files.get(final)
        inode = self.files[final] = self.parts.pop(part)

        def undo() -> None:
            self.parts[part] = inode
            if before is None:
                del self.files[final]
            else:
                self.files[final] = before

        self._journal.append((None if before else final, undo))

    def left_by(self, process: int) -> set[str]:
        """Parts that a process could have removed."""
        mine = {name for name in self.parts if name.rpartition(".")[2].startswith(f"{process}-")}
        return mine - self.stuck

    def settle(self) -> None:
        """All names so far are durable."""
        self._journal.clear()

    def is_durable(self, name: str) -> bool:
        """Whether this name, of a file or ``{id}.manifest``, would outlive the machine."""
        return all(name != new for new, _ in self._journal)

    def crash(self, tape: Tape) -> None:
        """The machine loses its memory."""
        kept = tape.pick(len(self._journal) + 1)
        for _, undo in reversed(self._journal[kept:]):
            undo()
        self._journal.clear()
        for name in self.marks:
            if tape.once_in(2):
                self.marks[name] = None
        for inode in [*self.parts.values(), *self.files.values()]:
            survives = inode.synced + tape.pick(len(inode.content) - inode.synced + 1)
            del inode.content[survives:]
            inode.synced = survives


class ProcessStorage:
    """``Storage`` as one process sees it; ``decided`` hears of every manifest that it creates."""

    def __init__(
        self, disk: Disk, process: int, strike: Strike, decided: Callable[[TerminalEvent], None]
    ) -> None:
        self._disk = disk
        self._process = process
        self._strike = strike
        self._decided = decided
        self._names = 0

    def open_part(
        self,
        partition: int,
        export_id: str,
        extension: str,
        decided: ExportCompleted | None = None,
    ) -> "ProcessPart":
        """See ``Storage.open_part``."""
        final = f"{export_id}.{extension}"
        return ProcessPart(self._disk, self._strike, self._unused(partition, final), final)

    @property
    def threads(self) -> None:
        """See ``Storage.threads``."""

    def decide(self, event: TerminalEvent) -> TerminalEvent:
        """See ``Storage.decide``."""
        draft = self._unused(event.source.partition, f"{event.export_id}.manifest")
        self._strike("draft")
        self._disk.parts[draft] = Inode()
        try:
            self._strike("link")
            there = self._link(draft, event)
            self._strike("linked")
        except StorageUnavailable:
            self._disk.parts.pop(draft, None)
            raise
        self._disk.parts.pop(draft, None)
        return there or event

    def _link(self, draft: str, event: TerminalEvent) -> TerminalEvent | None:
        """Returns what was there."""
        if draft not in self._disk.parts:
            raise StorageUnavailable("the draft was swept")
        there = self._disk.manifests.get(event.export_id)
        if there is None:
            self._disk.link(event)
            self._decided(event)
        return there

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """See ``Storage.manifest``."""
        seen = self._disk.manifests.get(export_id)
        self._strike("manifest")
        return seen

    def read_ahead(self, export_ids: Iterable[str]) -> Mapping[str, TerminalEvent | None]:
        """See ``Storage.read_ahead``; as an object store, so that what is read may be old."""
        return {export_id: self.manifest(export_id) for export_id in export_ids}

    def has_file(self, event: TerminalEvent) -> bool:
        """See ``Storage.has_file``."""
        if not isinstance(event, ExportCompleted):
            return False
        inode = self._disk.files.get(f"{event.export_id}.{event.extension}")
        self._strike("stat")
        return inode is not None and len(inode.content) == event.bytes

    def settle(self) -> None:
        """See ``Storage.settle``."""
        self._strike("settle")
        self._disk.settle()
        self._strike("settled")

    def sweep(self, partition: int) -> int:
        """See ``Storage.sweep``."""
        found = [name for name in self._disk.parts if name.startswith(f"{partition}/")]
        for name in found:
            self._strike("sweep")
            self._disk.parts.pop(name, None)
        self._strike("swept")
        return len(found)

    def open_mark(self, _: int) -> "ProcessMark":
        """See ``Storage.open_mark``."""
        return ProcessMark(self._disk)

    def left_marks(self, _: int) -> list[Mark]:
        """See ``Storage.left_marks``."""
        found: list[Mark] = []
        for name, written in self._disk.marks.items():
            places, alone = written or ([], False)
            found += [Mark(name, place, alone) for place in places] or [Mark(name, None)]
        self._strike("marks")
        return found

    def remove_marks(self, _: int, marks: Iterable[Mark]) -> None:
        """See ``Storage.remove_marks``."""
        for mark in marks:
            self._strike("unmark")
            self._disk.marks.pop(mark.name, None)
        self._strike("unmarked")

    def _unused(self, partition: int, name: str) -> str:
        self._names += 1
        return f"{partition}/{name}.{self._process}-{self._names}"


class ProcessPart:
    """``Part`` as ``LocalPart`` is one: opened only while it is written, never created twice."""

    def __init__(self, disk: Disk, strike: Strike, name: str, final: str) -> None:
        self._disk = disk
        self._strike = strike
        self._name = name
        self._final = final
        self._pending = bytearray()
        self._written = 0
        self._created = False
        self._published = False
        self._digest = hashlib.sha256()

    @property
    def location(self) -> str:
        """See ``Part.location``."""
        return f"file:///exports/{self._final}"

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
            self._strike("open")
            self._write_pending(self._opened())

    def sync(self) -> None:
        """See ``Part.sync``."""
        self._strike("open")
        inode = self._opened()
        self._write_pending(inode)
        try:
            self._strike("fsync")
        except StorageUnavailable as error:
            raise PartUnsynced(self._final.removesuffix(".csv"), str(error)) from error
        inode.synced = len(inode.content)
        self._strike("synced")

    def publish(self, decided: ExportCompleted) -> None:
        """See ``Part.publish``."""
        self.rename()

    def rename(self) -> None:
        """Give it its final name; repeatable."""
        if self._published:
            return
        self._strike("rename")
        try:
            self._disk.rename(self._name, self._final)
        except KeyError:
            raise PartLost(f"{self._name} is gone") from None
        self._strike("renamed")
        self._published = True

    def stop(self) -> None:
        """See ``Part.stop``."""

    def discard(self, decided: TerminalEvent | None = None) -> None:
        """See ``Part.discard``."""
        self._pending.clear()
        if self._created and not self._published:
            try:
                self._strike("unlink")
            except StorageUnavailable:
                self._disk.stuck.add(self._name)
                return
            self._disk.parts.pop(self._name, None)

    def _opened(self) -> Inode:
        if not self._created:
            self._disk.parts[self._name] = Inode()
            self._created = True
        try:
            return self._disk.parts[self._name]
        except KeyError:
            raise PartLost(f"{self._name} is gone") from None

    def _write_pending(self, inode: Inode) -> None:
        """In two pieces: a disk may be full, or a process die, between them."""
        half = len(self._pending) // 2
        if half:
            self._write(inode, half)
            self._strike("write")
        self._write(inode, len(self._pending))

    def _write(self, inode: Inode, count: int) -> None:
        inode.content[self._written :] = self._pending[:count]
        self._written += count
        del self._pending[:count]


class ProcessMark:
    """``MessageMark``; one that its owner's successor has removed does not come back."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._marks = disk.marks
        self._name: int | None = None

    def set(self, is_batch: bool, first: int, last: int, *, alone: bool = False) -> None:
        """See ``MessageMark.set``."""
        if self._name is None:
            self._disk.marks_made += 1
            self._name = self._disk.marks_made
            self._marks[self._name] = None
        places = [MessagePlace(is_batch, offset) for offset in range(first, last + 1)][:MOST_MARKED]
        self._write((places, alone))

    @property
    def places(self) -> list[MessagePlace]:
        """What it says is in hand."""
        written = None if self._name is None else self._marks.get(self._name)
        return written[0] if written else []

    def clear(self) -> None:
        """See ``MessageMark.clear``."""
        self._write(None)

    def remove(self) -> None:
        """See ``MessageMark.remove``."""
        if self._name is not None:
            self._marks.pop(self._name, None)

    def _write(self, written: tuple[list[MessagePlace], bool] | None) -> None:
        if self._name in self._marks:
            self._marks[self._name] = written
