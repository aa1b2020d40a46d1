"""The model bites: each broken design is noticed within seconds."""

from collections.abc import Sequence

import pytest

from consumer.metrics import Metrics
from tests.model.interleaving import run
from tests.model.moments import KILLED, Deaths, Moments, moments_of
from tests.model.mutants import MUTANTS
from tests.model.scripts import AFTER_ITS_MANIFEST, ONE_EXPORT, SCRIPTS
from tests.model.tape import seeded
from tests.model.upstream import Line
from tests.model.violations import BrokenError
from tests.model.world import Design

pytestmark = pytest.mark.slow

_MOST_RUNS = 40_000
_BY_CHANCE_TOO_SELDOM = {"all are taken for begun by one batch": "a batch before its request"}
_NEEDS_THREE_DEATHS = "what a manifest needs is set aside"
_FIRST_SEEDS = {
    "a manifest is replaced by the next": 489,
    "a batch is applied once more after a rest": 2856,
    "batches fetched after the end count as searched": 1114,
    "any manifest makes a batch late": 3199,
    "a replay is cut off by a rebalance": 14902,
    "what came before its request is replayed": 4276,
    "a batch is given up before its owner is searched": 29569,
    "a takeover reads requests without bound": 996,
    "a search reads requests without bound": 1762,
    "what is to be restored is not counted as open": 2059,
    "marks of an owner that works are removed": 17979,
    "what is set aside does not wait for its owner": 323,
    "an orphan is not committed before its request may come": 321,
    "files are published before their end is decided": 204,
    "what has a manifest is published again": 187,
    "the latest first batch is committed": 149,
    "files are not synced before they are published": 116,
    "the end of the requests is the last stable offset": 111,
    "a batch applied in part is committed as handled": 106,
    "what was set aside is forgotten": 103,
}
"""Where the search begins for mutants that few runs notice, so that it is short. A change of the
model moves them: then the search goes on from there, and a later run that fails can be put here."""


@pytest.mark.parametrize(
    "name",
    [name for name in MUTANTS if name not in _BY_CHANCE_TOO_SELDOM and name != _NEEDS_THREE_DEATHS],
)
def test_the_model_notices_when(name: str, metrics: Metrics) -> None:
    first = _FIRST_SEEDS.get(name, 0)
    for seed in range(first, first + _MOST_RUNS):
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


@pytest.mark.parametrize("message", AFTER_ITS_MANIFEST)
def test_three_deaths_show_what_a_manifest_needs(message: str, metrics: Metrics) -> None:
    deaths = AFTER_ITS_MANIFEST[message]
    with pytest.raises(BrokenError):
        Deaths(ONE_EXPORT, deaths, metrics, MUTANTS[_NEEDS_THREE_DEATHS]).play()


def kill_at_each_moment(lines: Sequence[Line], design: Design, metrics: Metrics) -> None:
    for moment in range(1, moments_of(lines, metrics) + 1):
        Moments(lines, {moment: KILLED}, metrics, design).play()
