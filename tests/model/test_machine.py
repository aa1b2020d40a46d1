"""The same world as a state machine of hypothesis, which finds the shortest way to a violation."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consumer.metrics import Metrics
from tests.model.interleaving import Interleaving
from tests.model.mutants import MUTANTS
from tests.model.tape import Tape
from tests.model.violations import BrokenError, StoppedError, judged
from tests.model.world import AS_BUILT, Design

_METRICS = Metrics()
_SETTINGS = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
_many = st.binary(min_size=20, max_size=60)
_few = st.binary(min_size=4, max_size=8)


class Partition(RuleBasedStateMachine):
    """Each rule is something that can happen; its tape says to whom, and what comes with it."""

    design: Design = AS_BUILT

    @initialize(choices=_many)
    def begin(self, choices: bytes) -> None:
        self.world = Interleaving(Tape(choices), _METRICS, self.design)

    @rule(choices=_many)
    def the_lanes_go_on(self, choices: bytes) -> None:
        self._let(self._go_on, choices)

    @rule(choices=_few)
    def the_group_rebalances(self, choices: bytes) -> None:
        self._let(self.world.group_step, choices)

    @rule(choices=_few)
    def the_coordinator_acts(self, choices: bytes) -> None:
        self._let(self.world.broker_step, choices)

    @rule(choices=_few)
    def a_process_is_killed(self, choices: bytes) -> None:
        self._let(self.world.kill_step, choices)

    @rule(choices=_few)
    def the_machine_crashes(self, choices: bytes) -> None:
        self._let(self.world.crash, choices)

    @precondition(lambda self: not self.world.all_published)
    @rule(choices=_few)
    def upstream_goes_on(self, choices: bytes) -> None:
        self._let(self.world.upstream_step, choices)

    @rule()
    def another_process_takes_over(self) -> None:
        self._let(self.world.another_lane)

    @rule()
    def time_passes(self) -> None:
        self._let(self.world.pass_time)

    def teardown(self) -> None:
        self._let(self.world.settle_down)

    def _let(self, something_happen: Callable[[], object], choices: bytes = b"") -> None:
        self.world.tape = Tape(choices)
        with suppress(StoppedError), judged():
            something_happen()

    def _go_on(self) -> None:
        while not self.world.tape.spent:
            self.world.lane_step()


TestPartition = Partition.TestCase
TestPartition.settings = _SETTINGS


class Broke(Partition):
    """Of a design that is broken on purpose."""

    design = MUTANTS["requests still to be restored are forgotten"]


def test_the_machine_notices_too() -> None:
    quietly = settings(_SETTINGS, max_examples=2_000, database=None, phases=[Phase.generate])
    with pytest.raises(BrokenError):
        run_state_machine_as_test(Broke, settings=quietly)
