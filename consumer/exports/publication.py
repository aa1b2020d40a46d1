"""The output side of a partition's exports: flush, decide, publish.

Everything in a turn that the storage may refuse happens in ``write_out``, which can be called again
after a refusal and continues where it stopped. If it takes long, ends are concluded outside of
turns (``ends_apart``). Invariant: an event is returned only after its manifest has decided, its
file (if it completed) is where the manifest says, and both are durable.
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
    """The pending writes. ``apart`` has the ends if they are concluded outside of turns."""

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
        """An open export has bytes to write."""
        self._dirty[export.origin.export_id] = export

    def end(self, ending: Ending) -> None:
        """Schedule an export's end."""
        # Its end syncs or discards the part: no flush is needed.
        self._dirty.pop(ending.export_id, None)
        self._endings.append(ending)

    def ending(self, export_id: str) -> Ending | None:
        """The ending export with this id, if any."""
        if self._apart and (found := self._apart.get(export_id)):
            return found
        # A copy: another thread may read it.
        return next((one for one in list(self._endings) if one.export_id == export_id), None)

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes of an ending export; callable from any thread."""
        ending = self.ending(export_id)
        return (ending.proposed.rows, ending.part.size) if ending and ending.part else None

    def resumable(self) -> Iterator[Ending]:
        """Ends that count as open, because a successor comes to them again."""
        return self._apart.resumable() if self._apart else iter(())

    @property
    def writes_due(self) -> bool:
        """Whether ``write_out`` has anything to write."""
        return bool(self._dirty or self._endings or self._unsettled)

    @property
    def conclusions_due(self) -> bool:
        """Whether ``write_out`` has ends apart to collect or restart."""
        return self._apart is not None and self._apart.due

    @property
    def concluding(self) -> bool:
        """Whether ends apart are being concluded."""
        return self._apart is not None and self._apart.under_way

    @property
    def due(self) -> bool:
        """Whether ``write_out`` has any work."""
        return self.writes_due or self.conclusions_due

    @property
    def settled(self) -> bool:
        """Whether no end is pending, except those that count as open."""
        return not (self._endings or self._unsettled) and (not self._apart or self._apart.settled)

    @property
    def trouble(self) -> str | None:
        """Why the storage refuses an end apart that can't be given up, if it does."""
        return self._apart.trouble if self._apart else None

    def take_repeats(self) -> list[Origin]:
        """Requests since the last call whose id was decided by another partition's request."""
        repeats, self._repeats = self._repeats, []
        return repeats

    def take_bound(self) -> set[str]:
        """Exports ended since the last call whose manifest already existed."""
        bound, self._bound = self._bound, set()
        return bound

    def write_out(self) -> list[TerminalEvent]:
        """Do everything that is due; return the events that may be sent now.

        Raises:
            StorageUnavailable: call it again.
            PartLost: another owner interfered; reload the partition.
            LaneStopped: the storage holds what this build can't have made.
        """
        # 1. Write the rows of open exports.
        while self._dirty:
            # Remove it after its flush: a refusal leaves it for the next call.
            export_id, export = next(iter(self._dirty.items()))
            if export.file:
                export.file.part.flush()
            del self._dirty[export_id]
        while self._endings:
            if self._apart:
                # Only started here; concluded ends are collected below.
                self._apart.begin(self._endings.popleft())
                continue
            # Likewise removed only once concluded.
            event = conclude(self._endings[0], self._storage, lambda: self._abandoned)
            self._concluded(self._endings.popleft(), event)
        if self._apart:
            for ending, event in self._apart.collect():
                self._concluded(ending, event)
        return self._settle()

    @property
    def refused(self) -> OpenExport | None:
        """The open export whose bytes are due first, if any."""
        return next(iter(self._dirty.values()), None)

    def give_up(self, message: str, now: datetime) -> bool:
        """The storage refused an end for too long: fail it if it would have completed.

        Returns False if nothing can be given up.
        """
        return bool(self._endings) and self._endings[0].fail(message, now)

    def abandon(self) -> None:
        """Decide nothing any more; from any thread, at any time."""
        self._abandoned = True
        if self._apart:
            self._apart.abandon()

    def discard(self) -> None:
        """Drop all pending writes, and discard their parts."""
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
        # The manifest already existed: its creator may have published the event too.
        if ending.bound or event is not ending.proposed:
            self._bound.add(event.export_id)

    def _settle(self) -> list[TerminalEvent]:
        # 5. Sync the directory once for all ends; only now may their events be sent.
        if self._unsettled:
            self._storage.settle()
        settled, self._unsettled = self._unsettled, []
        return settled
