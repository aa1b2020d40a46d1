"""A lane's states as tables: what the lane does in each, and which may follow. Pure.

A state is a command: the one thing the lane does now. The result is an event, and the table names
the next state. There are two tables, as h11 has one for each side of a connection: ``LANE``, and
``GROUP`` for the consumer group's latest decision, which may change at any time. Both have
``BEGIN`` and ``RESUME``: no lane begins or resumes while its partition is revoked.
docs/architecture.md shows ``LANE`` as a diagram.

Invariant: an event that isn't in the current state's row raises and changes nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from typing import TypeAlias, TypeVar


class State(Enum):
    """What a lane does. Other tasks affect it only between two states, never within one."""

    HELD = "wait for the group, after a fault for a heartbeat first"
    FENCING = "start the producer"
    FETCHING = "fetch committed offsets and log starts"
    SWEEPING = "remove partial files of former owners"
    READING_MARKS = "read their marks"
    COMMITTING_DEATHS = "commit which messages they died on"
    REMOVING_MARKS = "remove the marks"
    OPENING = "open the exports of the resume point"
    LOADED = "wait for the group, start the feeds"
    WORKING = "take messages"
    CHECKING_IDLE = "fetch the end of the records"
    TURNING = "take a turn"
    SEARCHING_OWNER = "fetch the end of the requests"
    CONFIRMING = "commit the dead letter of an orphan"
    WAITING = "wait for messages"
    QUIESCING = "commit all there is, stop the feeds"
    RESTING = "wait for the group, start the feeds again"
    UNLOADING = "drop the producer and partial files"
    LEAVING = "drop them: the partition is lost"
    GONE = "end"


class Event(Enum):
    """The result of a state, or a decision of the group."""

    BEGIN = auto()
    DONE = auto()
    MARKS_LEFT = auto()
    RESUME = auto()
    TURN_DUE = auto()
    NOTHING_DUE = auto()
    LONG_IDLE = auto()
    OWNER_UNKNOWN = auto()
    ORPHAN_FOUND = auto()
    COMMITTING = auto()
    REST_DUE = auto()
    FAILED = auto()
    UNLOADED = auto()
    REVOKED = auto()
    KEPT = auto()
    LOST = auto()


class Assignment(Enum):
    """The group's latest decision."""

    OURS = auto()
    REVOKED = auto()
    KEPT = auto()
    """Assigned to us again, but the consumer lost its positions: the lane must rest and resume."""


S = TypeVar("S", State, Assignment)
Table: TypeAlias = Mapping[S, Mapping[Event, S]]
Step: TypeAlias = Callable[[], Awaitable[Event]]
"""Performs a state; returns its result."""

OWNED: Table[State] = {
    # Fetch nothing before the predecessor is fenced: it could still commit after the fetch.
    State.FENCING: {Event.DONE: State.FETCHING},
    State.FETCHING: {Event.DONE: State.SWEEPING},
    State.SWEEPING: {Event.DONE: State.READING_MARKS},
    # Commit even if no mark names a message: the commit proves that nobody has fenced us.
    State.READING_MARKS: {Event.MARKS_LEFT: State.COMMITTING_DEATHS, Event.DONE: State.OPENING},
    State.COMMITTING_DEATHS: {Event.DONE: State.REMOVING_MARKS},
    State.REMOVING_MARKS: {Event.DONE: State.OPENING},
    State.OPENING: {Event.DONE: State.LOADED},
    State.LOADED: {Event.RESUME: State.WORKING},
    State.WORKING: {
        Event.TURN_DUE: State.TURNING,
        Event.NOTHING_DUE: State.WAITING,
        Event.LONG_IDLE: State.CHECKING_IDLE,
        Event.REST_DUE: State.QUIESCING,
    },
    State.CHECKING_IDLE: {Event.TURN_DUE: State.TURNING, Event.NOTHING_DUE: State.WAITING},
    State.TURNING: {
        Event.DONE: State.WORKING,
        Event.OWNER_UNKNOWN: State.SEARCHING_OWNER,
        Event.ORPHAN_FOUND: State.CONFIRMING,
    },
    State.SEARCHING_OWNER: {Event.DONE: State.WORKING, Event.ORPHAN_FOUND: State.CONFIRMING},
    # Confirm before the next turn, which may read a request with the orphan's id.
    State.CONFIRMING: {Event.COMMITTING: State.CONFIRMING, Event.DONE: State.WORKING},
    State.WAITING: {Event.DONE: State.WORKING},
    State.QUIESCING: {Event.COMMITTING: State.QUIESCING, Event.DONE: State.RESTING},
    # Resume with the same producer and exports: another owner would have fenced the producer.
    State.RESTING: {Event.RESUME: State.WORKING},
}

# After any failure the lane reloads: only what is committed is certain.
FAULTS = {Event.FAILED: State.UNLOADING, Event.LOST: State.LEAVING}

LANE: Table[State] = {
    State.HELD: {Event.BEGIN: State.FENCING, Event.LOST: State.GONE},
    **{state: {**row, **FAULTS} for state, row in OWNED.items()},
    State.UNLOADING: {Event.UNLOADED: State.HELD, **FAULTS},
    State.LEAVING: {Event.FAILED: State.LEAVING, Event.UNLOADED: State.GONE},
    State.GONE: {},
}

GROUP: Table[Assignment] = {
    Assignment.OURS: {
        Event.BEGIN: Assignment.OURS,
        Event.RESUME: Assignment.OURS,
        Event.REVOKED: Assignment.REVOKED,
        Event.KEPT: Assignment.OURS,
    },
    Assignment.REVOKED: {Event.REVOKED: Assignment.REVOKED, Event.KEPT: Assignment.KEPT},
    Assignment.KEPT: {
        Event.BEGIN: Assignment.KEPT,
        Event.RESUME: Assignment.OURS,
        Event.REVOKED: Assignment.REVOKED,
        Event.KEPT: Assignment.KEPT,
    },
}

OF_LANE = {event for row in LANE.values() for event in row}
OF_GROUP = {event for row in GROUP.values() for event in row}


class IllegalTransition(Exception):  # noqa: N818 - it names what was tried, as in h11
    """The current state has no transition for an event: a bug."""


class LaneMachine:
    """The current state of one lane. Only the mutation tests of the model pass another table."""

    def __init__(self, lane: Table[State] = LANE) -> None:
        self.state = State.HELD
        self.assignment = Assignment.OURS
        self._lane = lane

    def on(self, event: Event) -> State:
        """Apply an event; return the next state.

        Raises:
            IllegalTransition: the current state has no such transition; nothing has changed.
        """
        try:
            state = self._lane[self.state][event] if event in OF_LANE else self.state
            assignment = GROUP[self.assignment][event] if event in OF_GROUP else self.assignment
        except KeyError:
            where = f"{self.state.name}, {self.assignment.name}"
            raise IllegalTransition(f"{event.name} while {where}") from None
        self.state, self.assignment = state, assignment
        return state
