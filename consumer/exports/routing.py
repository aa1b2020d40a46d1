"""Which export a message belongs to, and what becomes of it.

Rules (the contract, and ``docs/architecture.md``):

- a batch whose owner isn't known waits until the requests topic has been read to an end that was
  fetched after it: only then is it an orphan;
- a batch is late only if its export's request was read: a manifest alone may be the work of an
  attempt whose request is still to come;
- a message is handled once: what lies below the resumed positions only rebuilds the exports that
  were open there, each from its first batch on;
- a verdict on an orphan stands: no later request may be handled before it is committed;
- what nodes died on twice, or our own code broke on, is set aside: its key alone says which export
  it was for.

Invariant: what becomes of a message depends on the messages before it, not on which topic was
fetched first.
"""

import structlog

from clients.bounded_fetch import held_bytes
from consumer.core.budget import TurnBudget
from consumer.core.resume import ResumePoint
from consumer.errors import (
    ConsumerError,
    LaneStopped,
    MessageFault,
    PartLost,
    StorageUnavailable,
)
from consumer.exports.ending import Ending
from consumer.exports.export import OpenExport
from consumer.exports.export_context import ExportContext
from consumer.exports.messages import DeadLetter, Message, SetAside, forwardable, value_bytes
from consumer.exports.open_exports import OpenExports
from consumer.exports.publication import Publication
from consumer.exports.terminal_events import (
    Origin,
    id_in_key,
    origin_of,
    origin_of_invalid,
    origin_of_unread,
    source_of,
)
from consumer.metrics import Dropped
from schemas.codec import InvalidRequest, decode_request
from schemas.completions import ExportCompleted
from schemas.errors import Invalid, TooLarge, Unreadable
from schemas.records import Batch, decode_batch
from schemas.requests import CancelRequested, ExportRequested
from schemas.vocabulary import DeadLetterReason, FailReason

log = structlog.get_logger(__name__)

_CANCEL = b'"export.cancel_requested"'
_PEEKED_BYTES = 16 * 1024  # more than a cancellation has; what is longer isn't looked at


class Routing:
    """Handles the messages of one partition, one after the other.

    ``requests_position`` and ``next_record`` are the next offsets to be handled (of requests: once
    all are restored). Records below ``owners_known_below`` have had their owner's request read.
    """

    def __init__(
        self,
        partition: int,
        point: ResumePoint,
        context: ExportContext,
        exports: OpenExports,
        publication: Publication,
        given_up: frozenset[str],
    ) -> None:
        self.owners_known_below = 0
        self.dead_letters: list[DeadLetter] = []
        self.dead_letter_bytes = 0
        self.orphan_pending = False
        self.to_restore = set(point.open_requests)
        self.requests_position = self._requests_floor = point.requests_position
        self.records_floor = point.records_position
        self.next_record = point.records_resume
        self._first_batches = dict(point.first_batches)
        self._searched_first = -1
        self._partition = partition
        self._context = context
        self._exports = exports
        self._publication = publication
        self._given_up = given_up
        self._turn = TurnBudget(context.monotonic, 0)

    def pass_requests(self, position: int) -> None:
        """All requests below were handled, or are shown to nobody.

        Raises:
            LaneStopped: those to be restored would have been among them.
        """
        if position >= self._requests_floor:
            self._require_restored()
        self.requests_position = max(self.requests_position, position)

    def pass_records(self, position: int) -> None:
        """All records below were handled, or are shown to nobody."""
        self.next_record = max(self.next_record, position)

    def passes_over(self, request: Message) -> bool:
        """Whether a request was handled before, and left nothing open: it isn't even read."""
        return request.offset < self._requests_floor and request.offset not in self.to_restore

    def handle(
        self, message: Message, turn: TurnBudget, *, is_batch: bool, aside: SetAside | None = None
    ) -> bool:
        """Handle a message, or set it aside; False: not yet, see ``on_record``.

        Raises:
            MessageFault: our own code broke. Else as ``on_request`` and ``on_record``.
        """
        try:
            if is_batch:
                return self.on_record(message, turn, aside)
            self.on_request(message, aside)
        except ConsumerError:
            raise
        except Exception as error:
            # No verdict on the message: what broke may break on every one, or have passed by now.
            log.exception(
                "message failed unexpectedly",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
            )
            why = f"{type(error).__name__}: {error!s:.200}"
            raise MessageFault(message.offset, why, is_batch=is_batch) from error
        return True

    def on_request(self, message: Message, aside: SetAside | None = None) -> None:
        """Handle a message of the requests topic, or set it aside.

        Raises:
            LaneStopped: requests to be restored should have come before it.
            StorageUnavailable: hand it in again.
        """
        if message.offset >= self._requests_floor:
            self._require_restored()
        if aside:
            self._set_request_aside(message, aside)
        else:
            self._read_request(message)
        self.to_restore.discard(message.offset)
        self.requests_position = max(self.requests_position, message.offset + 1)

    def _read_request(self, message: Message) -> None:
        try:
            with self._context.decoding(message.value):
                request = decode_request(message.value, message.key)
        except Unreadable as error:
            self._dead_letter(error.reason, message, str(error))
        except InvalidRequest as error:
            origin = origin_of_invalid(error, message, self._context.now())
            self._on_requested(None, origin, str(error))
        else:
            if isinstance(request, CancelRequested):
                self._on_cancel(request)
            else:
                self._on_requested(request, origin_of(request, message, self._context.now()))

    def _require_restored(self) -> None:
        if self.to_restore:
            raise LaneStopped(
                f"open requests at offsets {sorted(self.to_restore)} are gone: the topic was cut "
                "or compacted meanwhile"
            )

    def _on_requested(
        self,
        request: ExportRequested | None,
        origin: Origin,
        error: str = "",
        reason: FailReason = FailReason.INVALID_REQUEST,
    ) -> None:
        """A request with a valid id; None stands for one that fails, for a reason."""
        manifest = self._context.storage.manifest(origin.export_id)
        if self._is_known(origin.export_id) or (manifest and manifest.source != origin.source):
            self._context.metrics.duplicate(origin.format, origin.user)
        elif isinstance(manifest, ExportCompleted) and not self._context.storage.has_file(manifest):
            if request is None:
                raise LaneStopped(
                    f"the manifest of {origin.export_id} says that it completed, but to this build"
                    f" its request is wrong: {error}"
                )
            self._exports.admit(request, origin, manifest)
        elif manifest:
            self._publication.end(Ending(manifest, origin, bound=True))
        elif request is None:
            self._exports.refuse(origin, reason, error)
        elif origin.export_id in self._given_up:
            message = "the storage could not bring the file to the disk"
            self._exports.refuse(origin, FailReason.STORAGE_UNAVAILABLE, message)
        else:
            self._exports.admit(request, origin, None)

    def _on_cancel(self, request: CancelRequested) -> None:
        export = self._exports.get(request.export_id)
        if export is None or export.decided:
            self._context.metrics.cancel_ignored()
        else:
            self._exports.cancel(export, request.message)

    def on_record(self, message: Message, turn: TurnBudget, aside: SetAside | None = None) -> bool:
        """Handle a message of the records topic, or set it aside.

        False: not yet, as its owner isn't known; or the turn is spent and the batch is applied in
        part: then ``OpenExports.half_applied`` has it, and the next call goes on.

        Raises:
            PartLost: a batch that was applied in part is gone.
            StorageUnavailable: hand it in again.
        """
        half = self._exports.half_applied
        if half and half.message.offset != message.offset:
            raise PartLost(f"the batch at {half.message.offset}, applied in part, is gone")
        if half:
            half.message = message  # after a rest another one, and the batch it came in
            handled = self._exports.go_on(half, turn)
        else:
            self._turn = turn
            handled = self._set_batch_aside(message, aside) if aside else self._route(message)
        if handled:
            self.next_record = message.offset + 1
        return handled

    def _route(self, message: Message) -> bool:
        try:
            with self._context.decoding(message.value):
                batch = decode_batch(message.value)
        except Unreadable as error:
            return self._on_unreadable(error, message)
        except Invalid as error:
            return self._on_owned(error.export_id, message, error)
        return self._on_owned(batch.export_id, message, batch)

    def _on_owned(self, export_id: str, message: Message, batch: Batch | Invalid) -> bool:
        export = self._exports.get(export_id)
        if export is None:
            return self._on_ownerless(export_id, message)
        if self._was_handled(message, export):
            self._context.metrics.dropped(Dropped.REPLAYED)
        elif isinstance(batch, Invalid):
            self._fail(export, str(batch))
        else:
            return self._exports.apply(export, batch, message, self._turn)
        return True

    def _was_handled(self, message: Message, export: OpenExport) -> bool:
        """Whether a batch was judged before the export was open: it came before its request."""
        if message.offset >= self.records_floor:
            return False
        return message.offset < self._first_batches.get(
            export.origin.source.offset, self.records_floor
        )

    def _on_unreadable(self, error: Unreadable, message: Message) -> bool:
        """A dead letter; an open export that its beginning or its key names fails as well."""
        if message.offset < self.records_floor:
            return True
        export_id = id_in_key(message) if error.reason is DeadLetterReason.UNREADABLE else None
        if isinstance(error, TooLarge):
            export_id = error.export_id or export_id
        export = self._exports.get(export_id) if export_id else None
        unsure = export is None and not self._is_searched(message)
        if export_id and unsure and not self._has_ended(export_id, message):
            return False
        self._dead_letter(error.reason, message, str(error))
        if export and isinstance(error, TooLarge):
            self._fail(export, str(error), FailReason.TOO_LARGE)
        elif export:
            self._fail(export, str(error))
        elif export_id:
            self.orphan_pending = True
        return True

    def _on_ownerless(self, export_id: str, message: Message) -> bool:
        """A batch of no open export: handled before, late, an orphan, or (False) too early."""
        if message.offset < self.records_floor:
            self._context.metrics.dropped(Dropped.REPLAYED)
        elif self._has_ended(export_id, message):
            self._context.metrics.dropped(Dropped.LATE)
        elif self._is_searched(message):
            self._dead_letter_ownerless(message, f"nobody requested {export_id}")
        else:
            return False
        return True

    def give_up_on(self, message: Message, why: str) -> bool:
        """Whether a batch without an open export is late can't be read: make it a dead letter.

        False: not yet. Its request is to be searched first: if that opens an export, it is its own.
        """
        if not self._is_searched(message):
            self._searched_first = message.offset
            return False
        self._dead_letter_ownerless(message, why)
        self.next_record = message.offset + 1
        return True

    def _dead_letter_ownerless(self, message: Message, why: str) -> None:
        self._dead_letter(DeadLetterReason.ORPHAN_BATCH, message, why)
        self.orphan_pending = True

    def _is_searched(self, message: Message) -> bool:
        """Whether the request that owns a batch was read, if there is one."""
        return message.offset < self.owners_known_below

    def _has_ended(self, export_id: str, message: Message) -> bool:
        """Whether the export of a batch has ended here, or is about to.

        Until its request was searched, a manifest counts only if that was read.
        """
        if self._publication.ending(export_id):
            return True
        searched = self._is_searched(message)
        try:
            manifest = self._context.storage.manifest(export_id)
        except StorageUnavailable:
            if searched or message.offset != self._searched_first:
                raise
            return False
        if manifest is None or searched:
            return manifest is not None
        source = manifest.source
        return source.partition == self._partition and source.offset < self.requests_position

    def _is_known(self, export_id: str) -> bool:
        return bool(self._exports.get(export_id) or self._publication.ending(export_id))

    def must_be_read(self, message: Message, *, is_batch: bool) -> bool:
        """Whether a message is of an export that completed, says its manifest, without its file.

        That binds: the file has to be made, and an attempt before this one outlived the message.
        """
        if (export_id := id_in_key(message)) is None:
            return False
        if is_batch:
            export = self._exports.get(export_id)
            return export is not None and export.decided is not None
        storage = self._context.storage
        manifest = storage.manifest(export_id)
        ours = isinstance(manifest, ExportCompleted) and manifest.source == source_of(message)
        return ours and manifest is not None and not storage.has_file(manifest)

    def _set_request_aside(self, message: Message, aside: SetAside) -> None:
        """Its export fails; a dead letter where it can't have been the request of one."""
        export_id = id_in_key(message)
        # Cancellations go to every partition: one must not end an export of another.
        short = value_bytes(message) <= _PEEKED_BYTES
        cancels = short and _CANCEL in (message.value or b"")
        if export_id is None or self._is_known(export_id) or cancels:
            self._dead_letter(aside.reason, message, aside.why)
        else:
            origin = origin_of_unread(export_id, message, self._context.now())
            self._on_requested(None, origin, aside.why, FailReason.INTERNAL)
        self._context.metrics.set_aside()

    def _set_batch_aside(self, message: Message, aside: SetAside) -> bool:
        """The export fails that its key names; where none is open, as with an unreadable batch."""
        export_id = id_in_key(message)
        export = self._exports.get(export_id) if export_id else None
        if export and not self._was_handled(message, export):
            self._fail(export, aside.why, FailReason.INTERNAL)
        elif message.offset < self.records_floor:
            self._context.metrics.dropped(Dropped.REPLAYED)
            return True
        elif export_id and self._has_ended(export_id, message):
            self._context.metrics.dropped(Dropped.LATE)
        elif export_id and not self._is_searched(message):
            return False
        else:
            self._dead_letter(aside.reason, message, aside.why)
            self.orphan_pending = export_id is not None
        self._context.metrics.set_aside()
        return True

    def _fail(
        self, export: OpenExport, message: str, reason: FailReason = FailReason.INVALID_BATCH
    ) -> None:
        """Fail an export by a bad batch, unless an earlier attempt completed it without that."""
        if export.decided is None:
            self._exports.fail(export, reason, message)

    def _dead_letter(self, reason: DeadLetterReason, message: Message, why: str) -> None:
        forwarded = forwardable(message)
        self.dead_letters.append(DeadLetter(reason, forwarded))
        self.dead_letter_bytes += held_bytes(forwarded)
        log.warning(
            "message is a dead letter",
            reason=reason.value,
            why=why,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
        )
