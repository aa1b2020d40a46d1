"""The writing end of a partition's exports: flush, decide, publish.

Everything that may be refused by the storage happens here, in ``write_out``, which can be called
again after a refusal and goes on where it was. Invariant: an event comes out only after its
manifest decided, its file (if it completed) has its final name, and both names are on the disk.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from consumer.errors import LaneStopped, PartLost
from consumer.exports.export import OpenExport
from consumer.exports.terminal_events import Origin, Progress
from consumer.storage.base import Part, Storage
from schemas.completions import ExportCompleted, TerminalEvent
from schemas.vocabulary import FailReason


@dataclass(slots=True)
class Ending:
    """An export that is to end as ``proposed``, unless a manifest decided otherwise before.

    ``bound``: its manifest was there when its request was read, so its event may be as well.
    """

    proposed: TerminalEvent
    origin: Origin
    part: Part | None = None
    bound: bool = False


class Publication:
    """What is on its way to the storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._dirty: dict[str, OpenExport] = {}
        self._endings: deque[Ending] = deque()
        self._unsettled: list[TerminalEvent] = []
        self._bound: set[str] = set()
        self._repeats: list[Origin] = []
        self._abandoned = False

    def touch(self, export: OpenExport) -> None:
        """An open export has bytes to be written."""
        self._dirty[export.origin.export_id] = export

    def end(self, ending: Ending) -> None:
        """An export is to end."""
        self._dirty.pop(ending.proposed.export_id, None)
        self._endings.append(ending)

    def is_ending(self, export_id: str) -> bool:
        """Whether an export with this id is on its way out."""
        return any(ending.proposed.export_id == export_id for ending in self._endings)

    @property
    def due(self) -> bool:
        """Whether ``write_out`` has something to do."""
        return bool(self._dirty) or not self.settled

    @property
    def settled(self) -> bool:
        """Whether no end is on its way."""
        return not self._endings and not self._unsettled

    def take_repeats(self) -> list[Origin]:
        """Requests whose id another partition's request decided, since the last call."""
        repeats, self._repeats = self._repeats, []
        return repeats

    def take_bound(self) -> set[str]:
        """Exports of the events so far whose manifest was there before, since the last call."""
        bound, self._bound = self._bound, set()
        return bound

    def write_out(self) -> list[TerminalEvent]:
        """Do all that is due; return the events that may be sent now.

        Raises:
            StorageUnavailable: call it again.
            PartLost: another owner interfered; load the partition again.
            LaneStopped: the storage holds what this build can't have made.
        """
        # 1. Write the rows of open exports.
        while self._dirty:
            export_id, export = next(iter(self._dirty.items()))
            if export.part:
                export.part.flush()
            del self._dirty[export_id]
        while self._endings:
            event = self._conclude(self._endings[0])
            ending = self._endings.popleft()
            if event:
                self._unsettled.append(event)
            if event and (ending.bound or event is not ending.proposed):
                self._bound.add(event.export_id)
        return self._settle()

    @property
    def refused(self) -> OpenExport | None:
        """The open export whose bytes are due first, if an open one's are."""
        return next(iter(self._dirty.values()), None)

    def give_up(self, message: str, now: datetime) -> bool:
        """The storage refused an end for too long: if it completes, it fails; what follows is next.

        False: nothing can be let go. A failure needs its manifest as well, and what an earlier
        attempt decided stays.
        """
        ending = self._endings[0] if self._endings else None
        if ending is None or ending.bound or not isinstance(ending.proposed, ExportCompleted):
            return False
        progress = Progress(ending.proposed.rows, ending.proposed.started_at, now)
        ending.proposed = ending.origin.failed(FailReason.STORAGE_UNAVAILABLE, message, progress)
        return True

    def abandon(self) -> None:
        """Decide nothing any more; any thread may say so at any time."""
        self._abandoned = True

    def discard(self) -> None:
        """Drop what is on its way, with the parts."""
        for ending in self._endings:
            if ending.part:
                ending.part.discard()

    def _conclude(self, ending: Ending) -> TerminalEvent | None:
        """Decide and publish; repeatable. None: the id's end was another request's."""
        proposed, part = ending.proposed, ending.part
        if self._abandoned:
            raise PartLost("the partition is no longer ours")
        # 2. Sync the part, or drop it.
        if part:
            if isinstance(proposed, ExportCompleted):
                part.sync()
            else:
                part.discard()  # first of all: a full disk needs the room for the manifest
        # 3. Decide: create the manifest, or take the event of the one that is there.
        event = self._storage.decide(proposed)
        if event.source != proposed.source:
            if part:
                part.discard()
            self._repeats.append(ending.origin)
            return None
        # 4. Give the part its final name.
        if isinstance(event, ExportCompleted):
            _publish(event, ending)
        elif part:
            part.discard()
        return event

    def _settle(self) -> list[TerminalEvent]:
        # 5. Sync the directory once for all ends; only now their events may be sent.
        if self._unsettled:
            self._storage.settle()
        settled, self._unsettled = self._unsettled, []
        return settled


def _publish(decided: ExportCompleted, ending: Ending) -> None:
    if not isinstance(ending.proposed, ExportCompleted):
        raise PartLost(f"{decided.export_id} was decided by another owner: it completed")
    if ending.part is None:
        return  # sent again: its file was seen under the final name
    if ending.part.sha256 != decided.sha256:
        raise LaneStopped(
            f"the manifest of {decided.export_id} names other bytes than its batches make: it was "
            "written by another build; remove the manifest to have the file made by this one"
        )
    ending.part.publish(decided)
