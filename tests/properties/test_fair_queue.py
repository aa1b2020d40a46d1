"""Any mix of users, lanes and turns: slots are shared, priorities hold, and nobody starves."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from consumer.core.fair_queue import (
    MOST_CHARGED,
    MOST_IDLE,
    PASSES_PER_PRIORITY,
    Claim,
    FairQueue,
    QueuePlace,
)

TURN_SECONDS = 1.0
EPSILON = 1e-6

capacities = st.integers(1, 5)
seeds = st.integers(0, 2**32)
lane_counts = st.integers(1, 8)


@dataclass(eq=False)
class Lane:
    """A lane that always has another turn to take, unless ``rests`` says for how long it has none.

    ``priority`` is called before each claim, ``seconds`` before each turn, ``rests`` after it.
    """

    user: str | None
    priority: Callable[[], int] = lambda: 5
    seconds: Callable[[], float] = lambda: TURN_SECONDS
    rests: Callable[[], float] = lambda: 0.0
    place: QueuePlace | None = None
    working: float | None = None
    back_at: float = 0.0


@dataclass
class Node:
    """Slots in simulated time: the same steps as ``Slots`` takes, without an event loop."""

    capacity: int
    lanes: list[Lane]
    now: float = 0.0
    used: dict[str | None, float] = field(default_factory=lambda: defaultdict(float))
    order: FairQueue = field(default_factory=lambda: FairQueue(TURN_SECONDS))

    def run(self, turns: int) -> Iterator[Lane]:
        """The lanes whose turns begin, in order."""
        for _ in range(turns):
            while not (chosen := self._grant()):
                self._pass_time()
            yield chosen

    def at_work(self, user: str | None) -> bool:
        return any(lane.working is not None for lane in self.lanes if lane.user == user)

    def _grant(self) -> Lane | None:
        for lane in self.lanes:
            if not lane.place and lane.back_at <= self.now:
                lane.place = self.order.wait(Claim(lane.user, lane.priority()))
        if sum(lane.working is not None for lane in self.lanes) == self.capacity:
            return None
        place = self.order.choose()
        if place is None:
            assert not any(lane.place and lane.working is None for lane in self.lanes)
            return None
        (lane,) = (lane for lane in self.lanes if lane.place is place)
        assert lane.working is None
        lane.working = lane.seconds()
        lane.back_at = self.now + lane.working
        return lane

    def _pass_time(self) -> None:
        """On to the next end of a turn, or of a rest."""
        self.now = min(lane.back_at for lane in self.lanes if lane.back_at > self.now)
        for lane in self.lanes:
            if lane.place and lane.working is not None and lane.back_at <= self.now:
                self.order.end(lane.place, lane.working)
                self.used[lane.user] += lane.working
                lane.place = lane.working = None
                lane.back_at = self.now + lane.rests()


@given(capacities, st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9))), seeds)
def test_everyone_who_waits_is_chosen_exactly_once(
    capacity: int, claims: list[tuple[str, int]], seed: int
) -> None:
    order, chance = FairQueue(TURN_SECONDS), Random(seed)
    waiting = [order.wait(Claim(*claim)) for claim in claims]
    left = chance.sample(waiting, chance.randint(0, len(waiting)))
    for place in left:
        order.leave(place)
    working: list[QueuePlace] = []
    chosen: list[QueuePlace] = []
    while place_or_none := order.choose():
        chosen.append(place_or_none)
        working.append(place_or_none)
        if len(working) == capacity:
            order.end(working.pop(chance.randrange(capacity)), chance.random())
    assert sorted(map(id, chosen + left)) == sorted(map(id, waiting))


@given(capacities, lane_counts, lane_counts, seeds)
def test_two_users_that_are_always_busy_share_within_a_turn_a_slot(
    capacity: int, lanes_of_a: int, lanes_of_b: int, seed: int
) -> None:
    chance = Random(seed)
    lanes = [Lane("a", seconds=lambda: chance.uniform(0.01, 0.1)) for _ in range(lanes_of_a)]
    lanes += [Lane("b", seconds=lambda: chance.uniform(0.5, 1.0)) for _ in range(lanes_of_b)]
    node = Node(capacity, lanes)
    # With fewer lanes than slots a user can't use its half: that's no unfairness.
    busy = min(lanes_of_a, lanes_of_b) > capacity
    for _ in node.run(300):
        if busy:
            assert abs(node.used["a"] - node.used["b"]) <= capacity * TURN_SECONDS + EPSILON


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=6), lane_counts, seeds)
def test_in_one_slot_busy_users_share_within_a_turn(
    lengths: list[float], lanes_each: int, seed: int
) -> None:
    chance = Random(seed)
    lanes = [
        Lane(str(user), seconds=lambda longest=longest: chance.uniform(0, longest))  # type: ignore[misc]
        for user, longest in enumerate(lengths)
        for _ in range(lanes_each)
    ]
    node = Node(1, lanes)
    for _ in node.run(200):
        used = [node.used[str(user)] for user in range(len(lengths))]
        assert max(used) - min(used) <= TURN_SECONDS + EPSILON


@given(capacities, st.lists(st.sampled_from([*"abcdef", None]), min_size=2, max_size=12), seeds)
def test_while_a_user_waits_no_other_gets_more_than_a_turn_a_slot_and_one(
    capacity: int, users: list[str | None], seed: int
) -> None:
    chance = Random(seed)
    lanes = [
        Lane(
            user,
            seconds=lambda: chance.choice([0.001, 0.3, 1.0]),
            rests=lambda: chance.choice([0.0, 0.0, 0.5, 20.0]),
        )
        for user in users
    ]
    node = Node(capacity, lanes)
    others: dict[str | None, dict[str | None, float]] = {}
    for lane in node.run(300):
        for user in {each.user for each in lanes if each.place} - {lane.user}:
            if node.at_work(user):
                others.pop(user, None)
            else:
                given_to = others.setdefault(user, defaultdict(float))
                given_to[lane.user] += lane.working or 0.0
        others.pop(lane.user, None)
        for user, given_to in others.items():
            most = max(given_to.values(), default=0)
            assert most <= (capacity + 1) * TURN_SECONDS + EPSILON, (user, given_to)


@given(capacities, st.integers(1, 12), seeds)
def test_a_stream_of_new_users_starves_nobody(capacity: int, at_once: int, seed: int) -> None:
    chance, numbers = Random(seed), count()
    names = [f"newcomer {next(numbers)}" for _ in range(at_once)]
    order = FairQueue(TURN_SECONDS)
    for name in [*names, "alice"]:
        order.wait(Claim(name, 5))
    turns_without_alice = 0
    for _ in range(200):
        working = list(islice(iter(order.choose, None), capacity))
        for place in working:
            order.end(place, chance.uniform(0, 1))
            is_alice = place.claim.user == "alice"
            turns_without_alice = 0 if is_alice else turns_without_alice + 1
            order.wait(place.claim if is_alice else Claim(f"newcomer {next(numbers)}", 9))
            assert turns_without_alice <= 2 * at_once + capacity


@given(st.integers(0, 9), st.integers(1, 11), seeds)
def test_among_ones_own_a_lane_is_passed_by_no_more_than_its_bound(
    priority: int, others: int, seed: int
) -> None:
    chance = Random(seed)
    low = Lane("a", priority=lambda: priority)
    high = [Lane("a", priority=lambda: chance.choice([9, 9, 9, 5])) for _ in range(others)]
    node = Node(1, [*high, low])
    passed = 0
    for lane in node.run(400):
        passed = 0 if lane is low else passed + 1
        assert passed <= PASSES_PER_PRIORITY * (9 - priority) + others


@given(st.lists(st.integers(0, 9), min_size=1, max_size=PASSES_PER_PRIORITY))
def test_among_ones_own_the_highest_priority_is_first_and_then_the_first_to_come(
    priorities: list[int],
) -> None:
    order = FairQueue(TURN_SECONDS)
    places = [order.wait(Claim("a", priority)) for priority in priorities]
    chosen = [order.choose() for _ in priorities]
    assert chosen == sorted(places, key=lambda place: -place.claim.priority)


@given(st.integers(0, 9), st.integers(0, 9))
def test_priority_counts_among_ones_own_only(mine: int, theirs: int) -> None:
    order = FairQueue(TURN_SECONDS)
    first, second = order.wait(Claim("a", mine)), order.wait(Claim("b", theirs))
    assert [order.choose(), order.choose()] == [first, second]


def test_slots_that_are_free_at_once_go_round_users_too() -> None:
    order = FairQueue(TURN_SECONDS)
    for user in "aaabbb":
        order.wait(Claim(user, 5))
    assert [place.claim.user for place in islice(iter(order.choose, None), 4)] == [*"abab"]


@given(capacities, st.data())
def test_who_comes_while_another_has_every_slot_is_next(capacity: int, data: st.DataObject) -> None:
    order = FairQueue(TURN_SECONDS)
    for _ in range(11):
        order.wait(Claim("alice", 9))
    working = list(islice(iter(order.choose, None), capacity))
    of_bob = order.wait(Claim("bob", 0))
    for place in working[: data.draw(st.integers(1, capacity))]:
        order.end(place, 0.1)
    assert order.choose() is of_bob


def test_who_was_idle_has_saved_up_nothing() -> None:
    idle_until = 50.0
    lanes = [Lane("a") for _ in range(3)] + [Lane("b", rests=lambda: idle_until)]
    lanes += [Lane("b", back_at=idle_until) for _ in range(2)]
    node = Node(1, lanes)
    began = [lane.user for lane in node.run(80)]
    assert began[:3] == ["a", "b", "a"]
    assert set(began[3:50]) == {"a"}
    assert Counter(began[60:80]) == {"a": 10, "b": 10}


def test_a_turn_that_stalls_is_charged_as_some_turns() -> None:
    node = Node(1, [Lane("stalled", seconds=iter([1_000.0, *[1.0] * 100]).__next__), Lane("b")])
    began = [lane.user for lane in node.run(40)]
    assert began.index("b") == 1
    assert began[2:].index("stalled") <= MOST_CHARGED


@given(st.integers(1, 5))
def test_users_who_are_gone_are_forgotten(capacity: int) -> None:
    order = FairQueue(TURN_SECONDS)
    for number in range(1_000):
        order.wait(Claim(f"user {number}", 5))
        place = order.choose()
        assert place
        order.end(place, 1.0)
        assert order.remembered <= MOST_IDLE + capacity
