"""Runs in which one thing befalls the working process at one moment, or two at two moments.

A moment is a step of a lane, of its transaction or of the coordinator, or a named moment in a call
of the storage. Upstream says a line between two rounds, so that most moments have something behind
them and something ahead. All of them are tried: what chance seldom finds is not left out.
"""

from collections.abc import Sequence
from contextlib import suppress

from consumer.core.lane_machine import State
from consumer.errors import StorageUnavailable
from consumer.metrics import Metrics
from tests.model.feed import ALL
from tests.model.lane import Killed, Lane
from tests.model.tape import Tape
from tests.model.upstream import Line
from tests.model.violations import StoppedError, Violation, judged
from tests.model.world import AS_BUILT, Design, World

KILLED, CRASHED, REFUSED, OVERTAKEN = "killed", "crashed", "refused", "overtaken"
_OVERTAKING_ROUNDS = 6
_ZOMBIE_ROUNDS = 12


class Moments(World):
    """A world in which the n-th moment brings what ``fates`` says of n.

    ``struck`` are the moments that did; after ``disturbed`` ones there are no more faults.
    """

    last_rounds = 6

    def __init__(
        self,
        script: Sequence[Line],
        fates: dict[int, str],
        metrics: Metrics,
        design: Design = AS_BUILT,
    ) -> None:
        self.passed = self.disturbed = 0
        self.struck: set[int] = set()
        self._fates = fates
        self._zombies: list[Lane] = []
        super().__init__(list(script), Tape(b""), metrics, design)

    def play(self) -> None:
        """From upstream's first line to the end.

        Raises:
            BrokenError: the promise was.
        """
        with suppress(StoppedError), judged():
            self._play()

    def _play(self) -> None:
        while self._worker().state is not State.WORKING:
            self._round()
        while not self.all_published:
            self.say_next()
            self._round()
        for _ in range(self.last_rounds):
            self._round()
        self._fates, self.disturbed = {}, self.passed
        for zombie in self._zombies:
            self._wake(zombie)
        self.close(self._worker())

    def strike(self, process: int, moment: str) -> None:
        """See ``World.strike``."""
        self.passed += 1
        fate = self._fates.get(self.passed)
        if fate is None:
            return
        self.say(process, f"is {fate} at {moment}")
        lane = next(lane for lane in self.lanes if lane.process == process)
        if fate == REFUSED:
            self.struck.add(self.passed)
            raise StorageUnavailable(moment)
        self._befall(lane, fate)
        if not lane.alive:
            raise Killed

    def _befall(self, lane: Lane, fate: str) -> None:
        self.struck.add(self.passed)
        if fate == KILLED:
            self.kill(lane)
        elif fate == CRASHED:
            self.crash()
        elif fate == OVERTAKEN:
            self._overtake(lane)

    def _overtake(self, lane: Lane) -> None:
        """Another process goes on where it is, while it hangs in a call or between two steps."""
        busy, lane.busy = lane.busy, True
        self._zombies.append(lane)
        self.start_lane()
        self.depth += 1
        for _ in range(_OVERTAKING_ROUNDS):
            self._round()
        self.depth -= 1
        lane.busy = busy

    def _round(self) -> None:
        lane = self._worker()
        lane.requests.fetch(ALL)
        lane.records.fetch(ALL)
        for act in (self._step, self._transact, self._transact):
            self._between(lane)
            if not lane.alive:
                return
            act(lane)

    def _between(self, lane: Lane) -> None:
        self.passed += 1
        fate = self._fates.get(self.passed)
        if fate and fate != REFUSED:
            self.say(lane.process, f"is {fate} before its next step")
            self._befall(lane, fate)

    def _step(self, lane: Lane) -> None:
        self.say(lane.process, lane.state.name)
        lane.step(self.tape)

    def _transact(self, lane: Lane) -> None:
        lane.transact(self.tape)

    def _worker(self) -> Lane:
        """The newest process, or a new one."""
        alive = [lane for lane in self.lanes if lane.alive and lane not in self._zombies]
        return alive[-1] if alive else self.start_lane()

    def _wake(self, zombie: Lane) -> None:
        """It goes on as if nothing had happened, and at last learns that it lost the partition."""
        for _ in range(_ZOMBIE_ROUNDS):
            self.work(zombie)
        zombie.close()
        zombie.step(self.tape)
        if zombie.alive:
            raise Violation("a lane that was dropped goes on")


class Deaths(Moments):
    """A process is killed at the n-th moment of a name, the next one at another, and so on.

    ``ahead`` are the deaths that have not come.
    """

    last_rounds = 60

    def __init__(
        self,
        script: Sequence[Line],
        ahead: Sequence[tuple[str, int]],
        metrics: Metrics,
        design: Design = AS_BUILT,
    ) -> None:
        self.ahead = list(ahead)
        self._seen = 0
        super().__init__(script, {}, metrics, design)

    def strike(self, process: int, moment: str) -> None:
        """See ``World.strike``."""
        if self.ahead:
            name, number = self.ahead[0]
            self._seen += moment == name
            if self._seen == number:
                del self.ahead[0]
                self._seen, self._fates = 0, {self.passed + 1: KILLED}
        super().strike(process, moment)


def moments_of(script: Sequence[Line], metrics: Metrics) -> int:
    """How many moments an undisturbed run has."""
    world = Moments(script, {}, metrics)
    world.play()
    return world.disturbed
