"""One partition's messages: which export each belongs to, and one turn of work on them.

Messages go in by ``take_requests`` and ``take_records``, a turn handles some of them, an outcome
and a resume point come out. Blocking code: one thread at a time runs ``turn``; nothing else is
called meanwhile but ``abandon``. Rules (the contract; ``docs/architecture.md`` walks along them):

- requests are handled before records, so that a batch finds its owner;
- a batch whose owner isn't known waits until the requests topic has been read to an end that was
  fetched after it: only then is it an orphan;
- a message is handled once: what lies below the resumed positions only rebuilds open exports.

Invariant: between turns, ``resume_point`` describes exactly what ``outcome`` has been told of.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto

import structlog

from consumer.core.resume import ResumePoint
from consumer.errors import LaneStopped
from consumer.exports.messages import DeadLetter, Message, Outcome
from consumer.exports.open_exports import OpenExports
from consumer.exports.origin import Origin, origin_of, origin_of_invalid
from consumer.exports.publication import Ending, Publication
from consumer.exports.workshop import Workshop
from consumer.metrics import Dropped
from schemas.codec import InvalidRequest, decode_request
from schemas.completions import ExportCompleted, TerminalEvent
from schemas.errors import Invalid, Unreadable
from schemas.records import decode_batch
from schemas.requests import CancelRequested, ExportRequested
from schemas.vocabulary import DeadLetterReason, FailReason, Format

log = structlog.get_logger(__name__)

TURN_BYTES = 1024 * 1024
TURN_SECONDS = 0.05


class TurnEnd(Enum):
    """Why a turn ended."""

    IDLE = auto()
    """Everything taken was handled."""
    SPENT = auto()
    """The turn's share was used; there is more."""
    OWNER_UNKNOWN = auto()
    """The next batch's owner may lie further on in the requests topic."""


class PartitionExports:
    """See the module. ``point`` is where the partition's last owner left off."""

    def __init__(self, partition: int, point: ResumePoint, workshop: Workshop) -> None:
        self.partition = partition
        self.owners_known_below = 0
        self._workshop = workshop
        self._publication = Publication(workshop.storage)
        self._exports = OpenExports(partition, workshop, self._publication)
        self._outcome = Outcome()
        self._requests: deque[Message] = deque()
        self._records: deque[Message] = deque()
        self._requests_position = self._requests_floor = point.requests_position
        self._records_position = self._records_floor = point.records_position
        self._to_restore = set(point.open_requests)

    # What a lane asks and tells, between turns.

    @property
    def open_count(self) -> int:
        """Exports accepted and unfinished."""
        return len(self._exports)

    @property
    def restoring(self) -> bool:
        """Whether requests that the last owner had open are still to be read."""
        return bool(self._to_restore)

    @property
    def pending_requests(self) -> bool:
        """Whether requests were taken that no turn has handled."""
        return bool(self._requests)

    @property
    def pending_records(self) -> bool:
        """Whether batches were taken that no turn has handled."""
        return bool(self._records)

    @property
    def runnable(self) -> bool:
        """Whether a turn could do something."""
        return self._next() is not None or self._publication.due

    @property
    def settled(self) -> bool:
        """Whether no end of an export waits for the storage; only then there is a resume point."""
        return self._publication.settled

    @property
    def has_outcome(self) -> bool:
        """Whether turns have something to say."""
        return bool(self._outcome)

    @property
    def next_offsets(self) -> tuple[int, int]:
        """The next offsets to be handled, of requests and records."""
        return self._requests_position, self._records_position

    def take_requests(self, messages: Iterable[Message]) -> None:
        """Add messages of the requests topic, in order."""
        self._requests.extend(messages)

    def take_records(self, messages: Iterable[Message]) -> None:
        """Add messages of the records topic, in order."""
        self._records.extend(messages)

    def drop_pending(self) -> None:
        """Forget what was taken and not handled; it will be read again from ``next_offsets``."""
        self._requests.clear()
        self._records.clear()

    def advance(self, requests_position: int, records_position: int) -> None:
        """Move past what Kafka shows to no consumer: markers, and aborted messages."""
        if not self._requests:
            self._requests_position = max(self._requests_position, requests_position)
        if not self._records:
            self._records_position = max(self._records_position, records_position)

    def resume_point(self) -> ResumePoint:
        """What may be committed together with the outcome, when it is settled."""
        first = self._exports.first_batch()
        requests_position, records_position = self.next_offsets
        return ResumePoint(
            requests_position,
            self._exports.open_requests(),
            records_position if first is None else min(first, records_position),
            records_position,
        )

    def take_outcome(self) -> Outcome:
        """What turns had to say since the last call."""
        outcome, self._outcome = self._outcome, Outcome()
        return outcome

    def take_formats(self) -> set[Format]:
        """The formats that turns wrote since the last call."""
        formats, self._exports.formats_written = self._exports.formats_written, set()
        return formats

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes so far of an open export; from any thread, during a turn too."""
        export = self._exports.get(export_id)
        return (export.assembly.rows, export.size_bytes) if export else None

    def idle_since(self) -> float | None:
        """When the export that is idle for longest was active: monotonic seconds, or None."""
        return self._exports.idle_since()

    def expire(self, active_before: float) -> None:
        """Fail the exports that were not active since a monotonic time; then take a turn."""
        self._exports.expire(active_before)

    def give_up(self, message: str) -> None:
        """The storage refused for too long: fail what waits for it; then take a turn."""
        for export in self._publication.give_up(message, self._workshop.now()):
            self._exports.fail(export, FailReason.STORAGE_UNAVAILABLE, message)

    def abandon(self) -> None:
        """The partition is lost: decide nothing any more. From any thread, at any time."""
        self._publication.abandon()

    def discard(self) -> None:
        """Remove the partial files; the state is of no use afterwards."""
        self._publication.discard()
        self._exports.discard()

    # A turn, on a thread.

    def turn(self, budget_seconds: float = TURN_SECONDS) -> TurnEnd:
        """Handle what was taken, up to a turn's share of bytes and time.

        Raises:
            StorageUnavailable: call it again, later; it goes on where it was.
            PartLost: load the partition anew.
            LaneStopped: a person has to act.
        """
        self._write_out()
        end = self._work(self._workshop.monotonic() + budget_seconds)
        self._write_out()
        return end

    def _write_out(self) -> None:
        for event in self._publication.write_out():
            self._outcome.events.append(event)
            _log_end(event)

    def _work(self, until: float) -> TurnEnd:
        done_bytes = 0
        while message := self._next():
            if not self._handle(message):
                return TurnEnd.OWNER_UNKNOWN
            done_bytes += len(message.value or b"")
            if done_bytes >= TURN_BYTES or self._workshop.monotonic() >= until:
                return TurnEnd.SPENT
        return TurnEnd.IDLE

    def _next(self) -> Message | None:
        if self._requests:
            return self._requests[0]
        if self._records and not self._to_restore:
            return self._records[0]
        return None

    def _handle(self, message: Message) -> bool:
        """Handle the next message and take it off its queue; False: its owner isn't known."""
        if self._requests:
            self._on_request(message)
            self._requests.popleft()
            self._requests_position = max(self._requests_position, message.offset + 1)
            return True
        if not self._on_record(message):
            return False
        self._records.popleft()
        self._records_position = max(self._records_position, message.offset + 1)
        return True

    def _on_request(self, message: Message) -> None:
        replayed = message.offset < self._requests_floor
        if replayed and message.offset not in self._to_restore:
            return
        if self._to_restore and not replayed:
            raise LaneStopped(
                f"open requests at offsets {sorted(self._to_restore)} of {message.topic}"
                f"[{message.partition}] are gone: the topic was cut or compacted meanwhile"
            )
        try:
            request = decode_request(message.value)
        except Unreadable as error:
            self._dead_letter(error.reason, message, str(error))
        except InvalidRequest as error:
            self._on_requested(None, origin_of_invalid(error, message), str(error))
        else:
            if isinstance(request, CancelRequested):
                self._on_cancel(request)
            else:
                self._on_requested(request, origin_of(request, message))
        self._to_restore.discard(message.offset)

    def _on_requested(
        self, request: ExportRequested | None, origin: Origin, error: str = ""
    ) -> None:
        """A request with a valid id; None stands for one with wrong fields, told by ``error``."""
        manifest = self._workshop.storage.manifest(origin.export_id)
        if self._is_known(origin.export_id) or (manifest and manifest.source != origin.source):
            self._workshop.metrics.duplicate(origin.format, origin.user)
        elif isinstance(manifest, ExportCompleted) and not self._workshop.storage.has_file(
            manifest
        ):
            if request:
                self._exports.admit(request, origin, manifest)
        elif manifest:
            self._publication.end(Ending(manifest, origin))  # decided, and perhaps never said
        elif request:
            self._exports.admit(request, origin, None)
        else:
            self._exports.refuse(origin, FailReason.INVALID_REQUEST, error)

    def _on_cancel(self, request: CancelRequested) -> None:
        export = self._exports.get(request.export_id)
        if export is None or export.decided:
            self._workshop.metrics.cancel_ignored()
        else:
            self._exports.cancel(export)

    def _on_record(self, message: Message) -> bool:
        """Handle a message of the records topic; False: not yet, its owner isn't known."""
        try:
            batch = decode_batch(message.value)
        except Unreadable as error:
            self._on_unreadable(error, message)
            return True
        except Invalid as error:
            export = self._exports.get(error.export_id)
            if export is None:
                return self._on_ownerless(error.export_id, message)
            self._exports.fail(export, FailReason.INVALID_BATCH, str(error))
            return True
        export = self._exports.get(batch.export_id)
        if export is None:
            return self._on_ownerless(batch.export_id, message)
        self._exports.apply(export, batch, message.offset)
        return True

    def _on_unreadable(self, error: Unreadable, message: Message) -> None:
        if message.offset < self._records_floor:
            return
        self._dead_letter(error.reason, message, str(error))
        if error.reason is DeadLetterReason.UNREADABLE and message.key is not None:
            export = self._exports.get(message.key.decode(errors="replace"))
            if export:
                self._exports.fail(export, FailReason.INVALID_BATCH, str(error))

    def _on_ownerless(self, export_id: str, message: Message) -> bool:
        """A batch of no open export: handled before, late, an orphan, or (False) too early."""
        if message.offset < self._records_floor:
            self._workshop.metrics.dropped(Dropped.REPLAYED)
        elif self._is_known(export_id) or self._workshop.storage.manifest(export_id):
            self._workshop.metrics.dropped(Dropped.LATE)
        elif message.offset < self.owners_known_below:
            self._dead_letter(
                DeadLetterReason.ORPHAN_BATCH, message, f"nobody requested {export_id}"
            )
        else:
            return False
        return True

    def _is_known(self, export_id: str) -> bool:
        return self._exports.get(export_id) is not None or self._publication.is_ending(export_id)

    def _dead_letter(self, reason: DeadLetterReason, message: Message, why: str) -> None:
        self._outcome.dead_letters.append(DeadLetter(reason, message))
        log.warning(
            "message is a dead letter",
            reason=reason.value,
            why=why,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
        )


def _log_end(event: TerminalEvent) -> None:
    log.info(
        event.type,
        export_id=event.export_id,
        partition=event.source.partition,
        offset=event.source.offset,
        rows=event.rows,
        duration_ms=event.duration_ms,
    )
