"""Whose turn is next: users share a node's slots; among one user's lanes, priority decides.

Pure: takes who waits and how long turns took; decides who is next. The rules:

- The user with the least used slot time is next; among equals, the longest waiting. A running turn
  counts as ``turn_seconds`` until it ends.
- Slot time can't be saved up. A user who had nothing waiting continues no lower than the *level*,
  the used time of the user chosen last. An unknown user starts level with the highest of those
  waiting: otherwise a stream of new users would starve the others.
- Among one user's lanes the highest priority is next; among equals, the longest waiting. A lane
  gains one priority for every ``PASSES_PER_PRIORITY`` turns of its user that passed it by.

So nobody starves. While a user waits for one of c slots, another gets at most c + 1 turns' worth of
time; and of a user's n lanes, one of priority p is passed by at most ``PASSES_PER_PRIORITY`` * (9 -
p) + n - 1 times. Invariant: only users who wait or work, and ``MOST_IDLE`` others, are remembered.
"""

from dataclasses import dataclass, field
from itertools import count

PASSES_PER_PRIORITY = 10
MOST_IDLE = 100
MOST_CHARGED = 10
"""The most turns' worth that one turn is charged: a stalling storage is no user's fault."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose messages a lane wants a turn for; None while their user isn't known."""

    user: str | None
    priority: int


@dataclass(eq=False, slots=True)
class QueuePlace:
    """A lane's place in the order, from its claim to its turn's end."""

    claim: Claim
    passed: int = 0

    @property
    def rank(self) -> int:
        """Its priority, raised by waiting."""
        return self.claim.priority + self.passed // PASSES_PER_PRIORITY


@dataclass(slots=True)
class _Account:
    """A user's used time, and its lanes that wait (longest first) or work."""

    used_seconds: float
    waiting: list[tuple[int, QueuePlace]] = field(default_factory=list)
    working: int = 0


class FairQueue:
    """``turn_seconds`` is the expected maximum duration of a turn."""

    def __init__(self, turn_seconds: float) -> None:
        self._turn_seconds = turn_seconds
        self._accounts: dict[str | None, _Account] = {}
        self._idle: dict[str | None, float] = {}
        self._level = 0.0
        self._arrivals = count()

    @property
    def remembered(self) -> int:
        """How many users are remembered."""
        return len(self._accounts) + len(self._idle)

    def wait(self, claim: Claim) -> QueuePlace:
        """A lane starts waiting; pass its place to ``leave`` or, once chosen, to ``end``."""
        account = self._accounts.get(claim.user)
        if account is None:
            account = self._accounts[claim.user] = _Account(self._beginning(claim.user))
        # A user with nothing waiting saves no slot time.
        if not account.waiting:
            account.used_seconds = max(account.used_seconds, self._level)
        place = QueuePlace(claim)
        account.waiting.append((next(self._arrivals), place))
        return place

    def leave(self, place: QueuePlace) -> None:
        """A lane stops waiting."""
        account = self._accounts[place.claim.user]
        account.waiting = [entry for entry in account.waiting if entry[1] is not place]
        self._rest(place.claim.user, account)

    def choose(self) -> QueuePlace | None:
        """Choose whose turn begins now; None if nobody waits."""
        waiting = [account for account in self._accounts.values() if account.waiting]
        if not waiting:
            return None
        account = min(waiting, key=lambda each: (self._standing(each), each.waiting[0][0]))
        # The level never falls, even if users with more used time have left.
        self._level = max(self._level, account.used_seconds)
        chosen = max(account.waiting, key=lambda entry: entry[1].rank)  # the first of equals
        account.waiting.remove(chosen)
        for _, place in account.waiting:
            place.passed += 1
        account.working += 1
        return chosen[1]

    def end(self, place: QueuePlace, seconds: float) -> None:
        """A turn has ended after holding its slot for ``seconds``."""
        account = self._accounts[place.claim.user]
        account.working -= 1
        account.used_seconds += min(seconds, MOST_CHARGED * self._turn_seconds)
        self._rest(place.claim.user, account)

    def _standing(self, account: _Account) -> float:
        # Otherwise the user with the least time would get every free slot at once.
        return account.used_seconds + account.working * self._turn_seconds

    def _beginning(self, user: str | None) -> float:
        if user in self._idle:
            return self._idle.pop(user)
        waiting = (each.used_seconds for each in self._accounts.values() if each.waiting)
        return max(waiting, default=0.0)

    def _rest(self, user: str | None, account: _Account) -> None:
        if account.waiting or account.working:
            return
        del self._accounts[user]
        self._idle[user] = account.used_seconds
        if len(self._idle) > MOST_IDLE:
            # The one idle for longest: a dict keeps insertion order.
            del self._idle[next(iter(self._idle))]
