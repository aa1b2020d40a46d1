"""Deaths are counted, and what nodes died on is handled otherwise."""

from collections.abc import Iterable
from dataclasses import replace

from consumer.core.lane_machine import Event, State
from consumer.core.resume import ResumePoint
from consumer.core.suspects import Mark
from consumer.exports.batch_routing import BatchRouting
from consumer.exports.messages import Message, SetAside
from consumer.exports.partition import PartitionExports
from consumer.exports.request_routing import RequestRouting
from consumer.exports.routing import Routing
from consumer.lanes.takeover import Takeover
from tests.model.disk import ProcessStorage
from tests.model.lane import Lane
from tests.model.mutants.registry import committing, lane_by_table, lane_with, mutant, routed_by


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


class _DroppingBatches(BatchRouting):
    """Drops what it sets aside."""

    def _set_aside(self, message: Message, aside: SetAside) -> bool:
        return True


class _DroppingRequests(RequestRouting):
    """Drops what it sets aside."""

    def _set_aside(self, message: Message, aside: SetAside) -> None:
        """Nothing happens."""


class _EagerAside(BatchRouting):
    """Sets a batch aside without a look for the export that its key names."""

    def _set_aside(self, message: Message, aside: SetAside) -> bool:
        known, self.owners_known_below = self.owners_known_below, message.offset + 1
        handled = super()._set_aside(message, aside)
        self.owners_known_below = known
        return handled


mutant(
    "deaths are not committed",
    lane=lane_by_table((State.READING_MARKS, Event.MARKS_LEFT, State.REMOVING_MARKS)),
)
mutant("a death counts twice", lane=lane_with(takeover_type=_Recounting))
mutant("one death is enough", lane=_Strict)
mutant("marks of an owner that works are removed", lane=lane_with(takeover_type=_Trustful))
mutant("marks are not removed", storage=_Untidy)
mutant("what was set aside is forgotten", lane=committing(_without_set_aside))
mutant("what a manifest needs is set aside", lane=routed_by(_Overruling))
mutant("what is set aside is dropped", lane=routed_by(_DroppingBatches, _DroppingRequests))
mutant("what is set aside does not wait for its owner", lane=routed_by(_EagerAside))
