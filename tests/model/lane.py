"""A lane in explicit steps: ``consumer.lanes.lane``, ``commits`` and ``turns`` without asyncio.

Each await of the real lane is the end of a step here, so that anything may happen in between:

    STARTING     start the producer
    READING      read what is committed
    SWEEPING     sweep
    COUNTING     read the marks of former owners
    CONDEMNING   commit what they died on
    UNMARKING    remove the marks; make the real PartitionExports
    SEATING      wait to be told to go, seat the feeds
    WORKING      take, turn, commit; fetches and the transaction go on beside it
    LOOKING      the idle watch awaits the end of the records
    ASKING       the owner search awaits the end of the requests
    KEEPING      an orphan's verdict: commit it
    FINISHING    rest asked: commit all there is
    RESTING      wait to be told to go on, seat the feeds
    GONE         dropped, or the process died

Invariant: this file decides nothing that the real lane decides otherwise.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from aiokafka.errors import KafkaError

from consumer.core.admission_limit import admission_limit
from consumer.core.budget import TurnBudget
from consumer.core.resume import ResumePoint
from consumer.core.suspects import Mark
from consumer.errors import LaneStopped, PartLost, PartUnsynced, StorageUnavailable
from consumer.exports.export_context import ExportContext
from consumer.exports.messages import Message, Outcome, SetAside
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd, TurnResult
from tests.model.broker import Broker, InFlight
from tests.model.feed import ALL, Feed
from tests.model.oracle import Oracle, StoppedError, Violation
from tests.model.tape import Tape
from tests.model.upstream import PARTITION, Sent

IDLE_SECONDS = 300.0
_WHOLE = 1e9

# Each phase is the name of the method that is its next step.
STARTING, READING, SWEEPING, SEATING = "_start", "_read", "_sweep", "_seat_when_told"
COUNTING, CONDEMNING, UNMARKING = "_count_deaths", "_commit_deaths", "_remove_marks"
WORKING, LOOKING, ASKING, KEEPING = "_loop", "_look", "_ask_end", "_keep"
FINISHING, RESTING, GONE = "_finish", "_rest_until_told", "_gone"


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


class Lane:
    """One process's lane of the partition; ``process`` is its number.

    ``moment`` hears of each message that the lane has in hand, and says what befalls it then.
    """

    exports_type: type[Exports] = Exports

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
        self.phase = STARTING
        self.busy = False
        self.rest_asked = False
        self.go = True
        self.dropped = False
        self.killed = False
        self.transaction: InFlight | None = None
        self.exports: PartitionExports | None = None
        self.requests = Feed(broker.requests)
        self.records = Feed(broker.records)
        self._broker = broker
        self._context = context
        self._oracle = oracle
        self._max_open = max_open
        self._most_open = most_open
        self._moment = moment
        self._marks: list[Mark] = []
        self.epoch = 0
        self._point = ResumePoint(0, (), 0, 0)
        self._committed: ResumePoint | None = None
        self._search: tuple[int, int] | None = None
        self._idle_look: tuple[int, float] | None = None
        self._result: TurnResult | None = None
        self._below = 0
        self._active_before = 0.0
        self._unsynced: set[str] = set()

    @property
    def alive(self) -> bool:
        """Whether its process runs and has not given the partition up."""
        return self.phase != GONE

    @property
    def waiting(self) -> bool:
        """Whether it does nothing before it is told how a rebalance ended."""
        return not self.go and self.phase in (STARTING, SEATING, RESTING)

    @property
    def open_count(self) -> int:
        """Exports accepted and unfinished."""
        return self.exports.open_count if self.exports else 0

    @property
    def at_rest(self) -> bool:
        """Whether nothing is left to do, unless something comes or time passes."""
        exports = self.exports
        if self.phase != WORKING or exports is None or self.transaction or exports.runnable:
            return False
        if self._idle_look:
            return False
        waiting = self.requests.messages and exports.open_count >= self._max_open
        if exports.restoring or (self.requests.messages and not waiting):
            return False
        requests_end = exports.next_offsets[0] if waiting else self.requests.log.end
        caught_up = exports.next_offsets == (requests_end, self.records.log.end)
        return caught_up and exports.resume_point() == self._committed

    def step(self, tape: Tape) -> None:
        """What the lane's task does next, up to its next await.

        Raises:
            Violation, StoppedError: it stopped, or failed in a way that nobody foresaw.
        """
        try:
            getattr(self, self.phase)(tape)
        except Killed:
            self.die()
        except (PartLost, StorageUnavailable, KafkaError):
            self._unload(tape)
            if self.alive:
                self.phase = STARTING
        except LaneStopped as error:
            stopped = StoppedError if self._oracle.contested else Violation
            raise stopped(str(error)) from error
        except Exception as error:
            raise Violation(f"a lane ends by {type(error).__name__}: {error}") from error
        if self.dropped and not self.busy and self.alive:
            self._unload(tape)
            self.phase = GONE

    # What the group tells.

    def rest(self) -> None:
        """A rebalance begins."""
        self.go = False
        self.rest_asked = True

    def go_on(self) -> None:
        """The partition was kept."""
        self.go = True

    def abandon(self) -> None:
        """The revoke's deadline has passed."""
        if self.exports:
            self.exports.abandon()

    def drop(self) -> None:
        """The partition is lost: it ends when its turn has."""
        self.abandon()
        self.dropped = True

    def die(self) -> None:
        """The process is killed: nothing is removed, nothing is closed."""
        self.killed = True
        self.phase = GONE
        self.exports = None

    # Beside the lane's own task.

    def transact(self, tape: Tape) -> None:
        """The transaction on its way goes one request further."""
        flight = self.transaction
        if flight is None or flight.done:
            return
        try:
            if not flight.asked:
                self._leave_out_said(flight)
            elif not flight.sent:
                self._broker.send(self.epoch, flight.outcome, flight.point)
                flight.sent = True
            else:
                self._end(flight, tape.pick(16))
        except KafkaError as error:
            flight.done, flight.error = True, error

    def _leave_out_said(self, flight: InFlight) -> None:
        """Of what had a manifest before; an open transaction is another partition's."""
        outcome, said = flight.outcome, self._broker.said
        outcome.events = [
            event
            for event in outcome.events
            if event.export_id not in outcome.maybe_published or event.event_id not in said
        ]
        flight.asked = True

    def _end(self, flight: InFlight, fate: int) -> None:
        if fate < 14:
            self._broker.end(self.epoch)
        if fate < 10:
            self._broker.complete()  # else the markers are written later
        if fate > 12:  # the answer, or the request, is lost
            flight.error = KafkaError("timed out")
        if fate > 14:  # it arrives when nobody waits for it any more
            self._broker.late.append(self.epoch)
        flight.done = True

    def forget_transaction(self, tape: Tape) -> None:
        """Nobody waits for it any more; its last request may still be on its way."""
        flight, self.transaction = self.transaction, None
        if flight and flight.sent and not flight.done and tape.once_in(2):
            self._broker.late.append(self.epoch)

    # Load.

    def _gone(self, _: Tape) -> None: ...

    def _start(self, _: Tape) -> None:
        if self.go:
            self.epoch = self._broker.start_producer()
            self.phase = READING

    def _read(self, _: Tape) -> None:
        self._point = self._committed = self._broker.committed()
        self.phase = SWEEPING

    def _sweep(self, _: Tape) -> None:
        self._context.storage.sweep(PARTITION)
        self.phase = COUNTING

    def _count_deaths(self, _: Tape) -> None:
        self._oracle.deaths_counted(self)
        self._marks = self._context.storage.left_marks(PARTITION)
        self.phase = UNMARKING
        if self._marks:
            self.transaction = InFlight(Outcome(), self._point.suspecting(self._marks))
            self.phase = CONDEMNING

    def _commit_deaths(self, _: Tape) -> None:
        flight = self.transaction
        if flight and flight.done:
            self.transaction = None
            if flight.error:
                raise flight.error
            self._point = self._committed = flight.point
            self.phase = UNMARKING

    def _remove_marks(self, tape: Tape) -> None:
        self._context.storage.remove_marks(PARTITION, self._marks)
        given_up = frozenset(self._unsynced if tape.once_in(2) else ())
        if given_up:
            self._oracle.storage_given_up = True
        self.exports = self.exports_type(PARTITION, self._point, self._context, given_up)
        self.exports.moment = self._have_in_hand
        self.exports._exports.most_open = self._most_open  # a thousand would take too long
        self._search = self._idle_look = None
        self.phase = SEATING

    def _have_in_hand(self, message: Message) -> None:
        self.in_hand = message.topic, message.offset
        self._moment(self)
        self.in_hand = None

    def _seat_when_told(self, _: Tape) -> None:
        if self.go:
            self.rest_asked = False
            point = self._point
            first = min((point.requests_position, *point.open_requests))
            self._seat(first, point.records_resume)

    def _seat(self, requests_offset: int, records_offset: int) -> None:
        self.requests.start_at(requests_offset)
        self.records.start_at(records_offset)
        self.phase = WORKING

    def _unload(self, tape: Tape) -> None:
        self.forget_transaction(tape)
        exports, self.exports = self.exports, None
        if exports:
            try:
                exports.discard()
            except Killed:
                self.die()

    # Work.

    def _loop(self, tape: Tape) -> None:
        exports = self._owned()
        if self.rest_asked:
            if not exports.settled:
                raise PartLost("a rebalance came while the storage refused")
            self.phase = FINISHING
            return
        self._take(exports, 2 if tape.once_in(4) else ALL)
        if self._expire_idle(exports):
            self._go_on(exports, tape)

    def _go_on(self, exports: PartitionExports, tape: Tape) -> None:
        if not self._can_turn(exports):
            if exports.writes_due:
                raise Violation("an export has ended, and no turn writes it out")
            self._advance(exports, at_once=not tape.once_in(3))
            return
        self._result = result = self._turn(exports, tape)
        if result.owner_found:
            self._search = None
        if result.end is TurnEnd.OWNER_UNKNOWN and self._search is None:
            self._below = self.records.position
            self.phase = ASKING
        else:
            self._keep_verdict(exports, result, tape)

    def _take(self, exports: PartitionExports, count: int) -> None:
        """At most ``count`` messages of each feed make a turn's worth."""
        if not exports.pending_requests:
            exports.take_requests(self._taken_requests(exports, count))
        if not exports.pending_records:
            exports.take_records(self.records.take(count))
        exports.advance(
            0 if self.requests.messages else self.requests.position,
            0 if self.records.messages else self.records.position,
        )

    def _taken_requests(self, exports: PartitionExports, count: int) -> list[Sent]:
        allowed = admission_limit(
            max_open=self._max_open,
            open_count=exports.open_count,
            searching=self._search is not None and not exports.batches_next,
            restored_below=exports.next_offsets[0] if exports.restoring else None,
            most_open=self._most_open,
        )
        return self.requests.take(count, allowed.most, allowed.free_below)

    def _can_turn(self, exports: PartitionExports) -> bool:
        if self._search is None:
            return exports.runnable
        requests_end, records_below = self._search
        if exports.next_offsets[0] >= requests_end:
            exports.owners_known(records_below)
            self._search = None
            return True
        return exports.writes_due or exports.pending_requests or exports.batches_next

    def _turn(self, exports: PartitionExports, tape: Tape) -> TurnResult:
        self.busy = True
        try:
            result = exports.turn(0.0 if tape.once_in(2) else _WHOLE)
            if result.refusal and tape.once_in(8):
                return self._give_up(exports, str(result.refusal)) or result
        except PartUnsynced as error:
            self._unsynced.add(error.export_id)
            raise
        else:
            return result
        finally:
            self.busy = False

    def _give_up(self, exports: PartitionExports, why: str) -> TurnResult | None:
        handled = exports.next_offsets[1]
        self._oracle.storage_given_up = True
        given_up = exports.give_up(why)
        if exports.next_offsets[1] > handled:
            self._oracle.batch_given_up(handled, exports.next_offsets[1])
        return given_up

    def _ask_end(self, tape: Tape) -> None:
        self._search = (self._broker.requests.end, self._below)
        self.phase = WORKING
        if self._result:
            self._keep_verdict(self._owned(), self._result, tape)

    def _keep_verdict(self, exports: PartitionExports, result: TurnResult, tape: Tape) -> None:
        if result.orphan_pending:
            self.phase = KEEPING
        else:
            self._advance(exports, at_once=not tape.once_in(3))

    def _keep(self, _: Tape) -> None:
        if self._all_committed():
            self._owned().orphan_committed()
            self.phase = WORKING

    def _all_committed(self) -> bool:
        """Whether nothing is left to commit; begins to commit what is."""
        if self.transaction is None or self.transaction.done:
            self._advance(self._owned(), at_once=True)
        return self.transaction is None

    def _advance(self, exports: PartitionExports, *, at_once: bool) -> None:
        flight = self.transaction
        if flight and flight.done:
            self.transaction = None
            if flight.error:
                raise flight.error
            self._committed = flight.point
        if self.transaction is None:
            checkpoint = exports.take_checkpoint(self._committed, progress=at_once)
            if checkpoint:
                self.transaction = InFlight(checkpoint.outcome, checkpoint.point)

    def _expire_idle(self, exports: PartitionExports) -> bool:
        """Fail what is idle, or begin to find out: False then."""
        now, since = self._context.monotonic(), exports.idle_since()
        if self._idle_look is None:
            if since is None or now - since < IDLE_SECONDS:
                return True
            self._active_before = now - IDLE_SECONDS
            self.phase = LOOKING
            return False
        if self._looked(exports, self._idle_look[0]):
            look, self._idle_look = self._idle_look, None
            self._oracle.idle_checked(*look)
            exports.expire(look[1])
        return True

    def _looked(self, exports: PartitionExports, records_end: int) -> bool:
        return exports.next_offsets[1] >= records_end

    def _look(self, tape: Tape) -> None:
        self._idle_look = (self._broker.records.end, self._active_before)
        self.phase = WORKING
        self._go_on(self._owned(), tape)

    # Rest.

    def _finish(self, _: Tape) -> None:
        if self._all_committed():
            self._owned().drop_pending()
            self._search = None
            self.phase = RESTING

    def _rest_until_told(self, _: Tape) -> None:
        if not self.go:
            return
        self.rest_asked = False
        exports = self._owned()
        if exports.restoring:
            raise PartLost("a rebalance came before open requests were read")
        self._seat(*exports.next_offsets)

    def _owned(self) -> PartitionExports:
        assert self.exports is not None, "a lane that works has its exports"
        return self.exports


Moment: TypeAlias = Callable[[Lane], None]
