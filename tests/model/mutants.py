"""Designs that are broken on purpose, one thing each: the model has to notice every one.

Each is a fault that a service like this one had, or a line of this one taken out. Invariant: a
mutant changes the service or what it stands on, never the oracle.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from aiokafka import TopicPartition

from consumer.core.admission_limit import Admissible
from consumer.core.lane_machine import LANE, Event, State
from consumer.core.resume import ResumePoint
from consumer.core.suspects import Mark
from consumer.exports.export import OpenExport
from consumer.exports.messages import Message, Outcome, SetAside
from consumer.exports.partition import PartitionExports
from consumer.exports.routing import Routing
from consumer.exports.turn_result import Checkpoint
from consumer.lanes.takeover import Takeover
from schemas.completions import ExportCompleted, TerminalEvent
from schemas.errors import Unreadable
from tests.model.broker import Broker
from tests.model.client import Client
from tests.model.disk import ProcessPart, ProcessStorage
from tests.model.feed import ALL
from tests.model.lane import Commits, Exports, Lane, Work
from tests.model.upstream import REQUESTS
from tests.model.world import Design

MUTANTS: dict[str, Design] = {}


def _mutant(name: str, **parts: type) -> None:
    MUTANTS[name] = Design(**parts)


def _lane(**parts: Any) -> type[Lane]:
    """A lane with other parts."""
    return type("Changed", (Lane,), parts)


def _table(*changes: tuple[State, Event, State]) -> type[Lane]:
    """A lane that goes elsewhere after some events."""
    table = {state: dict(row) for state, row in LANE.items()}
    for state, event, instead in changes:
        table[state][event] = instead
    return _lane(table=table)


# The storage.


class _Undecided(ProcessStorage):
    def decide(self, event: TerminalEvent) -> TerminalEvent:
        super().decide(event)
        return event


class _Overruled(ProcessStorage):
    def decide(self, event: TerminalEvent) -> TerminalEvent:
        super().decide(event)
        self._disk.manifests[event.export_id] = event
        return event


class _Unswept(ProcessStorage):
    def sweep(self, partition: int) -> int:
        return 0


class _Unsettled(ProcessStorage):
    def settle(self) -> None:
        self._strike("settle")


class _EarlyPart(ProcessPart):
    def sync(self) -> None:
        super().sync()
        self.rename()


class _UnsyncedPart(ProcessPart):
    def sync(self) -> None:
        self._strike("open")
        self._write_pending(self._opened())


class _WithPart(ProcessStorage):
    part: type[ProcessPart]

    def open_part(
        self,
        partition: int,
        export_id: str,
        extension: str,
        decided: ExportCompleted | None = None,
    ) -> ProcessPart:
        final = f"{export_id}.{extension}"
        return self.part(self._disk, self._strike, self._unused(partition, final), final)


class _PublishedFirst(_WithPart):
    part = _EarlyPart


class _NeverSynced(_WithPart):
    part = _UnsyncedPart


_mutant("the manifest does not bind", storage=_Undecided)
_mutant("a manifest is replaced by the next", storage=_Overruled)
_mutant("nothing is swept", storage=_Unswept)
_mutant("names are not forced to the disk", storage=_Unsettled)
_mutant("files are published before their end is decided", storage=_PublishedFirst)
_mutant("files are not synced before they are published", storage=_NeverSynced)


# What is committed.


def _exports(change: Callable[[PartitionExports, ResumePoint], ResumePoint]) -> type[Lane]:
    class Changed(Exports):
        def resume_point(self) -> ResumePoint:
            return change(self, super().resume_point())

    return _lane(exports_type=Changed)


def _latest(exports: PartitionExports, point: ResumePoint) -> ResumePoint:
    firsts = [open_one.first_offset for open_one in exports._exports]  # what a maximum is of
    latest = max((first for first in firsts if first is not None), default=point.records_resume)
    return replace(point, records_resume=latest)


def _without_floor(_: PartitionExports, point: ResumePoint) -> ResumePoint:
    return replace(point, records_position=point.records_resume)


def _without_open(_: PartitionExports, point: ResumePoint) -> ResumePoint:
    return replace(point, open_requests=())


def _restored_only(exports: PartitionExports, point: ResumePoint) -> ResumePoint:
    return replace(point, open_requests=exports._exports.open_requests())


def _replay_done(exports: PartitionExports, point: ResumePoint) -> ResumePoint:
    firsts = [first for _, first in exports._exports.first_batches()]
    return replace(point, records_resume=min(firsts, default=point.records_position))


def _without_firsts(_: PartitionExports, point: ResumePoint) -> ResumePoint:
    return replace(point, first_batches=())


def _begun_alike(_: PartitionExports, point: ResumePoint) -> ResumePoint:
    resume = point.records_resume
    return replace(point, first_batches=tuple((it, resume) for it in point.begun_requests))


_mutant("the latest first batch is committed", lane=_exports(_latest))
_mutant("the position of the records is not kept", lane=_exports(_without_floor))
_mutant("open requests are not kept", lane=_exports(_without_open))
_mutant("who is begun is not kept", lane=_exports(_without_firsts))
_mutant("all are taken for begun by one batch", lane=_exports(_begun_alike))
_mutant("requests still to be restored are forgotten", lane=_exports(_restored_only))
_mutant("a replay counts as done when it begins", lane=_exports(_replay_done))


class _UnsettledCommits(Commits):
    def advance(self, *, at_once: bool = False) -> bool:
        if self._transaction is None and not self._exports.settled:
            self._start(Checkpoint(self._exports._take_outcome(), self._exports.resume_point()))
        return super().advance(at_once=at_once)


class _Forgiving(Commits):
    """Goes on with its producer after a transaction that failed."""

    _checkpoint: Checkpoint

    def _start(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        super()._start(checkpoint)

    def advance(self, *, at_once: bool = False) -> bool:
        flight: Any = self._transaction
        if flight and flight.error:
            self._start(self._checkpoint)
        return super().advance(at_once=at_once)


_mutant(
    "offsets are committed while an end is on its way", lane=_lane(commits_type=_UnsettledCommits)
)
_mutant("a failed transaction is tried again", lane=_lane(commits_type=_Forgiving))


# A batch that is applied in part.


class _AppliedAgain(Exports):
    """After a rest it begins with the batch once more, on top of what is in the part."""

    def drop_pending(self) -> None:
        super().drop_pending()
        self._exports.half_applied = None


def _with_part_of_a_batch(exports: PartitionExports, point: ResumePoint) -> ResumePoint:
    if not exports._exports.half_applied:
        return point
    after = exports.next_offsets[1] + 1
    return replace(point, records_position=max(after, point.records_position))


_mutant("a batch is applied once more after a rest", lane=_lane(exports_type=_AppliedAgain))
_mutant("a batch applied in part is committed as handled", lane=_exports(_with_part_of_a_batch))


# Fencing.


_READS_FIRST = (
    (State.HELD, Event.BEGIN, State.FETCHING),
    (State.FETCHING, Event.DONE, State.FENCING),
    (State.FENCING, Event.DONE, State.SWEEPING),
)


class _Unfenced(Broker):
    def _check(self, epoch: int) -> None:
        """Everyone may go on."""


class _Lazy(Client):
    """Starts its producer with its first transaction."""

    async def start(self) -> None:
        self.epoch = 0

    async def commit(self, outcome: Outcome, point: ResumePoint) -> None:
        if not self.epoch:
            await super().start()
        await super().commit(outcome, point)


_mutant("what is committed is read before the producer starts", lane=_table(*_READS_FIRST))
_mutant("the coordinator fences nobody", broker=_Unfenced)
_mutant("the producer starts with its first transaction", lane=_lane(client_type=_Lazy))


# Whose batch it is, and rebalances.


class _StableEnd(Client):
    """Takes the last stable offset for the end of the requests."""

    async def end(self, partition: TopicPartition) -> int:
        stable = partition.topic == REQUESTS
        return self._broker.requests.visible_end if stable else await super().end(partition)


class _EarlyEnd(Work):
    """Takes all batches for searched that came while the requests were read."""

    def _can_turn(self) -> bool:
        if self.search:
            self.search = replace(self.search, records_below=self._records.position)
        return super()._can_turn()


class _HastyRouting(Routing):
    """Any manifest makes a batch late."""

    def _has_ended(self, export_id: str, message: Message) -> bool:
        ended = self._context.storage.manifest(export_id) is not None
        return ended or self._publication.is_ending(export_id)


class _EagerRouting(Routing):
    """Buries what can't be read without a look for the export that its key names."""

    def _on_unreadable(self, error: Unreadable, message: Message) -> bool:
        known, self.owners_known_below = self.owners_known_below, message.offset + 1
        handled = super()._on_unreadable(error, message)
        self.owners_known_below = known
        return handled


def _routed(routing: type[Routing]) -> type[Lane]:
    class Routed(Exports):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self._routing.__class__ = routing  # it is made inside

    return _lane(exports_type=Routed)


class _Forward(Work):
    """Goes on behind the committed position after a rebalance in a replay."""

    async def _resume(self) -> Event:
        await super()._resume()
        point = self.exports.resume_point()
        return self._start_feeds(point.requests_position, point.records_position)


class _Generous(Routing):
    """Gives a batch to its export, whether or not that was open when the batch was first read."""

    def _was_handled(self, message: Message, export: OpenExport) -> bool:
        return False


class _Refusing(Routing):
    """Gives a batch up, as its manifest can't be read, before its owner was searched."""

    _giving_up = False

    def _is_searched(self, message: Message) -> bool:
        return self._giving_up or super()._is_searched(message)

    def give_up_on(self, message: Message, why: str) -> bool:
        self._giving_up = True
        given_up = super().give_up_on(message, why)
        self._giving_up = False
        return given_up


class _Hasty(Work):
    """Goes on before an orphan's verdict is committed."""

    def _commit(self) -> Event:
        self.exports.orphan_committed()
        self._orphan_found = False
        return super()._commit()


_mutant("the end of the requests is the last stable offset", lane=_lane(client_type=_StableEnd))
_mutant("batches fetched after the end count as searched", lane=_lane(work_type=_EarlyEnd))
_mutant("any manifest makes a batch late", lane=_routed(_HastyRouting))
_mutant("poison does not wait for its owner", lane=_routed(_EagerRouting))
_mutant("a replay is cut off by a rebalance", lane=_lane(work_type=_Forward))
_mutant("what came before its request is replayed", lane=_routed(_Generous))
_mutant("a batch is given up before its owner is searched", lane=_routed(_Refusing))
_mutant("an orphan is not committed before its request may come", lane=_lane(work_type=_Hasty))


# Bounds, and time.


class _OpenDoor(Work):
    """Reads on without bound until all open requests are restored."""

    def _admissible(self) -> Admissible:
        return Admissible(ALL) if self.exports.restoring else super()._admissible()


class _WideSearch(Work):
    """Reads on without bound while a batch waits for its owner."""

    def _admissible(self) -> Admissible:
        return Admissible(ALL) if self.search else super()._admissible()


class _LooseCount(Exports):
    """Doesn't count what is still to be restored."""

    @property
    def open_count(self) -> int:
        return len(self._exports)


class _NoneFree(Work):
    """Counts requests that were open before as new ones, so there is no room for them."""

    def _admissible(self) -> Admissible:
        allowed = super()._admissible()
        return replace(allowed, free_below=0) if self.exports.restoring else allowed


class _Impatient(Work):
    """Fails what is idle without reading what has come meanwhile."""

    async def _check_idle(self) -> Event:
        event = await super()._check_idle()
        self._idle_check = self._idle_check and replace(self._idle_check, records_end=0)
        return event


_mutant("a takeover reads requests without bound", lane=_lane(work_type=_OpenDoor))
_mutant("what is to be restored is not counted as open", lane=_lane(exports_type=_LooseCount))
_mutant("what was open before has no room", lane=_lane(work_type=_NoneFree))
_mutant("a search reads requests without bound", lane=_lane(work_type=_WideSearch))
_mutant("idle exports fail before all is read", lane=_lane(work_type=_Impatient))


class _Trusting(Client):
    async def find(self, events: Iterable[TerminalEvent]) -> set[str]:
        return set()


class _Silent(Client):
    async def find(self, events: Iterable[TerminalEvent]) -> set[str]:
        return {event.event_id for event in events}


_mutant("what has a manifest is said again", lane=_lane(client_type=_Trusting))
_mutant("what has a manifest was said, they think", lane=_lane(client_type=_Silent))


# What nodes died on.


class _Recounting(Takeover):
    """Takes a mark that it finds again for another death."""

    async def _read_marks(self) -> Event:
        event = await super()._read_marks()
        again = {(mark.place, mark.name) for mark in self._marks}
        suspects = tuple(
            replace(it, mark=None) if (it.place, it.mark) in again else it
            for it in self.point.suspects
        )
        self.point = replace(self.point, suspects=suspects)
        return event


class _Strict(Lane):
    """Sets aside what one process died on."""

    async def _open(self) -> Event:
        point = self.takeover.point
        condemned = tuple(replace(it, mark=None) for it in point.suspects)
        self.takeover.point = replace(point, suspects=condemned)
        return await super()._open()


class _Trustful(Takeover):
    """Removes marks that say nothing without a commit: others may have begun to write there."""

    async def _commit_deaths(self) -> Event:
        says_nothing = self.point.suspecting(self._marks) == self.point
        return Event.DONE if says_nothing else await super()._commit_deaths()


class _Untidy(ProcessStorage):
    def remove_marks(self, _: int, __: Iterable[Mark]) -> None:
        """They stay."""


def _without_set_aside(_: PartitionExports, point: ResumePoint) -> ResumePoint:
    return replace(point, suspects=tuple(it for it in point.suspects if not it.died_on_twice))


class _Overruling(Routing):
    """Sets aside even what a manifest needs."""

    def must_be_read(self, message: Message, *, is_batch: bool) -> bool:
        return False


class _Dropping(Routing):
    """Drops what it sets aside."""

    def _set_batch_aside(self, message: Message, aside: SetAside) -> bool:
        return True

    def _set_request_aside(self, message: Message, aside: SetAside) -> None:
        """Nothing happens."""


class _EagerAside(Routing):
    """Sets a batch aside without a look for the export that its key names."""

    def _set_batch_aside(self, message: Message, aside: SetAside) -> bool:
        known, self.owners_known_below = self.owners_known_below, message.offset + 1
        handled = super()._set_batch_aside(message, aside)
        self.owners_known_below = known
        return handled


_mutant(
    "deaths are not committed",
    lane=_table((State.READING_MARKS, Event.MARKS_LEFT, State.REMOVING_MARKS)),
)
_mutant("a death counts twice", lane=_lane(takeover_type=_Recounting))
_mutant("one death is enough", lane=_Strict)
_mutant("marks of an owner that works are removed", lane=_lane(takeover_type=_Trustful))
_mutant("marks are not removed", storage=_Untidy)
_mutant("what was set aside is forgotten", lane=_exports(_without_set_aside))
_mutant("what a manifest needs is set aside", lane=_routed(_Overruling))
_mutant("what is set aside is dropped", lane=_routed(_Dropping))
_mutant("what is set aside does not wait for its owner", lane=_routed(_EagerAside))
