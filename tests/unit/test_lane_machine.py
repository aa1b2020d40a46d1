"""The lane's tables: nothing illegal, no way around the fence, and who performs each state."""

from itertools import product

import pytest

from consumer.core.lane_machine import (
    FAULTS,
    GROUP,
    LANE,
    OF_GROUP,
    OF_LANE,
    OWNED,
    Assignment,
    Event,
    IllegalTransition,
    LaneMachine,
    State,
)
from consumer.lanes.takeover import Takeover
from consumer.lanes.work import Work
from tests.model import diagram


def machine_in(state: State, assignment: Assignment = Assignment.OURS) -> LaneMachine:
    machine = LaneMachine()
    machine.state, machine.assignment = state, assignment
    return machine


def reachable(start: State, *, without: State | None = None) -> set[State]:
    found, waiting = {start}, [start]
    while waiting:
        for state in LANE[waiting.pop()].values():
            if state is not without and state not in found:
                found.add(state)
                waiting.append(state)
    return found


@pytest.mark.parametrize("state", State)
def test_what_the_tables_do_not_have_raises_and_changes_nothing(state: State) -> None:
    for assignment, event in product(Assignment, Event):
        machine = machine_in(state, assignment)
        legal = (event not in OF_LANE or event in LANE[state]) and (
            event not in OF_GROUP or event in GROUP[assignment]
        )
        if legal:
            machine.on(event)
            assert machine.state is LANE[state].get(event, state)
            assert machine.assignment is GROUP[assignment].get(event, assignment)
        else:
            with pytest.raises(IllegalTransition, match=f"{event.name} while "):
                machine.on(event)
            assert (machine.state, machine.assignment) == (state, assignment)


def test_every_event_is_in_a_table() -> None:
    assert set(Event) == OF_GROUP | OF_LANE


def test_every_state_is_reached_and_ends() -> None:
    assert LANE.keys() == set(State) == reachable(State.HELD)
    assert all(State.GONE in reachable(state) for state in State)


def test_nothing_is_done_before_the_predecessor_is_fenced() -> None:
    assert reachable(State.HELD, without=State.FENCING) == {State.HELD, State.GONE}
    after_a_fault = reachable(State.UNLOADING, without=State.FENCING)
    assert after_a_fault == {State.UNLOADING, State.HELD, State.LEAVING, State.GONE}


def test_nothing_is_handled_before_what_former_owners_died_on_is_counted() -> None:
    for needed in (State.FETCHING, State.SWEEPING, State.READING_MARKS, State.LOADED):
        assert State.WORKING not in reachable(State.HELD, without=needed)
    after_marks = LANE[State.READING_MARKS][Event.MARKS_LEFT]
    assert after_marks is State.COMMITTING_DEATHS
    assert LANE[after_marks][Event.DONE] is State.REMOVING_MARKS


@pytest.mark.parametrize("state", OWNED)
def test_any_fault_of_an_owner_unloads(state: State) -> None:
    assert FAULTS.items() <= LANE[state].items()


@pytest.mark.parametrize("event", [Event.BEGIN, Event.RESUME])
def test_nothing_begins_while_the_partition_is_revoked(event: Event) -> None:
    assert event in OF_LANE
    assert event not in GROUP[Assignment.REVOKED]


def test_a_lane_that_was_revoked_rests_before_it_is_as_before() -> None:
    machine = machine_in(State.WORKING)
    machine.on(Event.REVOKED)
    machine.on(Event.KEPT)
    assert machine.on(Event.REST_DUE) is State.QUIESCING
    assert machine.on(Event.COMMITTING) is State.QUIESCING
    assert machine.on(Event.DONE) is State.RESTING
    assert machine.on(Event.RESUME) is State.WORKING
    assert machine.assignment is Assignment.OURS


def test_a_revoke_while_it_loads_is_waited_for_at_its_end() -> None:
    machine = machine_in(State.LOADED)
    machine.on(Event.REVOKED)
    with pytest.raises(IllegalTransition):
        machine.on(Event.RESUME)
    machine.on(Event.KEPT)
    assert machine.on(Event.RESUME) is State.WORKING
    assert machine.assignment is Assignment.OURS


def test_every_owned_state_has_one_performer() -> None:
    of_a_takeover = set(Takeover.__new__(Takeover).steps)
    of_work = set(Work.__new__(Work).steps)
    assert not of_a_takeover & of_work
    assert of_a_takeover | of_work | {State.OPENING} == OWNED.keys()


def test_the_architecture_shows_the_table() -> None:
    assert diagram.drawn(diagram.PAGE.read_text("utf-8")) == diagram.diagram()
