"""The promise when one thing, or one thing after the other, befalls a process at any moment."""

from collections.abc import Iterator
from itertools import combinations, islice, product

import pytest

from consumer.metrics import Metrics
from tests.model.moments import (
    CRASHED,
    KILLED,
    OVERTAKEN,
    REFUSED,
    Deaths,
    Moments,
    moments_of,
)
from tests.model.scripts import AFTER_ITS_MANIFEST, ONE_EXPORT, SCRIPTS
from tests.model.tape import SEED

_FATES = (KILLED, CRASHED, REFUSED, OVERTAKEN)
_NEAR = 6
_SHARE = 8
"""All pairs take ten minutes: one of so many, another one with another SLUICE_TEST_MODEL_SEED."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    # A script takes seconds; by chance these fates are in the interleavings, too.
    [pytest.param(name, marks=[pytest.mark.long] * (at > 1)) for at, name in enumerate(SCRIPTS)],
)
def test_nothing_that_happens_once_breaks_the_promise(name: str, metrics: Metrics) -> None:
    moments = moments_of(SCRIPTS[name].lines, metrics)
    assert moments > 50
    for moment, fate in product(range(1, moments + 1), _FATES):
        world = play(name, {moment: fate}, metrics)
        assert fate == REFUSED or world.struck == {moment}  # nothing but the disk refuses


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_that_happens_twice_breaks_the_promise(name: str, metrics: Metrics) -> None:
    every = pairs(moments_of(SCRIPTS[name].lines, metrics))
    for fates in islice(every, SEED % _SHARE, None, _SHARE):
        play(name, fates, metrics)


@pytest.mark.parametrize("message", AFTER_ITS_MANIFEST)
def test_what_a_manifest_needs_is_read_though_nodes_died_on_it(
    message: str, metrics: Metrics
) -> None:
    world = Deaths(ONE_EXPORT, AFTER_ITS_MANIFEST[message], metrics)
    world.play()
    assert not world.ahead
    assert [event.type for event in world.disk.manifests.values()] == ["export.completed"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_undisturbed_it_ends_as_expected(name: str, metrics: Metrics) -> None:
    world = Moments(SCRIPTS[name].lines, {}, metrics)
    world.play()
    events = world.disk.manifests.values()
    ends = {event.export_id: getattr(event, "reason", event.type) for event in events}
    assert ends == SCRIPTS[name].ends


def pairs(moments: int) -> Iterator[dict[int, str]]:
    """Anything soon after anything, and a death at any time after a death."""
    for first, second in combinations(range(1, moments + 1), 2):
        near = second - first < _NEAR
        for one, other in product(_FATES, _FATES) if near else [(KILLED, KILLED)]:
            yield {first: one, second: other}


def play(name: str, fates: dict[int, str], metrics: Metrics) -> Moments:
    world = Moments(SCRIPTS[name].lines, fates, metrics)
    world.trace = []
    try:
        world.play()
    except Exception as error:
        error.add_note("\n".join([f"{fates}", *world.trace]))
        raise
    return world
