"""What a turn returns, and what may be committed after it."""

from pathlib import Path

import pytest

from consumer.core.resume import ResumePoint
from consumer.exports.turn_result import TurnEnd
from schemas.vocabulary import Format
from tests.support.partition import Bench, only


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def refuse(bench: Bench, export_id: str) -> Path:
    """The manifest of an export can't be read or created from now on."""
    manifest = bench.directory / f"{export_id}.manifest.json"
    manifest.mkdir()
    return manifest


def test_a_turn_says_what_it_wrote_and_what_waits(bench: Bench) -> None:
    partition = bench.partition
    partition.take_requests([bench.request("a")])
    result = partition.turn()
    assert (result.end, result.formats, result.ended) == (TurnEnd.IDLE, frozenset(), ())
    assert not result.owner_found
    assert not result.served
    partition.take_records([bench.batch(0, export_id="a", last=True)])
    result = partition.turn()
    assert (result.formats, result.ended) == (frozenset({Format.CSV}), ("a",))
    assert result.owner_found
    assert result.served
    assert not partition.turn().formats, "of that turn alone"


def test_nothing_is_committed_while_an_end_waits_for_the_storage(bench: Bench) -> None:
    partition = bench.partition
    partition.take_requests([bench.request("a"), bench.cancel("a")])
    partition.turn(0.0)
    manifest = refuse(bench, "a")
    result = partition.turn()
    assert result.end is TurnEnd.REFUSED
    assert "a.manifest.json" in str(result.refusal)
    assert partition.writes_due
    assert partition.take_checkpoint(None, progress=True) is None
    manifest.rmdir()
    assert partition.turn().served, "it began with what was due"
    checkpoint = partition.take_checkpoint(None, progress=False)
    assert checkpoint
    assert only(checkpoint.outcome.events).export_id == "a"
    assert checkpoint.point == ResumePoint(2, (), 0, 0)


def test_progress_alone_is_committed_once_and_only_if_it_is_wanted(bench: Bench) -> None:
    partition = bench.partition
    partition.take_requests([bench.request("a")])
    partition.turn()
    assert partition.take_checkpoint(None, progress=False) is None
    checkpoint = partition.take_checkpoint(None, progress=True)
    assert checkpoint
    assert not checkpoint.outcome
    assert partition.take_checkpoint(checkpoint.point, progress=True) is None


def test_what_is_given_up_after_a_turn_adds_to_its_result(bench: Bench) -> None:
    """Else the lane would go on with a search whose batch has been handled."""
    partition = bench.partition
    partition.take_requests([bench.request("a")])
    partition.turn()
    refuse(bench, "nobody")
    partition.take_records([bench.batch(0, export_id="a"), bench.batch(0, export_id="nobody")])
    partition.owners_known(below=2)
    result = partition.turn()
    assert result.end is TurnEnd.REFUSED
    assert result.owner_found
    given_up = partition.give_up("no room")
    assert given_up
    assert given_up.end is TurnEnd.REFUSED
    assert given_up.owner_found, "by the turn"


def test_a_batch_that_is_given_up_is_an_orphan_whose_verdict_is_pending(bench: Bench) -> None:
    partition = bench.partition
    refuse(bench, "nobody")
    partition.take_records([bench.batch(0, export_id="nobody")])
    partition.owners_known(below=1)
    result = partition.turn()
    assert result.end is TurnEnd.REFUSED
    assert not result.owner_found
    assert not result.orphan_pending
    given_up = partition.give_up("it can't be read")
    assert given_up
    assert given_up.owner_found
    assert given_up.orphan_pending
