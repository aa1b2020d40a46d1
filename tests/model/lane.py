"""One process's lane: the real takeover, work and commits, driven by the real machine in steps.

Here is what they await, and who drives them. A step goes to where the real lane awaits something,
which is the end of a state; then anything may happen. Invariant: this file decides nothing that a
lane decides.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

from aiokafka.errors import KafkaError

from consumer.core.budget import TurnBudget
from consumer.core.lane_machine import (
    LANE,
    OF_GROUP,
    Assignment,
    Event,
    LaneMachine,
    State,
    Step,
)
from consumer.errors import LaneStopped, PartLost, PartUnsynced, StorageUnavailable
from consumer.exports.export_context import ExportContext
from consumer.exports.messages import Message, SetAside
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import Checkpoint, TurnResult
from consumer.lanes import commits, work
from consumer.lanes.feed import Held
from consumer.lanes.lane_context import LaneContext, LaneLimits
from consumer.lanes.takeover import Takeover
from tests.model.broker import Broker
from tests.model.client import Client
from tests.model.disk import ProcessMark
from tests.model.feed import ALL, Feed
from tests.model.oracle import Oracle
from tests.model.stepped import Stepped
from tests.model.tape import Tape
from tests.model.upstream import PARTITION
from tests.model.violations import StoppedError, Violation

IDLE_SECONDS = 300.0
_WHOLE = 1e9
# A lane comes to these without awaiting anything, or awaits what takes no time here.
_AT_ONCE = {State.OPENING, State.TURNING, State.WAITING, State.UNLOADING, State.LEAVING}
# What ends these, the group has to allow.
_FOR_THE_GROUP = {state for state, row in LANE.items() if OF_GROUP & row.keys()}

T = TypeVar("T")


class Killed(BaseException):
    """The process dies here; nothing of it runs any more."""


class Exports(PartitionExports):
    """With a moment at which a message is in hand, before it is read."""

    moment: Callable[[Message], None]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        handle = self._routing.handle

        def with_moment(
            message: Message, turn: TurnBudget, *, is_batch: bool, aside: SetAside | None = None
        ) -> bool:
            if not aside:
                self.moment(message)
            return handle(message, turn, is_batch=is_batch, aside=aside)

        vars(self._routing)["handle"] = with_moment


class Commits(commits.Commits):
    """Progress is committed when the tape says so, not every second."""

    def __init__(self, lane: "Lane", exports: PartitionExports) -> None:
        client: Any = lane.client
        metrics, committed = lane.context.export_context.metrics, lane.takeover.committed
        super().__init__(client, client, exports, metrics, committed, lambda: None)
        self._begun_at = math.inf
        self._lane = lane

    def advance(self, *, at_once: bool = False) -> bool:
        return super().advance(at_once=at_once or not self._lane.tape.once_in(3))

    async def wait(self) -> None:
        """The next step looks again."""

    def _start(self, checkpoint: Checkpoint) -> None:
        flight: Any = Stepped(partial(self._commit, checkpoint))
        self._transaction = flight


class Work(work.Work):
    """A turn's worth may be two messages."""

    lane: "Lane"

    def _take(self) -> None:
        most = 2 if self.lane.tape.once_in(4) else ALL
        self.lane.requests.most_taken = self.lane.records.most_taken = most
        super()._take()

    async def _check_idle(self) -> Event:
        event = await super()._check_idle()
        if check := self._idle_check:
            self.lane.oracle.idle_checked(check.records_end, check.active_before)
        return event

    async def _wait(self) -> Event:
        if self.exports.writes_due:
            raise Violation("an export has ended, and no turn writes it out")
        return Event.DONE


class Turns:
    """Turns without slots and threads; the storage may be given up whenever it refuses."""

    wait_seconds = 0.0

    def __init__(self, lane: "Lane", exports: PartitionExports) -> None:
        self._lane = lane
        self._exports = exports

    async def run(self) -> TurnResult:
        lane, tape = self._lane, self._lane.tape
        lane.busy = True
        try:
            result = self._exports.turn(0.0 if tape.once_in(2) else _WHOLE)
            if result.refusal and tape.once_in(8):
                return self._give_up(str(result.refusal)) or result
        except PartUnsynced as error:
            lane.unsynced.add(error.export_id)
            raise
        else:
            return result
        finally:
            lane.busy = False

    def _give_up(self, why: str) -> TurnResult | None:
        handled, oracle = self._exports.next_offsets[1], self._lane.oracle
        oracle.storage_given_up = True
        given_up = self._exports.give_up(why)
        if self._exports.next_offsets[1] > handled:
            oracle.batch_given_up(handled, self._exports.next_offsets[1])
        return given_up


@dataclass(frozen=True)
class _Context(LaneContext):
    async def in_thread(self, call: Callable[[], T]) -> T:
        return call()


class Lane:
    """One process's lane of the partition; ``process`` is its number.

    ``moment`` hears of each message that the lane has in hand, and says what befalls it then.
    """

    table = LANE
    machine_type: type[LaneMachine] = LaneMachine
    client_type: type[Client] = Client
    takeover_type: type[Takeover] = Takeover
    exports_type: type[Exports] = Exports
    commits_type: type[Commits] = Commits
    work_type: type[Work] = Work

    def __init__(
        self,
        process: int,
        broker: Broker,
        context: ExportContext,
        oracle: Oracle,
        max_open: int,
        most_open: int,
        moment: "Moment",
    ) -> None:
        self.process = process
        self.in_hand: tuple[str, int] | None = None
        self.marked: Sequence[tuple[str, int]] = ()
        self.busy = False
        self.dropped = False
        self.killed = False
        self.unsynced: set[str] = set()
        self.machine = self.machine_type(self.table)
        self.tape = Tape(b"")
        self.client = client = self.client_type(broker, lambda: self.tape)
        self.requests, self.records = Feed(broker.requests), Feed(broker.records)
        self.oracle = oracle
        limits = LaneLimits(max_open, IDLE_SECONDS, 0.0)
        beside: Any = None  # consumer, destination, slots, threads: of asyncio's side
        kafka: Any = client
        self.context = _Context(
            beside, kafka, kafka, beside, context, beside, beside, limits, Held()
        )
        self.takeover: Takeover
        self.work: Work | None = None
        self._max_open = max_open
        self._most_open = most_open
        self._moment = moment
        self._performing: Stepped[Event] | None = None
        self._steps: dict[State, Step] = {
            State.HELD: self._begin,
            State.OPENING: self._open,
            State.UNLOADING: self._unload,
            State.LEAVING: self._unload,
        }

    @property
    def state(self) -> State:
        """What it does now."""
        return self.machine.state

    @property
    def epoch(self) -> int:
        """Of its producer."""
        return self.client.epoch

    @property
    def alive(self) -> bool:
        """Whether its process runs and has not given the partition up."""
        return not self.killed and self.state is not State.GONE

    @property
    def waiting(self) -> bool:
        """Whether it does nothing before it knows how a rebalance ended."""
        return self.machine.assignment is Assignment.REVOKED and self.state in _FOR_THE_GROUP

    @property
    def open_count(self) -> int:
        """Exports accepted and unfinished."""
        return self.work.exports.open_count if self.work else 0

    @property
    def at_rest(self) -> bool:
        """Whether nothing is left to do, unless something comes or time passes."""
        if self.state is not State.WORKING or self.work is None:
            return False
        exports, commits_ = self.work.exports, self.work.commits
        if commits_._transaction or exports.runnable or self.work._idle_check:
            return False
        waiting = self.requests and exports.open_count >= self._max_open
        if exports.restoring or (self.requests and not waiting):
            return False
        requests_end = exports.next_offsets[0] if waiting else self.requests.log.end
        caught_up = exports.next_offsets == (requests_end, self.records.log.end)
        return caught_up and exports.resume_point() == commits_._committed

    def step(self, tape: Tape) -> None:
        """What the lane's task does next, up to its next await.

        Raises:
            Violation, StoppedError: it stopped, or failed in a way that nobody foresaw.
        """
        self.tape = tape
        if self.alive and not self.waiting:
            if self.state is State.HELD:
                self._perform()
            self._perform()
            while self.alive and self.state in _AT_ONCE:
                self._perform()
        if self.dropped and not self.busy and self.alive:
            self._performing = None
            self.machine.on(Event.LOST)
            while self.alive:
                self._perform()

    def transact(self, tape: Tape) -> None:
        """The transaction on its way goes one request further."""
        self.tape = tape
        flight: Any = self.work.commits._transaction if self.work else None
        if self.state is State.COMMITTING_DEATHS:
            flight = self._performing
        if flight and not flight.done():
            flight.step()

    # What the group calls.

    def quiesce(self) -> None:
        """A rebalance begins."""
        self.machine.on(Event.REVOKED)

    def resume(self) -> None:
        """The partition was kept."""
        self.machine.on(Event.KEPT)

    def abandon(self) -> None:
        """The revoke's deadline has passed."""
        if self.work:
            self.work.exports.abandon()

    def close(self) -> None:
        """The partition is lost: it ends when its turn has."""
        self.abandon()
        self.dropped = True

    def die(self) -> None:
        """The process is killed: nothing is removed, nothing is closed."""
        self.killed = True
        self.work = self._performing = None

    # The lane's own task.

    def _perform(self) -> None:
        try:
            event = self._performed()
            if event and self.alive:
                self.machine.on(event)
        except Killed:
            self.die()
        except (PartLost, StorageUnavailable, KafkaError):
            self._performing = None
            self.machine.on(Event.FAILED)
        except LaneStopped as error:
            stopped = StoppedError if self.oracle.contested else Violation
            raise stopped(str(error)) from error
        except Exception as error:
            raise Violation(f"a lane ends by {type(error).__name__}: {error}") from error

    def _performed(self) -> Event | None:
        """What came of the state; None: it awaits Kafka."""
        if self._performing is None:
            if self.state is State.READING_MARKS:
                self.oracle.deaths.counted(self)
            self._performing = Stepped(self._steps[self.state])
            self._performing.step()
        if not self._performing.done():
            return None
        ended, self._performing = self._performing, None
        return ended.result()

    async def _begin(self) -> Event:
        producer: Any = self.client
        self.takeover = self.takeover_type(PARTITION, producer, self.context)
        self._steps |= self.takeover.steps
        return Event.BEGIN

    async def _open(self) -> Event:
        given_up = frozenset(self.unsynced if self.tape.once_in(2) else ())
        if given_up:
            self.oracle.storage_given_up = True
        exports = self.exports_type(
            PARTITION, self.takeover.point, self.context.export_context, given_up
        )
        mark: Any = exports.in_hand._mark
        exports.moment = partial(self._have_in_hand, mark)
        exports._exports.most_open = self._most_open  # a thousand would take too long
        turns: Any = Turns(self, exports)
        self.work = self.work_type(
            self.machine,
            asyncio.Event(),
            (self.requests, self.records),
            exports,
            turns,
            self.commits_type(self, exports),
            self.context,
        )
        self.work.lane, self.work.most_open = self, self._most_open
        self._steps |= self.work.steps
        return Event.DONE

    async def _unload(self) -> Event:
        self.client.forget()
        self.requests.stop()
        self.records.stop()
        work_, self.work = self.work, None
        if work_:
            work_.exports.discard()
        return Event.UNLOADED

    def _have_in_hand(self, mark: ProcessMark, message: Message) -> None:
        self.in_hand = message.topic, message.offset
        self.marked = [(message.topic, place.offset) for place in mark.places]
        self._moment(self)
        self.in_hand = None


Moment: TypeAlias = Callable[[Lane], None]
