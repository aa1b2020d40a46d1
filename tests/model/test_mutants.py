"""The model bites: each broken design is noticed within seconds."""

import pytest

from consumer.metrics import Metrics
from tests.model.interleaving import run
from tests.model.mutants import MUTANTS
from tests.model.oracle import BrokenError
from tests.model.tape import seeded

_MOST_RUNS = 40_000
_SELDOM = {"batches fetched after the end count as searched", "a replay is cut off by a rebalance"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in _SELDOM)) for name in MUTANTS],
)
def test_the_model_notices_when(name: str, metrics: Metrics) -> None:
    for seed in range(_MOST_RUNS):
        try:
            run(seeded(seed), metrics, MUTANTS[name])
        except BrokenError:
            return
    pytest.fail(f"{_MOST_RUNS} runs, and nobody noticed that {name}")
