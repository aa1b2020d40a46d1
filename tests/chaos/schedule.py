"""Which faults strike, in what order and after what pauses: a seed makes a schedule.

Pure. Two tracks run at the same time, each one fault after the other: *deaths* of nodes, and
*disturbances* of what is around them. Invariant: the same seed gives the same schedule; when
exactly a fault strikes depends on the machine too, as it waits until it has something to hit.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.node import Point, Side, Step


class Kind(StrEnum):
    """What can happen."""

    KILL = "kill -9 of a node"
    STEP_KILL = "kill -9 at a step"
    TERMINATE = "SIGTERM and restart"
    ZOMBIE = "SIGSTOP past the session, SIGCONT"
    BROKER = "kill -9 of the broker"
    DISK = "full disk"
    STORE = "kill -9 of the object store"
    STORE_REFUSES = "object store answers 503 and 500"
    STORE_SLOW = "object store answers slowly"
    STORE_LOSES = "answers of the object store are lost"
    NETWORK = "network cut"


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault. ``seconds``: how long it lasts; ``slots``: which nodes it hits.

    ``pause_seconds`` go by before it. ``point`` is where a node dies by itself. A network fault
    that is ``silent`` drops everything; else connections are reset.
    """

    kind: Kind
    pause_seconds: float
    slots: tuple[int, ...] = ()
    seconds: float = 0.0
    point: Point | None = None
    silent: bool = True


@dataclass(frozen=True, slots=True)
class Pace:
    """Mean pauses in seconds between faults, of each track; ``session_seconds`` of the nodes."""

    deaths_seconds: float
    disturbances_seconds: float
    session_seconds: float


DEATHS = (*[Kind.KILL] * 5, *[Kind.STEP_KILL] * 2, Kind.TERMINATE)
DISTURBANCES = (Kind.BROKER, Kind.ZOMBIE, Kind.DISK, Kind.NETWORK)
STORE_DISTURBANCES = (Kind.STORE, Kind.STORE_REFUSES, Kind.STORE_SLOW, Kind.STORE_LOSES)
"""Of a storm whose files are in a bucket, beside the others."""
DEATHS_ON_OBJECTS = (*[Kind.KILL] * 2, *[Kind.STEP_KILL] * 5, Kind.TERMINATE)
DISTURBANCES_ON_OBJECTS = (*DISTURBANCES, *STORE_DISTURBANCES, *[Kind.STORE] * 2)
"""Uploads and decisions are what differs there: most deaths are at their steps, or the store's."""
_CALM_SECONDS = 9.0  # sometimes, so that a recovery is seen that nothing else disturbs


def deaths(
    seed: int,
    nodes: int,
    pace: Pace,
    points: Sequence[tuple[Side, Step]],
    kinds: Sequence[Kind] = DEATHS,
) -> Iterator[Strike]:
    """Nodes that are killed, that die at a step, or that are restarted: in rounds, for ever.

    Points have rounds of their own, so that each is tried as often as any other.
    """
    chance = random.Random(f"deaths {seed}")
    deck = _dealt(random.Random(f"points {seed}"), points)
    while True:
        for kind in chance.sample(kinds, len(kinds)):
            yield _death(chance, kind, nodes, pace, deck)


def disturbances(
    seed: int, nodes: int, pace: Pace, kinds: Sequence[Kind] = DISTURBANCES
) -> Iterator[Strike]:
    """Everything else, each of ``kinds`` once in every round, in a new order, for ever."""
    chance = random.Random(f"disturbances {seed}")
    longer_than_session = pace.session_seconds + 1
    while True:
        for kind in chance.sample(kinds, len(kinds)):
            pause = chance.uniform(0.5, 1.5) * pace.disturbances_seconds
            # The network that can be cut is that of the first node.
            slots = {Kind.ZOMBIE: (chance.randrange(nodes),), Kind.NETWORK: (0,)}.get(kind, ())
            seconds = chance.uniform(0.5, 4)
            if slots:
                seconds += longer_than_session
            yield Strike(kind, pause, slots, seconds, silent=chance.random() < 0.7)


def _dealt(
    chance: random.Random, points: Sequence[tuple[Side, Step]]
) -> Iterator[tuple[Side, Step]]:
    """All of them in every round, in a new order, for ever."""
    while True:
        yield from chance.sample(points, len(points))


def _death(
    chance: random.Random,
    kind: Kind,
    nodes: int,
    pace: Pace,
    points: Iterator[tuple[Side, Step]],
) -> Strike:
    calm = chance.random() < 0.08
    pause = _CALM_SECONDS if calm else chance.expovariate(1 / pace.deaths_seconds)
    if kind is Kind.STEP_KILL:
        point = Point(*next(points), chance.randint(1, 3))
        return Strike(kind, pause, (chance.randrange(nodes),), point=point)
    many = min(nodes, chance.choices((1, 2, 3), (5, 4, 3))[0])
    return Strike(kind, pause, tuple(chance.sample(range(nodes), many)))
