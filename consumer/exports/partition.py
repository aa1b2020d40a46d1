"""One partition's exports as a lane sees them: messages in, turns, an outcome and a resume point.

Blocking code: one thread at a time runs ``turn``; nothing else is called meanwhile but ``abandon``
and ``progress``. A turn is of requests or of batches, so that it goes to whom it was claimed for.
Requests come first, so that a batch finds its owner, but let waiting batches have every other turn.
A turn may end within a batch: its message isn't handled yet, and the next turn of batches goes on.
Invariant: a ``Checkpoint``'s resume point covers exactly what this and earlier outcomes contain.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import structlog

from consumer.core.budget import TURN_BYTES, TURN_SECONDS, TurnBudget
from consumer.core.fair_queue import Claim
from consumer.core.resume import ResumePoint
from consumer.core.second_attempts import SecondAttempts
from consumer.core.suspects import MOST_MARKED, MessagePlace, Suspect, Suspects
from consumer.errors import StorageUnavailable
from consumer.exports.ending import log_end
from consumer.exports.ends_apart import ends_apart
from consumer.exports.export_context import ExportContext
from consumer.exports.marked_storage import MarkedStorage
from consumer.exports.messages import LargeMessage, Message, Outcome, SetAside, value_bytes
from consumer.exports.open_exports import OpenExports
from consumer.exports.publication import Publication
from consumer.exports.routing import Routing
from consumer.exports.terminal_events import broke_twice, died_on_twice
from consumer.exports.turn_result import Checkpoint, TurnEnd, TurnResult
from schemas.completions import TerminalEvent
from schemas.vocabulary import FailReason

log = structlog.get_logger(__name__)

_REQUESTS = Claim(None, 9)
_UNOWNED = Claim(None, 5)


class PartitionExports:
    """See the module.

    ``point`` is where the partition's last owner left off. Exports ``given_up`` fail at once, as
    the storage could not take their files. Messages that our code ``breaks_on``, and how, are set
    aside. ``moved`` is called, from any thread, when ends that were begun apart may be collected.
    Without ``second_attempts`` there are none.
    """

    def __init__(
        self,
        partition: int,
        point: ResumePoint,
        context: ExportContext,
        given_up: frozenset[str] = frozenset(),
        breaks_on: Mapping[MessagePlace, str] = MappingProxyType({}),
        moved: Callable[[], None] = lambda: None,
        second_attempts: SecondAttempts | None = None,
    ) -> None:
        self.partition = partition
        self.in_hand = context.in_hand.begin(partition, context.storage.open_mark(partition))
        """What it works on now; any thread may look."""
        # Without a mark: a call outside of turns must not look like a turn that hangs.
        apart = ends_apart(partition, context, moved)
        context = replace(context, storage=MarkedStorage(context.storage, self.in_hand))
        self._context = context
        self.publication = Publication(context.storage, apart)
        """What is on its way to the storage."""
        self._exports = OpenExports(partition, context, self.publication, second_attempts)
        shared = context, self._exports, self.publication
        self._routing = Routing(partition, point, *shared, given_up)
        self._first_batches = dict(point.first_batches)
        self._suspects = Suspects(point.suspects)
        self._breaks_on = breaks_on
        self._events: list[TerminalEvent] = []
        self._requests: deque[Message] = deque()
        self._records: deque[Message] = deque()
        self._batches_next = False
        self._began_at = point.records_resume
        """The next record when the last turn began."""

    # State, read by the lane between turns.

    @property
    def open_count(self) -> int:
        """Exports accepted and unfinished, those to be restored included."""
        return len(self._exports) + len(self._routing.requests.to_restore)

    @property
    def restoring(self) -> bool:
        """Whether requests that the last owner had open are still to be read."""
        return bool(self._routing.requests.to_restore)

    @property
    def pending_requests(self) -> bool:
        """Whether requests were taken that no turn has handled."""
        return bool(self._requests)

    @property
    def pending_records(self) -> bool:
        """Whether batches were taken that no turn has handled."""
        return bool(self._records)

    @property
    def batches_next(self) -> bool:
        """Whether requests were handled since batches that wait had a turn."""
        return self._batches_next

    @property
    def runnable(self) -> bool:
        """Whether a turn could do something."""
        return self.publication.due or (self.settled and bool(self._queue()))

    @property
    def claim(self) -> Claim:
        """For whom the next turn would be, by the key of its first batch.

        Requests are unowned until they are read, and go before other unowned work: a turn of them
        is short. Batches without an open export are unowned, too, and what the storage refused.
        """
        queue = self._queue()
        if queue is self._requests:
            return _REQUESTS
        key = queue[0].key if queue else None
        export = self._exports.get((key or b"").decode(errors="replace"))
        return Claim(export.request.user, export.request.priority) if export else _UNOWNED

    @property
    def writes_due(self) -> bool:
        """Whether a turn would begin with what the storage did not take before."""
        return self.publication.writes_due

    @property
    def settled(self) -> bool:
        """Whether no end of an export waits for the storage; only then there is a resume point."""
        return self.publication.settled

    @property
    def outcome_full(self) -> bool:
        """Whether dead letters should be committed before there are more, as they are held."""
        return self._routing.dead_letters.held_bytes > TURN_BYTES

    @property
    def next_offsets(self) -> tuple[int, int]:
        """The next offsets to be handled, of requests (once all are restored) and of records."""
        return self._routing.requests.position, self._routing.batches.next_record

    def resume_point(self) -> ResumePoint:
        """What a ``Checkpoint`` would hold, if it is settled.

        In the middle of a replay too: what is still to be restored is open, and the next owner
        replays from the earliest batch that it needs.
        """
        requests, batches = self._routing.requests, self._routing.batches
        open_requests = tuple(sorted((*requests.to_restore, *self._exports.open_requests())))
        known = self._first_batches | dict(self._exports.first_batches())
        firsts = tuple((request, known[request]) for request in open_requests if request in known)
        point = ResumePoint(
            requests.position,
            open_requests,
            # R: an export that isn't begun needs nothing below the next record.
            min((batches.next_record, *(first for _, first in firsts))),
            # P never goes back: what lies below the floor was handled, however far the replay is.
            max(batches.floor, batches.next_record),
            firsts,
        )
        suspects = self._suspects.keep(point.will_read)
        return replace(point, suspects=suspects) if suspects else point

    def idle_since(self) -> float | None:
        """When the export that is idle for longest was active: monotonic seconds, or None."""
        return self._exports.idle_since()

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes so far of an open export; from any thread, during a turn too."""
        if export := self._exports.get(export_id):
            return export.assembly.rows, export.size_bytes
        return self.publication.progress(export_id)

    # Called by the lane between turns.

    def take_requests(self, messages: Iterable[Message]) -> None:
        """Add messages of the requests topic, in order."""
        self._requests.extend(messages)

    def take_records(self, messages: Iterable[Message]) -> None:
        """Add messages of the records topic, in order."""
        self._records.extend(messages)

    def drop_pending(self) -> None:
        """Forget what was taken and not handled; it will be read again from ``next_offsets``."""
        # A batch applied in part stays: its message is read again, and found by its offset.
        self._requests.clear()
        self._records.clear()

    def advance(self, requests_position: int, records_position: int) -> None:
        """Move past what Kafka shows to no consumer: markers, and aborted messages.

        Raises:
            LaneStopped: the requests to be restored would have been below.
        """
        # Of an empty queue only: what waits lies below its feed's position.
        if not self._requests:
            self._routing.requests.pass_by(requests_position)
        if not self._records:
            self._routing.batches.pass_by(records_position)

    def owners_known(self, below: int) -> None:
        """The requests of all batches below this offset were read, if there are any."""
        self._routing.batches.owners_known_below = below

    def orphan_committed(self) -> None:
        """The outcomes so far were committed."""
        self._routing.batches.orphan_pending = False

    def take_checkpoint(
        self, committed: ResumePoint | None, *, progress: bool
    ) -> Checkpoint | None:
        """What is to be committed now; None: nothing is, or an end waits for the storage.

        Without an outcome it is the ``progress`` since what is ``committed``, if that is wanted.
        """
        # The point sorts what is open, so it is not made after every turn for nothing.
        if not self.settled or not (self._has_outcome or progress):
            return None
        point = self.resume_point()
        if not self._has_outcome and point == committed:
            return None
        return Checkpoint(self._take_outcome(), point)

    def expire(self, active_before: float) -> None:
        """Fail the exports that were not active since a monotonic time; then take a turn.

        Raises:
            LaneStopped: a person has to act.
        """
        self._exports.expire(active_before)

    def give_up(self, message: str) -> TurnResult | None:
        """The storage refused for too long: let go what it refused; then take a turn.

        What was refused is an export's file, which fails, or a look at the manifest of a batch that
        no open export has: a dead letter then. Returns what the refused turn comes to with that;
        None: nothing can be let go.
        """
        return self._result(TurnEnd.REFUSED) if self._let_go(message) else None

    def _let_go(self, message: str) -> bool:
        if export := self.publication.refused:
            # A completed manifest binds: this export waits for the storage, and can't fail.
            if export.decided is None:
                self._exports.fail(export, FailReason.STORAGE_UNAVAILABLE, message)
            return export.decided is None
        if self.publication.writes_due:
            return self.publication.give_up(message, self._context.now())
        if self._queue() is not self._records:
            return False
        given_up = self._routing.batches.give_up_on(self._records[0], message)
        if given_up:
            self._records.popleft()
        return given_up

    def abandon(self) -> None:
        """The partition is lost: decide nothing any more. From any thread, at any time."""
        self.publication.abandon()

    def discard(self) -> None:
        """Remove the partial files; the state is of no use afterwards."""
        self.publication.discard()
        self._exports.discard()
        self.in_hand.close()

    # A turn, on a thread.

    def turn(self, budget_seconds: float = TURN_SECONDS) -> TurnResult:
        """Handle what was taken, up to a turn's share of bytes and time, and at most a piece more.

        Raises:
            PartLost, AttemptAgain, MessageFault: load the partition again.
            LaneStopped: a person has to act.
        """
        self._began_at, was_due = self._routing.batches.next_record, self.publication.due
        end, refusal = TurnEnd.IDLE, None
        try:
            # What the storage refused before: until that is settled no message is handled.
            self._write_out()
            # An orphan's verdict is committed first: a later request could open its export.
            if self.settled and not self._routing.batches.orphan_pending:
                if self._queue() is self._requests:
                    self._routing.requests.read_ahead(self._requests)
                end = self._work(TurnBudget(self._context.monotonic, budget_seconds))
                self._write_out()
        except StorageUnavailable as error:
            end, refusal = TurnEnd.REFUSED, error
        return self._result(end, refusal, was_due=was_due)

    def _result(
        self, end: TurnEnd, refusal: StorageUnavailable | None = None, *, was_due: bool = False
    ) -> TurnResult:
        formats, self._exports.formats_written = self._exports.formats_written, set()
        return TurnResult(
            end,
            refusal,
            frozenset(formats),
            tuple(event.export_id for event in self._events),
            served=was_due or bool(formats) or self._has_outcome,
            owner_found=self._routing.batches.next_record > self._began_at or self._within_a_batch,
            orphan_pending=self._routing.batches.orphan_pending and self.settled,
        )

    @property
    def _within_a_batch(self) -> bool:
        return self._exports.half_applied is not None

    @property
    def _has_outcome(self) -> bool:
        return bool(self._events or self._routing.dead_letters)

    def _take_outcome(self) -> Outcome:
        bound = self.publication.take_bound()
        events, self._events = self._events, []
        return Outcome(events, self._routing.dead_letters.take(), bound)

    def _write_out(self) -> None:
        for event in self.publication.write_out():
            self._events.append(event)
            log_end(event)
        for origin in self.publication.take_repeats():
            self._context.metrics.duplicate(origin.format, origin.user)
            log.warning(
                "request is a repeat: its id ended in another partition",
                export_id=origin.export_id,
                partition=origin.source.partition,
                offset=origin.source.offset,
            )

    def _work(self, turn: TurnBudget) -> TurnEnd:
        queue, handled = self._queue(), True
        try:
            while queue and (handled := self._handle(queue, turn)):
                turn.spend(value_bytes(queue.popleft()))
                if turn.spent:
                    break
        except Exception:
            # No mark stays: this was no death, and the lane counts it in memory.
            self.in_hand.put_down()
            raise
        finally:
            self._release()
        self.in_hand.put_down()
        self._batches_next = queue is self._requests and bool(self._records)
        # If requests wait, the owner may be among them; they are handled first.
        if not handled and not self._within_a_batch and not self._requests:
            return TurnEnd.OWNER_UNKNOWN
        return TurnEnd.SPENT if self._queue() else TurnEnd.IDLE

    def _release(self) -> None:
        """Hold no large value while others have their turns."""
        for queue in (self._requests, self._records):
            if queue and isinstance(first := queue[0], LargeMessage):
                first.release()

    def _handle(self, queue: deque[Message], turn: TurnBudget) -> bool:
        """Handle the first of a queue; False: it has no owner yet, or isn't applied whole."""
        message, is_batch = queue[0], queue is self._records
        if not is_batch and self._routing.requests.passes_over(message):
            return True
        place = (
            MessagePlace(is_batch, message.offset) if self._suspects or self._breaks_on else None
        )
        suspect = self._suspects.find(place) if place else None
        if place and (aside := self._to_set_aside(message, place, suspect)):
            self.in_hand.put_down()
            if not self._routing.must_be_read(message, is_batch=is_batch):
                return self._routing.handle(message, turn, is_batch=is_batch, aside=aside)
        # One by one while there are suspects, so that the next death shows which it was. A mark
        # covers as many offsets, some of which may be transaction markers.
        at_once = 1 if self._suspects else min(len(queue), MOST_MARKED)
        last = min(queue[at_once - 1].offset, message.offset + at_once - 1)
        self.in_hand.take(message, is_batch=is_batch, last=last, alone=suspect is not None)
        handled = self._routing.handle(message, turn, is_batch=is_batch)
        if suspect and handled:
            self._suspects.clear(suspect.place)
        return handled

    def _to_set_aside(
        self, message: Message, place: MessagePlace, suspect: Suspect | None
    ) -> SetAside | None:
        if suspect and suspect.died_on_twice:
            return died_on_twice(message)
        error = self._breaks_on.get(place)
        return broke_twice(message, error) if error else None

    def _queue(self) -> deque[Message] | None:
        """What the next turn is of; None: of nothing."""
        # Until all open requests are restored, a batch of one would seem to have no owner.
        batches = bool(self._records) and not self.restoring
        if self._requests and not (batches and self._batches_next):
            return self._requests
        return self._records if batches else None
