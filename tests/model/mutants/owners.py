"""Fencing; whose batch it is, and rebalances; bounds, time, and events that were published."""

from collections.abc import Iterable
from dataclasses import replace

from aiokafka import TopicPartition

from consumer.core.admission_limit import Admissible
from consumer.core.lane_machine import Event, State
from consumer.core.resume import ResumePoint
from consumer.exports.batch_routing import BatchRouting
from consumer.exports.export import OpenExport
from consumer.exports.messages import Message, Outcome
from schemas.completions import TerminalEvent
from schemas.errors import Unreadable
from tests.model.broker import Broker
from tests.model.client import Client
from tests.model.feed import ALL
from tests.model.lane import Exports, Work
from tests.model.mutants.registry import lane_by_table, lane_with, mutant, routed_by
from tests.model.upstream import REQUESTS

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


mutant("what is committed is read before the producer starts", lane=lane_by_table(*_READS_FIRST))
mutant("the coordinator fences nobody", broker=_Unfenced)
mutant("the producer starts with its first transaction", lane=lane_with(client_type=_Lazy))


# Whose batch it is, and rebalances.


class _StableEnd(Client):
    """Takes the last stable offset for the end of the requests."""

    async def fetch_end(self, partition: TopicPartition) -> int:
        stable = partition.topic == REQUESTS
        return self._broker.requests.visible_end if stable else await super().fetch_end(partition)


class _EarlyEnd(Work):
    """Takes all batches for searched that came while the requests were read."""

    def _can_turn(self) -> bool:
        if self.search:
            self.search = replace(self.search, records_below=self._records.position)
        return super()._can_turn()


class _HastyRouting(BatchRouting):
    """Any manifest makes a batch late."""

    def _has_ended(self, export_id: str, message: Message) -> bool:
        ended = self._context.storage.manifest(export_id) is not None
        return ended or self._publication.ending(export_id) is not None


class _EagerRouting(BatchRouting):
    """Buries what can't be read without a look for the export that its key names."""

    def _on_unreadable(self, error: Unreadable, message: Message) -> bool:
        known, self.owners_known_below = self.owners_known_below, message.offset + 1
        handled = super()._on_unreadable(error, message)
        self.owners_known_below = known
        return handled


class _Forward(Work):
    """Goes on behind the committed position after a rebalance in a replay."""

    async def _resume(self) -> Event:
        await super()._resume()
        point = self.exports.resume_point()
        return self._start_feeds(point.requests_position, point.records_position)


class _Generous(BatchRouting):
    """Gives a batch to its export, whether or not that was open when the batch was first read."""

    def _was_handled(self, message: Message, export: OpenExport) -> bool:
        return False


class _Refusing(BatchRouting):
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


mutant("the end of the requests is the last stable offset", lane=lane_with(client_type=_StableEnd))
mutant("batches fetched after the end count as searched", lane=lane_with(work_type=_EarlyEnd))
mutant("any manifest makes a batch late", lane=routed_by(_HastyRouting))
mutant("poison does not wait for its owner", lane=routed_by(_EagerRouting))
mutant("a replay is cut off by a rebalance", lane=lane_with(work_type=_Forward))
mutant("what came before its request is replayed", lane=routed_by(_Generous))
mutant("a batch is given up before its owner is searched", lane=routed_by(_Refusing))
mutant("an orphan is not committed before its request may come", lane=lane_with(work_type=_Hasty))


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


mutant("a takeover reads requests without bound", lane=lane_with(work_type=_OpenDoor))
mutant("what is to be restored is not counted as open", lane=lane_with(exports_type=_LooseCount))
mutant("what was open before has no room", lane=lane_with(work_type=_NoneFree))
mutant("a search reads requests without bound", lane=lane_with(work_type=_WideSearch))
mutant("idle exports fail before all is read", lane=lane_with(work_type=_Impatient))


class _Trusting(Client):
    async def find(self, events: Iterable[TerminalEvent]) -> set[str]:
        return set()


class _Silent(Client):
    async def find(self, events: Iterable[TerminalEvent]) -> set[str]:
        return {event.event_id for event in events}


mutant("what has a manifest is published again", lane=lane_with(client_type=_Trusting))
mutant("what has a manifest counts as published", lane=lane_with(client_type=_Silent))
