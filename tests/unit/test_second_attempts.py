"""An export that our own code broke on is made once more, where that costs others little."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from consumer.core.resume import ResumePoint
from consumer.core.second_attempts import INTERVAL_SECONDS, MOST_READ_AGAIN, SecondAttempts
from consumer.errors import AttemptAgain
from consumer.exports.partition import PartitionExports
from consumer.formats.base import FormatWriter
from consumer.formats.csv import CsvWriter
from schemas.completions import (
    ExportCancelled,
    ExportCompleted,
    ExportFailed,
    decode_event,
    encode_event,
)
from schemas.requests import ExportRequested
from schemas.vocabulary import FailReason
from tests.support.partition import START, Bench, only, take_outcome, work_off


def test_a_request_gets_one_and_the_lane_one_a_minute() -> None:
    attempts = SecondAttempts()
    assert attempts.begin(7, 0, now=0.0)
    assert not attempts.begin(7, 0, now=1000.0)
    assert not attempts.begin(8, 0, now=INTERVAL_SECONDS - 1)
    assert attempts.begin(8, 0, now=INTERVAL_SECONDS)
    assert attempts.has_begun(7)
    assert not attempts.has_begun(9)


def test_one_that_costs_too_much_uses_up_no_interval() -> None:
    attempts = SecondAttempts()
    assert not attempts.begin(7, MOST_READ_AGAIN + 1, now=0.0)
    assert attempts.begin(8, MOST_READ_AGAIN, now=0.0)


def test_what_is_not_read_again_is_forgotten() -> None:
    attempts = SecondAttempts()
    attempts.begin(7, 0, now=0.0)
    attempts.keep(lambda request: request != 7)
    assert not attempts.has_begun(7)


@dataclass
class Lane:
    """What a lane does with a partition whose writer breaks, without Kafka."""

    bench: Bench
    faults: dict[str, int]
    """How often the writer of an export breaks."""

    def __post_init__(self) -> None:
        self.attempts = SecondAttempts()
        self.reloads = 0

    def writer(self, request: ExportRequested, _: datetime | None) -> FormatWriter:
        if self.faults.get(request.export_id, 0):
            self.faults[request.export_id] -= 1
            raise TypeError("of our own")
        return CsvWriter(request)

    def owner(self, point: ResumePoint = START) -> PartitionExports:
        context = replace(self.bench.context(), writer=self.writer)
        return PartitionExports(3, point, context, second_attempts=self.attempts)

    def run(self) -> dict[str, ExportCompleted | ExportFailed | ExportCancelled]:
        """The ends of all, from the logs' beginnings; nothing is committed in between."""
        while True:
            owner = self.owner()
            self.bench.feed(owner)
            try:
                work_off(owner)
            except AttemptAgain:
                assert not take_outcome(owner).events
                owner.discard()
                self.reloads += 1
                continue
            return {event.export_id: event for event in take_outcome(owner).events}


@pytest.fixture
def make_lane(tmp_path: Path) -> Callable[..., Lane]:
    return lambda **faults: Lane(Bench(tmp_path), faults)


def test_what_has_passed_completes_by_the_second_attempt(make_lane: Callable[..., Lane]) -> None:
    lane = make_lane(a=1)
    lane.bench.request("a")
    lane.bench.batch(0, [1], export_id="a", last=True)
    completed = lane.run()["a"]
    assert isinstance(completed, ExportCompleted)
    assert (completed.rows, completed.attempts, lane.reloads) == (1, 2, 1)
    assert decode_event(encode_event(completed)) == completed


def test_what_breaks_again_fails_and_neighbours_complete(make_lane: Callable[..., Lane]) -> None:
    lane = make_lane(bad=9, worse=9)
    for export_id in ("good", "bad", "worse", "better"):
        lane.bench.request(export_id)
        lane.bench.batch(0, [1], export_id=export_id, last=True)
    ends = lane.run()
    bad, worse = ends["bad"], ends["worse"]
    assert isinstance(bad, ExportFailed)
    assert isinstance(worse, ExportFailed)
    assert bad.reason is worse.reason is FailReason.INTERNAL
    # The second one broke within the minute of the first one's attempt.
    assert (bad.attempts, worse.attempts, lane.reloads) == (2, None, 1)
    for export_id in ("good", "better"):
        assert isinstance(ends[export_id], ExportCompleted)
        assert ends[export_id].attempts is None
    assert lane.bench.files() == {f"{one}.manifest.json" for one in ends} | {
        "good.csv",
        "better.csv",
    }


def test_a_neighbour_far_on_its_way_is_not_begun_again(make_lane: Callable[..., Lane]) -> None:
    lane = make_lane(bad=1)
    lane.bench.request("large")
    lane.bench.request("bad")
    for seq in range(MOST_READ_AGAIN + 1):
        lane.bench.batch(seq, [seq], export_id="large")
    lane.bench.batch(0, [1], export_id="bad", last=True)
    failed = only(list(lane.run().values()))
    assert isinstance(failed, ExportFailed)
    assert (failed.export_id, failed.attempts, lane.reloads) == ("bad", None, 0)


def test_nor_is_one_that_ended_within_the_turn(make_lane: Callable[..., Lane]) -> None:
    lane = make_lane(bad=1)
    lane.bench.request("large")
    lane.bench.request("bad")
    for seq in range(MOST_READ_AGAIN + 1):
        lane.bench.batch(seq, [seq], export_id="large", last=seq == MOST_READ_AGAIN)
    lane.bench.batch(0, [1], export_id="bad", last=True)
    assert isinstance(lane.run()["bad"], ExportFailed)
    assert lane.reloads == 0


def test_a_wrong_batch_is_not_attempted_again(make_lane: Callable[..., Lane]) -> None:
    lane = make_lane()
    lane.bench.request("a")
    lane.bench.batch(1, [1], export_id="a")
    failed = lane.run()["a"]
    assert isinstance(failed, ExportFailed)
    assert (failed.reason, failed.attempts) == (FailReason.SEQUENCE_GAP, None)
    assert lane.reloads == 0
