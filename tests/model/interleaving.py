"""Runs by chance: everything that can happen, in any order, at any moment.

Processes start, die, lose the partition with or without notice, rest, go on and reload; the disk
refuses, the machine crashes; the coordinator answers late or never; upstream holds requests back.
While one process is inside a call of the storage the others go on. When the tape is spent the
faults end.
"""

from contextlib import suppress

from consumer.core.lane_machine import State
from consumer.core.resume import METADATA_LIMIT
from consumer.errors import StorageUnavailable
from consumer.metrics import Metrics
from tests.model.feed import ALL
from tests.model.lane import Killed, Lane
from tests.model.tape import Tape, shortest
from tests.model.upstream import script
from tests.model.violations import StoppedError, Violation, judged
from tests.model.world import AS_BUILT, UNLIMITED, Design, Limits, World

_MOST_LANES = 3
_DEEPEST = 2
# Between the decision and the file's name, and between both and the event.
_CRUCIAL = {"linked", "rename", "renamed", "settle"}
_LIMITS = (
    UNLIMITED,
    Limits(open_exports=2, most_open=3),
    Limits(open_exports=1, most_open=2),
    Limits(export_bytes=14),
    Limits(open_exports=1, most_open=1),
    Limits(most_characters=0),
)


class Interleaving(World):
    """A world whose tape says what happens next."""

    def __init__(self, tape: Tape, metrics: Metrics, design: Design = AS_BUILT) -> None:
        limits = _LIMITS[tape.pick(len(_LIMITS))]
        self._survivor = tape.pick(3)
        # Where first batches don't fit a commit, orphans can't be distinguished from them.
        in_order = limits.most_characters < METADATA_LIMIT
        super().__init__(script(tape, in_order=in_order), tape, metrics, design, limits)

    def step(self) -> None:
        """Something happens."""
        _ACTIONS[self.tape.pick(len(_ACTIONS))](self)

    def lane_step(self) -> None:
        """One of the processes does something."""
        lane = self._some_lane()
        if lane is None:
            self.start_lane()
            return
        choice = self.tape.pick(10)
        if lane.waiting:
            self._end_rebalance(lane, kept=choice < 7)
        elif choice < 2:
            feed = (lane.requests, lane.records)[choice]
            feed.fetch(1 + self.tape.pick(3))
        elif choice == 2:
            lane.transact(self.tape)
        else:
            if choice > 5:  # as if nothing took time but turns; either feed may be ahead
                self._fetch(lane, choice)
                lane.transact(self.tape)
            self._go_on(lane, 4 if choice > 5 else 1)

    def upstream_step(self) -> None:
        """Upstream says something."""
        for _ in range(1 + self.tape.pick(4)):
            self.say_next()

    def broker_step(self) -> None:
        """The coordinator does what nobody waits for."""
        choice = self.tape.pick(3)
        self.say(
            0, ("markers are written", "a transaction times out", "a late end arrives")[choice]
        )
        (self.broker.complete, self.broker.time_out, self.broker.deliver_late)[choice]()

    def group_step(self) -> None:
        """A rebalance begins for one of the lanes, or its deadline passes."""
        lane = self._some_lane()
        if lane:
            choice = self.tape.pick(4)
            self.say(lane.process, ("rests", "rests", "is abandoned", "is dropped")[choice])
            (lane.quiesce, lane.quiesce, lane.abandon, lane.close)[choice]()

    def another_lane(self) -> None:
        """The partition goes to a new process."""
        if len(self.lanes) < _MOST_LANES:
            self.start_lane()

    def kill_step(self) -> None:
        """A process is killed."""
        lane = self._some_lane()
        if lane:
            self.kill(lane)

    def crash_step(self) -> None:
        """The machine dies, now and then."""
        if self.tape.once_in(3):
            self.crash()

    def elsewhere_step(self) -> None:
        """An id is used in another partition too, now and then."""
        if self.tape.once_in(3):
            self.decide_elsewhere("abc"[self.tape.pick(3)])

    def commits_step(self) -> None:
        """Kafka loses commits, seldom."""
        if self.tape.once_in(8):
            self.say(0, "commits are lost")
            self.oracle.went_back(self.broker.go_back(1 + self.tape.pick(6)))

    def settle_down(self) -> None:
        """The faults end: one lane is left, or none and a new one starts. Raises Violation."""
        self.say(0, "the faults end")
        alive = [lane for lane in self.lanes if lane.alive]
        survives = bool(alive) and self._survivor > 0 and not alive[-1].dropped
        survivor = alive.pop() if survives else None
        for lane in alive:
            if self._survivor == 1:
                lane.close()
                lane.step(self.tape)
            else:
                lane.die()
        self.close(survivor or self.start_lane())

    def strike(self, process: int, moment: str) -> None:
        """See ``World.strike``: death, a refusal, or the others go on meanwhile."""
        if not self.tape.once_in(3 if moment in _CRUCIAL else 10):
            return
        lane = next(lane for lane in self.lanes if lane.process == process)
        choice = self.tape.pick(8)
        if choice == 7:
            self.say(process, f"is killed at {moment}")
            self.kill(lane)
        elif choice > 3:
            self.say(process, f"is refused at {moment}")
            raise StorageUnavailable(moment)
        elif self.depth < _DEEPEST:
            self.say(process, f"takes its time at {moment}")
            self._others_go_on(lane, 1 + self.tape.pick(8))
        if not lane.alive:
            raise Killed

    def _others_go_on(self, lane: Lane, steps: int) -> None:
        busy, lane.busy = lane.busy, True
        self.depth += 1
        for _ in range(steps):
            self.step()
        self.depth -= 1
        lane.busy = busy

    def _end_rebalance(self, lane: Lane, *, kept: bool) -> None:
        self.say(lane.process, "keeps the partition" if kept else "loses the partition")
        if kept:
            lane.resume()
        else:
            lane.close()

    def _fetch(self, lane: Lane, choice: int) -> None:
        if choice != 6:
            lane.requests.fetch(ALL)
        if choice != 7:
            lane.records.fetch(ALL)

    def _go_on(self, lane: Lane, steps: int) -> None:
        """The lane's own task goes on, at most as far as it works."""
        for _ in range(steps):
            if lane.busy or lane.waiting or not lane.alive:
                return
            self.say(lane.process, lane.state.name)
            lane.step(self.tape)
            if lane.state is State.WORKING:
                return

    def _some_lane(self) -> Lane | None:
        while self.lanes:
            lane = self.lanes[self.tape.pick(len(self.lanes))]
            if lane.alive:
                return lane
            self.lanes.remove(lane)
        return None


_ACTIONS = (
    *[Interleaving.lane_step] * 40,
    *[Interleaving.upstream_step] * 4,
    *[Interleaving.broker_step] * 2,
    *[Interleaving.group_step] * 2,
    Interleaving.pass_time,
    Interleaving.another_lane,
    Interleaving.kill_step,
    Interleaving.crash_step,
    Interleaving.elsewhere_step,
    Interleaving.commits_step,
)


def run(choices: bytes, metrics: Metrics, design: Design = AS_BUILT) -> Interleaving:
    """One run.

    Raises:
        BrokenError: the promise was.
    """
    world = Interleaving(Tape(choices), metrics, design)
    with judged():
        _play(world)
    return world


def story(choices: bytes, metrics: Metrics, design: Design = AS_BUILT) -> str:
    """What happens in the shortest run that breaks the promise in some way, as this one does."""
    broken, trace = _outcome(choices, metrics, design)
    if broken:
        choices = shortest(choices, lambda tape: bool(_outcome(tape, metrics, design)[0]))
        broken, trace = _outcome(choices, metrics, design)
    return "\n".join([*trace, broken, f"tape: {choices!r}"])


def _outcome(choices: bytes, metrics: Metrics, design: Design) -> tuple[str, list[str]]:
    """What is broken in a run, and what happens in it."""
    world = Interleaving(Tape(choices), metrics, design)
    world.trace = []
    try:
        _play(world)
    except Violation as violation:
        return f"Violation: {violation}", world.trace
    return "", world.trace


def _play(world: Interleaving) -> None:
    with suppress(StoppedError):
        while not world.tape.spent:
            world.step()
        world.settle_down()
