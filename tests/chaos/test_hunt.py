"""The hunt for commits that Kafka forgets: what its judge must find, and a short one."""

import random
from pathlib import Path

import pytest

from broker.config import server_properties
from tests.chaos.commit_hunt import Hunt
from tests.chaos.hunted import Prey, Shape, Version
from tests.chaos.ledger import Ledger

LANES = range(3)


def a_ledger(chance: random.Random) -> Ledger:
    """Some commits of each lane, all but the last acknowledged."""
    ledger = Ledger()
    for lane in LANES:
        for _ in range(chance.randrange(3, 9)):
            ledger.acknowledge(lane, ledger.send(lane))
        ledger.send(lane)
    return ledger


@pytest.fixture
def ledger() -> Ledger:
    return a_ledger(random.Random(1))


def test_what_was_acknowledged_or_is_in_doubt_passes(ledger: Ledger) -> None:
    for numbers in (ledger.acknowledged, ledger.sent):
        answer = {lane: (number, number) for lane, number in numbers.items()}
        assert list(ledger.wrong(answer, ledger.acknowledged)) == []


def test_an_answer_may_lack_one_acknowledged_commit_until_lanes_have_started(
    ledger: Ledger,
) -> None:
    late = {lane: (number - 1, number - 1) for lane, number in ledger.acknowledged.items()}
    assert list(ledger.wrong(late, ledger.settled())) == []
    assert len(list(ledger.wrong(late, ledger.acknowledged))) == len(LANES)


@pytest.mark.parametrize("change", [(-1, -1), (0, -1), (-1, 0), (2, 2), (1, 0)])
def test_older_newer_and_half_transactions_are_found(
    ledger: Ledger, change: tuple[int, int]
) -> None:
    numbers = ledger.acknowledged
    answer = {lane: (number, number) for lane, number in numbers.items()}
    answer[1] = (numbers[1] + change[0], numbers[1] + change[1])
    found = list(ledger.wrong(answer, numbers))
    assert found
    assert all(what.startswith("lane 1: ") for what in found)


def test_a_coordinator_that_has_loaded_nothing_is_found(ledger: Ledger) -> None:
    assert len(list(ledger.wrong(dict.fromkeys(LANES, (0, 0)), ledger.settled()))) == len(LANES)


def test_what_is_stable_is_what_there_is(ledger: Ledger) -> None:
    ledger.take({lane: (number, number) for lane, number in ledger.acknowledged.items()})
    assert ledger.sent == ledger.acknowledged


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("shape", "kills"), [(Shape.COMPACTED, 8), (Shape.LONG, 5)])
async def test_a_killed_broker_forgets_no_commits(tmp_path: Path, shape: Shape, kills: int) -> None:
    """As the embedded Kafka loads them, and with elections that follow each other quickly."""
    load_bytes = int(server_properties(0, 0, "")["offsets.load.buffer.size"])
    hunt = Hunt(Prey(Version.named(""), shape, 600, load_bytes), 1, tmp_path, pace_seconds=0)
    await hunt.run(kills, seconds=600)
    assert hunt.findings.wrong == []
    assert hunt.findings.killed() >= kills
    assert hunt.findings.commits > 0
