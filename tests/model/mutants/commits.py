"""Other things are committed, or at another time; batches that are applied in part."""

from dataclasses import replace
from typing import Any

from consumer.core.resume import ResumePoint
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import Checkpoint
from tests.model.lane import Commits, Exports
from tests.model.mutants.registry import committing, lane_with, mutant


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


mutant("the latest first batch is committed", lane=committing(_latest))
mutant("the position of the records is not kept", lane=committing(_without_floor))
mutant("open requests are not kept", lane=committing(_without_open))
mutant("who is begun is not kept", lane=committing(_without_firsts))
mutant("all are taken for begun by one batch", lane=committing(_begun_alike))
mutant("requests still to be restored are forgotten", lane=committing(_restored_only))
mutant("a replay counts as done when it begins", lane=committing(_replay_done))


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


mutant(
    "offsets are committed while an end is on its way",
    lane=lane_with(commits_type=_UnsettledCommits),
)
mutant("a failed transaction is tried again", lane=lane_with(commits_type=_Forgiving))


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


mutant("a batch is applied once more after a rest", lane=lane_with(exports_type=_AppliedAgain))
mutant("a batch applied in part is committed as handled", lane=committing(_with_part_of_a_batch))
