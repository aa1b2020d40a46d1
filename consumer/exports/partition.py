"""One partition's exports as its lane sees them: messages in, turns, outcome and resume point.

Blocking code: one thread at a time runs ``turn``; meanwhile only ``abandon`` and ``progress`` may
be called. A turn handles either requests or batches, so that it serves the user it was claimed for.
Requests come first, so that a batch finds its owner, but waiting batches get every other turn. A
turn may end within a batch: its message isn't handled yet, and the next turn of batches continues.
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
from consumer.core.suspects import MessagePlace
from consumer.errors import StorageUnavailable
from consumer.exports.ending import log_end
from consumer.exports.ends_apart import ends_apart
from consumer.exports.export_context import ExportContext
from consumer.exports.marked_storage import MarkedStorage
from consumer.exports.messages import LargeMessage, Message, Outcome, value_bytes
from consumer.exports.open_exports import OpenExports
from consumer.exports.publication import Publication
from consumer.exports.quarantine import Quarantine
from consumer.exports.routing import Routing
from consumer.exports.turn_result import Checkpoint, TurnEnd, TurnResult
from schemas.completions import TerminalEvent
from schemas.vocabulary import FailReason

log = structlog.get_logger(__name__)

_REQUESTS = Claim(None, 9)
_UNOWNED = Claim(None, 5)


class PartitionExports:
    """One partition's exports; see the module.

    ``point`` is where the partition's last owner stopped. Exports in ``given_up`` fail at once,
    because the storage could not take their files. Messages in ``breaks_on``, with the error that
    our code raised, are set aside. ``moved`` is called, from any thread, when ends concluded apart
    can be collected. Without ``second_attempts`` no export gets one.
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
        """What it is working on; any thread may read it."""
        # Unmarked: a call outside of turns must not look like a hanging turn.
        apart = ends_apart(partition, context, moved)
        context = replace(context, storage=MarkedStorage(context.storage, self.in_hand))
        self._context = context
        self.publication = Publication(context.storage, apart)
        """Pending writes to the storage."""
        self._exports = OpenExports(partition, context, self.publication, second_attempts)
        shared = context, self._exports, self.publication
        self._routing = Routing(partition, point, *shared, given_up)
        self._first_batches = dict(point.first_batches)
        self._quarantine = Quarantine(point.suspects, breaks_on)
        self._events: list[TerminalEvent] = []
        self._requests: deque[Message] = deque()
        self._records: deque[Message] = deque()
        self._batches_next = False
        self._began_at = point.records_resume
        """The next record when the last turn began."""

    # State that the lane reads between turns.

    @property
    def open_count(self) -> int:
        """The number of exports accepted and unfinished, including those to be restored."""
        return len(self._exports) + len(self._routing.requests.to_restore)

    @property
    def restoring(self) -> bool:
        """Whether open requests of the last owner still have to be read."""
        return bool(self._routing.requests.to_restore)

    @property
    def pending_requests(self) -> bool:
        """Whether requests wait to be handled by a turn."""
        return bool(self._requests)

    @property
    def pending_records(self) -> bool:
        """Whether batches wait to be handled by a turn."""
        return bool(self._records)

    @property
    def batches_next(self) -> bool:
        """Whether waiting batches have the next turn, after one of requests."""
        return self._batches_next

    @property
    def runnable(self) -> bool:
        """Whether a turn has anything to do."""
        return self.publication.due or (self.settled and bool(self._queue()))

    @property
    def claim(self) -> Claim:
        """Whose turn the next one is, by the key of its first batch.

        Requests have no user until they are read; they precede other work without one, because
        their turns are short. Batches without an open export and retries of refused writes have
        none either.
        """
        queue = self._queue()
        if queue is self._requests:
            return _REQUESTS
        key = queue[0].key if queue else None
        export = self._exports.get((key or b"").decode(errors="replace"))
        return Claim(export.request.user, export.request.priority) if export else _UNOWNED

    @property
    def writes_due(self) -> bool:
        """Whether the next turn begins with writes that the storage hasn't accepted."""
        return self.publication.writes_due

    @property
    def settled(self) -> bool:
        """Whether no export's end waits for the storage; only then is there a resume point."""
        return self.publication.settled

    @property
    def outcome_full(self) -> bool:
        """Whether the dead letters held should be committed before more are added."""
        return self._routing.dead_letters.held_bytes > TURN_BYTES

    @property
    def next_offsets(self) -> tuple[int, int]:
        """The next offsets to handle, of requests (once all are restored) and of records."""
        return self._routing.requests.position, self._routing.batches.next_record

    def resume_point(self) -> ResumePoint:
        """What a ``Checkpoint`` would hold, if it is settled.

        Valid during a replay too: requests still to be restored count as open, and the next owner
        replays from the earliest batch it needs.
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
            # P never goes back: everything below the floor was handled, however far the replay is.
            max(batches.floor, batches.next_record),
            firsts,
        )
        suspects = self._quarantine.keep(point.will_read)
        return replace(point, suspects=suspects) if suspects else point

    def idle_since(self) -> float | None:
        """When the longest-idle export was last active: monotonic seconds, or None."""
        return self._exports.idle_since()

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes so far of an open export; callable from any thread, during a turn too."""
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
        """Drop messages not handled yet; they will be read again from ``next_offsets``."""
        # A partly applied batch stays: its message is read again and found by its offset.
        self._requests.clear()
        self._records.clear()

    def advance(self, requests_position: int, records_position: int) -> None:
        """Move past what no consumer sees: markers and aborted messages.

        Raises:
            LaneStopped: requests to be restored would be skipped.
        """
        # Only if the queue is empty: waiting messages lie below the feed's position.
        if not self._requests:
            self._routing.requests.pass_by(requests_position)
        if not self._records:
            self._routing.batches.pass_by(records_position)

    def owners_known(self, below: int) -> None:
        """All requests that may own a batch below this offset have been read."""
        self._routing.batches.owners_known_below = below

    def orphan_committed(self) -> None:
        """All outcomes so far have been committed."""
        self._routing.batches.orphan_pending = False

    def take_checkpoint(
        self, committed: ResumePoint | None, *, progress: bool
    ) -> Checkpoint | None:
        """What to commit now; None if there is nothing, or an end waits for the storage.

        Without an outcome, commits the progress since ``committed`` if ``progress`` is true.
        """
        # The point sorts all open exports: don't build it after every turn for nothing.
        if not self.settled or not (self._has_outcome or progress):
            return None
        point = self.resume_point()
        if not self._has_outcome and point == committed:
            return None
        return Checkpoint(self._take_outcome(), point)

    def expire(self, active_before: float) -> None:
        """Fail the exports that have been idle since a monotonic time; then take a turn.

        Raises:
            LaneStopped: a person has to act.
        """
        self._exports.expire(active_before)

    def give_up(self, message: str) -> TurnResult | None:
        """The storage refused for too long: give up what it refused; then take a turn.

        What was refused is an export's file, which fails, or a look at the manifest of a batch that
        no open export has: a dead letter then. Returns what the refused turn comes to with that;
        None: nothing can be let go.
        """
        return self._result(TurnEnd.REFUSED) if self._let_go(message) else None

    def _let_go(self, message: str) -> bool:
        if export := self.publication.refused:
            # A completed manifest is binding: this export can't fail and waits for the storage.
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
        """The partition is lost: make no more decisions. Callable from any thread, at any time."""
        self.publication.abandon()

    def discard(self) -> None:
        """Remove the partial files; this object is unusable afterwards."""
        self.publication.discard()
        self._exports.discard()
        self.in_hand.close()

    # A turn, on a thread.

    def turn(self, budget_seconds: float = TURN_SECONDS) -> TurnResult:
        """Handle waiting messages within a turn's budget of bytes and time, plus at most one piece.

        Raises:
            PartLost, AttemptAgain, MessageFault: reload the partition.
            LaneStopped: a person has to act.
        """
        self._began_at, was_due = self._routing.batches.next_record, self.publication.due
        end, refusal = TurnEnd.IDLE, None
        try:
            # First retry what the storage refused: no message is handled until that is settled.
            self._write_out()
            # Commit the decision on an orphan first: a later request could open its export.
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
            # Leave no mark: this was no death, and the lane counts it in memory.
            self.in_hand.put_down()
            raise
        finally:
            self._release()
        self.in_hand.put_down()
        self._batches_next = queue is self._requests and bool(self._records)
        # If requests wait, the owner may be among them; handle those first.
        if not handled and not self._within_a_batch and not self._requests:
            return TurnEnd.OWNER_UNKNOWN
        return TurnEnd.SPENT if self._queue() else TurnEnd.IDLE

    def _release(self) -> None:
        """Hold no large value while other partitions have their turns."""
        for queue in (self._requests, self._records):
            if queue and isinstance(first := queue[0], LargeMessage):
                first.release()

    def _handle(self, queue: deque[Message], turn: TurnBudget) -> bool:
        """Handle the queue's first message; False if it has no owner yet or is partly applied."""
        message, is_batch = queue[0], queue is self._records
        if not is_batch and self._routing.requests.passes_over(message):
            return True
        suspect, aside = self._quarantine.find(message, is_batch=is_batch)
        if aside:
            self.in_hand.put_down()
            if not self._routing.must_be_read(message, is_batch=is_batch):
                return self._routing.handle(message, turn, is_batch=is_batch, aside=aside)
        last = self._quarantine.last_marked(queue)
        self.in_hand.take(message, is_batch=is_batch, last=last, alone=suspect is not None)
        handled = self._routing.handle(message, turn, is_batch=is_batch)
        if suspect and handled:
            self._quarantine.clear(suspect)
        return handled

    def _queue(self) -> deque[Message] | None:
        """The queue that the next turn handles; None if there is nothing."""
        # Until all open requests are restored, their batches would seem to have no owner.
        batches = bool(self._records) and not self.restoring
        if self._requests and not (batches and self._batches_next):
            return self._requests
        return self._records if batches else None
