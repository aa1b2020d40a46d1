"""Takes a partition over: fence the former owner, fetch its commit, count what it died on.

Each method performs one state of ``consumer.core.lane_machine``. Invariant: everything here happens
before any message is handled, and only after our producer has fenced all others.
"""

from functools import partial

import structlog

from consumer.core.lane_machine import Event, State, Step
from consumer.core.resume import ResumePoint, whole_resume_point
from consumer.core.suspects import Mark, Suspect
from consumer.errors import LaneStopped
from consumer.exports.marked_storage import MarkedStorage
from consumer.exports.messages import Outcome
from consumer.lanes.lane_context import LaneContext
from consumer.lanes.transactions import PartitionProducer

log = structlog.get_logger(__name__)


class Takeover:
    """One takeover; the result is in ``point`` and, once Kafka has it, in ``committed``."""

    def __init__(self, partition: int, producer: PartitionProducer, context: LaneContext) -> None:
        self.point = ResumePoint(0, (), 0, 0)
        self.committed: ResumePoint | None = None
        self.in_hand = context.export_context.in_hand.begin(partition)
        self.swept = 0
        self._partition = partition
        self._producer = producer
        self._context = context
        self._metrics = context.export_context.metrics
        self._storage = MarkedStorage(context.export_context.storage, self.in_hand)
        self._marks: list[Mark] = []

    @property
    def steps(self) -> dict[State, Step]:
        """The methods that perform the states up to ``OPENING``."""
        return {
            State.FENCING: self._fence,
            State.FETCHING: self._fetch,
            State.SWEEPING: self._sweep,
            State.READING_MARKS: self._read_marks,
            State.COMMITTING_DEATHS: self._commit_deaths,
            State.REMOVING_MARKS: self._remove_marks,
        }

    # 1. Fence the predecessor; only now are offsets stable.
    async def _fence(self) -> Event:
        await self._producer.start()
        return Event.DONE

    # 2. Fetch where to resume.
    async def _fetch(self) -> Event:
        committed = await self._context.cluster.fetch_committed(self._partition)
        starts = await self._context.cluster.fetch_log_starts(self._partition)
        try:
            self.point = whole_resume_point(committed, starts)
        except ValueError as error:
            raise LaneStopped(str(error)) from None
        # If one of the two is missing, nothing counts as committed, so the first checkpoint writes
        # both.
        self.committed = self.point if all(committed) else None
        return Event.DONE

    # 3. Remove the partial files of former owners.
    async def _sweep(self) -> Event:
        # A fenced owner may still write: it opens its part without O_CREAT, so it gets ``PartLost``
        # instead of recreating the file.
        self.swept = await self._context.in_thread(partial(self._storage.sweep, self._partition))
        self._metrics.swept(self.swept)
        return Event.DONE

    # 4. Read their marks and commit what they died on.
    async def _read_marks(self) -> Event:
        self._marks = await self._context.in_thread(
            partial(self._storage.left_marks, self._partition)
        )
        return Event.MARKS_LEFT if self._marks else Event.DONE

    # Counted by mark name: if this takeover dies before the marks are removed, the next one finds
    # them again and counts nothing twice.
    async def _commit_deaths(self) -> Event:
        # The transaction commits only the resume point, no event and no dead letter.
        suspected = self.point.suspecting(self._marks)
        await self._producer.commit(Outcome(), suspected)
        new = [suspect for suspect in suspected.suspects if suspect not in self.point.suspects]
        self._metrics.suspected(len(new))
        for suspect in new:
            _log(self._partition, suspect)
        self.point = self.committed = suspected
        return Event.DONE

    # Only now: the commit has proved that nobody has fenced us, so none of these marks is a later
    # owner's.
    async def _remove_marks(self) -> Event:
        await self._context.in_thread(
            partial(self._storage.remove_marks, self._partition, self._marks)
        )
        return Event.DONE


def _log(partition: int, suspect: Suspect) -> None:
    log.warning(
        "an owner of the partition died with a message in hand",
        topic="records" if suspect.place.is_batch else "requests",
        partition=partition,
        offset=suspect.place.offset,
        next="it is set aside" if suspect.died_on_twice else "it is handled alone",
    )
