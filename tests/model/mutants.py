"""Designs that are broken on purpose, one thing each: the model has to notice every one.

Each is a fault that a service like this one had, or a line of this one taken out. Invariant: a
mutant changes the service or what it stands on, never the oracle.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from consumer.core.resume import ResumePoint
from consumer.core.suspects import Mark
from consumer.exports.export import OpenExport
from consumer.exports.messages import Message, SetAside
from consumer.exports.partition import PartitionExports
from consumer.exports.routing import Routing
from consumer.exports.turn_result import TurnResult
from schemas.completions import ExportCompleted, TerminalEvent
from schemas.errors import Unreadable
from tests.model.broker import Broker, InFlight
from tests.model.disk import ProcessPart, ProcessStorage
from tests.model.lane import (
    CONDEMNING,
    READING,
    SWEEPING,
    UNMARKING,
    WORKING,
    Exports,
    Lane,
)
from tests.model.tape import Tape
from tests.model.upstream import Sent
from tests.model.world import Design

MUTANTS: dict[str, Design] = {}


def _mutant(name: str, **parts: type) -> None:
    MUTANTS[name] = Design(**parts)


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

    class WithExports(Lane):
        exports_type = Changed

    return WithExports


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


class _UnsettledCommits(Lane):
    def _advance(self, exports: PartitionExports, *, at_once: bool) -> None:
        if self.transaction is None and not exports.settled:
            self.transaction = InFlight(exports._take_outcome(), exports.resume_point())
        super()._advance(exports, at_once=at_once)


class _Forgiving(Lane):
    """Goes on with its producer after a transaction that failed."""

    def _advance(self, exports: PartitionExports, *, at_once: bool) -> None:
        flight = self.transaction
        if flight and flight.error:
            self.transaction = InFlight(flight.outcome, flight.point)
        super()._advance(exports, at_once=at_once)


_mutant("offsets are committed while an end is on its way", lane=_UnsettledCommits)
_mutant("a failed transaction is tried again", lane=_Forgiving)


# A batch that is applied in part.


class _AppliedAgain(Exports):
    """After a rest it begins with the batch once more, on top of what is in the part."""

    def drop_pending(self) -> None:
        super().drop_pending()
        self._exports.half_applied = None


class _BegunAgain(Lane):
    exports_type = _AppliedAgain


def _with_part_of_a_batch(exports: PartitionExports, point: ResumePoint) -> ResumePoint:
    if not exports._exports.half_applied:
        return point
    after = exports.next_offsets[1] + 1
    return replace(point, records_position=max(after, point.records_position))


_mutant("a batch is applied once more after a rest", lane=_BegunAgain)
_mutant("a batch applied in part is committed as handled", lane=_exports(_with_part_of_a_batch))


# Fencing.


class _ReadsFirst(Lane):
    def _start(self, tape: Tape) -> None:
        if self.go:
            self._point = self._committed = self._broker.committed()
            self.phase = READING

    def _read(self, tape: Tape) -> None:
        self.epoch = self._broker.start_producer()
        self.phase = SWEEPING


class _Unfenced(Broker):
    def _check(self, epoch: int) -> None:
        """Everyone may go on."""


class _Lazy(Lane):
    """Starts its producer with its first transaction."""

    def _start(self, tape: Tape) -> None:
        if self.go:
            self.epoch = 0
            self.phase = READING

    def transact(self, tape: Tape) -> None:
        if self.transaction and not self.epoch:
            self.epoch = self._broker.start_producer()
        super().transact(tape)


_mutant("what is committed is read before the producer starts", lane=_ReadsFirst)
_mutant("the coordinator fences nobody", broker=_Unfenced)
_mutant("the producer starts with its first transaction", lane=_Lazy)


# Whose batch it is, and rebalances.


class _StableEnd(Lane):
    """Takes the last stable offset for the end of the requests."""

    def _ask_end(self, tape: Tape) -> None:
        self._search = (self._broker.requests.visible_end, self._below)
        self.phase = WORKING


class _EarlyEnd(Lane):
    """Takes all batches for searched that came while the requests were read."""

    def _can_turn(self, exports: PartitionExports) -> bool:
        if self._search:
            self._search = (self._search[0], self.records.position)
        return super()._can_turn(exports)


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

    class WithExports(Lane):
        exports_type = Routed

    return WithExports


class _Forward(Lane):
    """Goes on behind the committed position after a rebalance in a replay."""

    def _rest_until_told(self, tape: Tape) -> None:
        super()._rest_until_told(tape)
        if self.phase == WORKING:
            point = self._owned().resume_point()
            self._seat(point.requests_position, point.records_position)


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


class _Hasty(Lane):
    """Goes on before an orphan's verdict is committed."""

    def _keep_verdict(self, exports: PartitionExports, result: TurnResult, tape: Tape) -> None:
        exports.orphan_committed()
        super()._keep_verdict(exports, replace(result, orphan_pending=False), tape)


_mutant("the end of the requests is the last stable offset", lane=_StableEnd)
_mutant("batches fetched after the end count as searched", lane=_EarlyEnd)
_mutant("any manifest makes a batch late", lane=_routed(_HastyRouting))
_mutant("poison does not wait for its owner", lane=_routed(_EagerRouting))
_mutant("a replay is cut off by a rebalance", lane=_Forward)
_mutant("what came before its request is replayed", lane=_routed(_Generous))
_mutant("a batch is given up before its owner is searched", lane=_routed(_Refusing))
_mutant("an orphan is not committed before its request may come", lane=_Hasty)


# Bounds, and time.


class _OpenDoor(Lane):
    """Reads on without bound until all open requests are restored."""

    def _taken_requests(self, exports: PartitionExports, count: int) -> list[Sent]:
        if exports.restoring:
            return self.requests.take(count)
        return super()._taken_requests(exports, count)


class _WideSearch(Lane):
    """Reads on without bound while a batch waits for its owner."""

    def _taken_requests(self, exports: PartitionExports, count: int) -> list[Sent]:
        if self._search:
            return self.requests.take(count)
        return super()._taken_requests(exports, count)


class _LooseCount(Exports):
    """Doesn't count what is still to be restored."""

    @property
    def open_count(self) -> int:
        return len(self._exports)


class _Uncounted(Lane):
    exports_type = _LooseCount


class _NoneFree(Lane):
    """Counts requests that were open before as new ones, so there is no room for them."""

    def _taken_requests(self, exports: PartitionExports, count: int) -> list[Sent]:
        room = max(0, self._max_open - exports.open_count)
        if exports.restoring:
            return self.requests.take(count, room)
        return super()._taken_requests(exports, count)


class _Impatient(Lane):
    """Fails what is idle without reading what has come meanwhile."""

    def _looked(self, exports: PartitionExports, records_end: int) -> bool:
        return True


_mutant("a takeover reads requests without bound", lane=_OpenDoor)
_mutant("what is to be restored is not counted as open", lane=_Uncounted)
_mutant("what was open before has no room", lane=_NoneFree)
_mutant("a search reads requests without bound", lane=_WideSearch)
_mutant("idle exports fail before all is read", lane=_Impatient)


class _Trusting(Lane):
    def _leave_out_said(self, flight: InFlight) -> None:
        flight.asked = True


_mutant("what has a manifest is said again", lane=_Trusting)


class _Silent(Lane):
    def _leave_out_said(self, flight: InFlight) -> None:
        outcome = flight.outcome
        outcome.events = [
            it for it in outcome.events if it.export_id not in outcome.maybe_published
        ]
        flight.asked = True


_mutant("what has a manifest was said, they think", lane=_Silent)


# What nodes died on.


class _Forgetful(Lane):
    """Removes the marks without a commit of what they said."""

    def _count_deaths(self, tape: Tape) -> None:
        super()._count_deaths(tape)
        if self.phase == CONDEMNING:
            self.transaction, self.phase = None, UNMARKING


class _Recounting(Lane):
    """Takes a mark that it finds again for another one."""

    def _count_deaths(self, tape: Tape) -> None:
        self._point = replace(
            self._point,
            suspects=tuple(replace(it, mark=it.mark and -1) for it in self._point.suspects),
        )
        super()._count_deaths(tape)


class _Strict(Lane):
    """Sets aside what one process died on."""

    def _remove_marks(self, tape: Tape) -> None:
        condemned = tuple(replace(it, mark=None) for it in self._point.suspects)
        self._point = replace(self._point, suspects=condemned)
        super()._remove_marks(tape)


class _Trustful(Lane):
    """Removes marks that say nothing without a commit: others may have begun to write there."""

    def _count_deaths(self, tape: Tape) -> None:
        super()._count_deaths(tape)
        if self.transaction and self.transaction.point == self._point:
            self.transaction, self.phase = None, UNMARKING


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


_mutant("deaths are not committed", lane=_Forgetful)
_mutant("a death counts twice", lane=_Recounting)
_mutant("one death is enough", lane=_Strict)
_mutant("marks of an owner that works are removed", lane=_Trustful)
_mutant("marks are not removed", storage=_Untidy)
_mutant("what was set aside is forgotten", lane=_exports(_without_set_aside))
_mutant("what a manifest needs is set aside", lane=_routed(_Overruling))
_mutant("what is set aside is dropped", lane=_routed(_Dropping))
_mutant("what is set aside does not wait for its owner", lane=_routed(_EagerAside))
