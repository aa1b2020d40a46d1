"""The writing end of a partition's exports: flush, decide, publish.

What the storage may refuse in a turn happens here, in ``write_out``, which can be called again
after a refusal and goes on where it was. Where it takes long, ends are concluded outside of turns
(``ends_apart``). Invariant: an event comes out only after its manifest decided, its file (if it
completed) is where that says, and both are there to stay.
"""

from collections import deque
from collections.abc import Iterator
from datetime import datetime

from consumer.exports.ending import Ending, conclude
from consumer.exports.ends_apart import EndsApart
from consumer.exports.export import OpenExport
from consumer.exports.terminal_events import Origin
from consumer.storage.base import Storage
from schemas.completions import TerminalEvent


class Publication:
    """What is on its way to the storage. ``apart`` has the ends where they don't end in turns."""

    def __init__(self, storage: Storage, apart: EndsApart | None = None) -> None:
        self._storage = storage
        self._apart = apart
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
        # Its end syncs the part, or drops it: no flush is needed.
        self._dirty.pop(ending.export_id, None)
        self._endings.append(ending)

    def ending(self, export_id: str) -> Ending | None:
        """The export with this id that is on its way out."""
        if self._apart and (found := self._apart.get(export_id)):
            return found
        # A copy: another thread may look.
        return next((one for one in list(self._endings) if one.export_id == export_id), None)

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes of an export that is on its way out; from any thread."""
        ending = self.ending(export_id)
        return (ending.proposed.rows, ending.part.size) if ending and ending.part else None

    def resumable(self) -> Iterator[Ending]:
        """Ends that count as open: a successor comes to them again."""
        return self._apart.resumable() if self._apart else iter(())

    @property
    def writes_due(self) -> bool:
        """Whether ``write_out`` has something to write."""
        return bool(self._dirty or self._endings or self._unsettled)

    @property
    def conclusions_due(self) -> bool:
        """Whether ``write_out`` has ends apart to collect, or to begin with again."""
        return self._apart is not None and self._apart.due

    @property
    def concluding(self) -> bool:
        """Whether ends apart are being concluded."""
        return self._apart is not None and self._apart.under_way

    @property
    def due(self) -> bool:
        """Whether ``write_out`` has something to do."""
        return self.writes_due or self.conclusions_due

    @property
    def settled(self) -> bool:
        """Whether no end is on its way, but for those that count as open."""
        return not (self._endings or self._unsettled) and (not self._apart or self._apart.settled)

    @property
    def trouble(self) -> str | None:
        """What the storage refuses of ends apart that can't be given up, if there is such."""
        return self._apart.trouble if self._apart else None

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
            # Taken off after its flush: a refusal leaves it for the next call.
            export_id, export = next(iter(self._dirty.items()))
            if export.file:
                export.file.part.flush()
            del self._dirty[export_id]
        while self._endings:
            if self._apart:
                # Only begun here; what was concluded since is collected below.
                self._apart.begin(self._endings.popleft())
                continue
            # Likewise taken off only when it is concluded.
            event = conclude(self._endings[0], self._storage, lambda: self._abandoned)
            self._concluded(self._endings.popleft(), event)
        if self._apart:
            for ending, event in self._apart.collect():
                self._concluded(ending, event)
        return self._settle()

    @property
    def refused(self) -> OpenExport | None:
        """The open export whose bytes are due first, if an open one's are."""
        return next(iter(self._dirty.values()), None)

    def give_up(self, message: str, now: datetime) -> bool:
        """The storage refused an end for too long: if it completes, it fails; what follows is next.

        False: nothing can be let go.
        """
        return bool(self._endings) and self._endings[0].fail(message, now)

    def abandon(self) -> None:
        """Decide nothing any more; from any thread, at any time."""
        self._abandoned = True
        if self._apart:
            self._apart.abandon()

    def discard(self) -> None:
        """Drop what is on its way, with the parts."""
        for ending in self._endings:
            if ending.part:
                ending.part.discard()
        if self._apart:
            self._apart.discard()

    def _concluded(self, ending: Ending, event: TerminalEvent | None) -> None:
        if event is None:
            self._repeats.append(ending.origin)
            return
        self._unsettled.append(event)
        # The manifest was there before: its maker may have published the event too.
        if ending.bound or event is not ending.proposed:
            self._bound.add(event.export_id)

    def _settle(self) -> list[TerminalEvent]:
        # 5. Sync the directory once for all ends; only now their events may be sent.
        if self._unsettled:
            self._storage.settle()
        settled, self._unsettled = self._unsettled, []
        return settled
