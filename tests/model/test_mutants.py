"""The model bites: each broken design is noticed within seconds."""

from collections.abc import Sequence

import pytest

from consumer.metrics import Metrics
from tests.model.interleaving import run
from tests.model.moments import KILLED, Moments, moments_of
from tests.model.mutants import MUTANTS
from tests.model.oracle import BrokenError
from tests.model.scripts import SCRIPTS
from tests.model.tape import seeded
from tests.model.upstream import Line
from tests.model.world import Design

_MOST_RUNS = 40_000
_BY_CHANCE_TOO_SELDOM = {"all are taken for begun by one batch": "a batch before its request"}
_SELDOM = {
    "batches fetched after the end count as searched",
    "a replay is cut off by a rebalance",
    "what a manifest needs is set aside",
    "what is set aside does not wait for its owner",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow, pytest.mark.long] * (name in _SELDOM))
        for name in MUTANTS
        if name not in _BY_CHANCE_TOO_SELDOM
    ],
)
def test_the_model_notices_when(name: str, metrics: Metrics) -> None:
    for seed in range(_MOST_RUNS):
        try:
            run(seeded(seed), metrics, MUTANTS[name])
        except BrokenError:
            return
    pytest.fail(f"{_MOST_RUNS} runs, and nobody noticed that {name}")


@pytest.mark.parametrize("name", _BY_CHANCE_TOO_SELDOM)
def test_a_kill_at_the_right_moment_shows_that(name: str, metrics: Metrics) -> None:
    lines = SCRIPTS[_BY_CHANCE_TOO_SELDOM[name]].lines
    with pytest.raises(BrokenError):
        kill_at_each_moment(lines, MUTANTS[name], metrics)


def kill_at_each_moment(lines: Sequence[Line], design: Design, metrics: Metrics) -> None:
    for moment in range(1, moments_of(lines, metrics) + 1):
        Moments(lines, {moment: KILLED}, metrics, design).play()
