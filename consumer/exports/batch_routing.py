"""Routes batches: each is applied to its export, dropped, an orphan, or not decided yet.

- A batch with an unknown owner waits until the requests topic has been read to an end fetched after
  the batch: only then is it an orphan.
- A batch is late only if its export's request was read: a manifest alone may come from an attempt
  whose request is still to be read.
- The decision that a batch is an orphan is final: no later request is handled before it is
  committed.

Invariant: the result depends on the messages before the batch, not on which topic was fetched
first.
"""

from consumer.core.budget import TurnBudget
from consumer.core.resume import ResumePoint
from consumer.errors import PartLost, StorageUnavailable
from consumer.exports.dead_letters import DeadLetters
from consumer.exports.encoding import encoded_batch
from consumer.exports.export import OpenExport
from consumer.exports.export_context import ExportContext
from consumer.exports.messages import LargeMessage, Message, SetAside, value_bytes
from consumer.exports.open_exports import OpenExports
from consumer.exports.publication import Publication
from consumer.exports.request_routing import RequestRouting
from consumer.exports.terminal_events import id_in_key
from consumer.metrics import Dropped
from schemas.errors import Invalid, TooLarge, Unreadable
from schemas.limits import MOST_FORWARDED_BYTES
from schemas.records import Batch, decode_batch
from schemas.vocabulary import DeadLetterReason, FailReason


class BatchRouting:
    """Routes the batches of one partition, one after the other.

    ``next_record`` is the next offset to handle; earlier owners have handled those below ``floor``.
    For records below ``owners_known_below``, the owner's request has been read if it exists.
    """

    def __init__(
        self,
        partition: int,
        point: ResumePoint,
        context: ExportContext,
        exports: OpenExports,
        publication: Publication,
        dead_letters: DeadLetters,
        requests: RequestRouting,
    ) -> None:
        self.owners_known_below = 0
        self.orphan_pending = False
        self.next_record = point.records_resume
        self.floor = point.records_position
        self._first_batches = dict(point.first_batches)
        # The batch whose manifest can't be read: its owner is searched for before it is given up.
        self._searched_first = -1
        self._partition = partition
        self._context = context
        self._exports = exports
        self._publication = publication
        self._dead_letters = dead_letters
        self._requests = requests
        self._turn = TurnBudget(context.monotonic, 0)

    def pass_by(self, position: int) -> None:
        """Skip to this offset: all records below were handled or are invisible to consumers."""
        self.next_record = max(self.next_record, position)

    def handle(self, message: Message, turn: TurnBudget, aside: SetAside | None = None) -> bool:
        """Handle a message of the records topic or set it aside.

        Returns False if its owner isn't known yet, or if the turn is spent and the batch is applied
        in part: then ``OpenExports.half_applied`` has it and the next call continues.

        Raises:
            PartLost: a partly applied batch is gone.
            StorageUnavailable: call it again with the same message.
        """
        half = self._exports.half_applied
        if half and half.message.offset != message.offset:
            raise PartLost(f"the batch at {half.message.offset}, applied in part, is gone")
        if half:
            half.message = message  # after a rest it is a new object, and so is its batch
            with self._context.at_work_on(value_bytes(message)):
                handled = self._exports.resume_batch(half, turn)
        else:
            self._turn = turn
            handled = self._set_aside(message, aside) if aside else self._route(message)
        if handled:
            self.next_record = message.offset + 1
        return handled

    def _route(self, message: Message) -> bool:
        export_id = id_in_key(message)
        export = self._exports.get(export_id) if export_id else None
        if export and (encoded := encoded_batch(export, message, self._context)):
            return self._on_owned(encoded.export_id, message, encoded)
        try:
            # Its value is read within, too: else each partition would hold one while it waits.
            with self._context.at_work_on(value_bytes(message)):
                batch = decode_batch(message.value)
                if self._exports.get(batch.export_id):
                    return self._on_owned(batch.export_id, message, batch)
        except Unreadable as error:
            return self._on_unreadable(error, message)
        except Invalid as error:
            return self._on_owned(error.export_id, message, error)
        # Without what others wait for, as the storage may take its time; but a dead letter has it.
        export_id = batch.export_id
        del batch
        if isinstance(message, LargeMessage) and message.value_bytes > MOST_FORWARDED_BYTES:
            message.release()
        return self._on_ownerless(export_id, message)

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
        """Whether a batch was handled before its export was open: it preceded the request."""
        if message.offset >= self.floor:
            return False
        return message.offset < self._first_batches.get(export.origin.source.offset, self.floor)

    def _on_unreadable(self, error: Unreadable, message: Message) -> bool:
        """Make it a dead letter, and fail an open export that its beginning or its key names."""
        # An earlier owner has already committed its dead letter.
        if message.offset < self.floor:
            return True
        export_id = id_in_key(message) if error.reason is DeadLetterReason.UNREADABLE else None
        if isinstance(error, TooLarge):
            export_id = error.export_id or export_id
        export = self._exports.get(export_id) if export_id else None
        unsure = export is None and not self._is_searched(message)
        # Wait as for a readable batch: how an export ends must not depend on which topic was
        # fetched first.
        if export_id and unsure and not self._has_ended(export_id, message):
            return False
        self._dead_letters.add(error.reason, message, str(error))
        if export and isinstance(error, TooLarge):
            self._fail(export, str(error), FailReason.TOO_LARGE)
        elif export:
            self._fail(export, str(error))
        elif export_id:
            # A request with this id may follow: commit this decision before handling it.
            self.orphan_pending = True
        return True

    def _on_ownerless(self, export_id: str, message: Message) -> bool:
        """A batch without an open export: handled before, late, an orphan, or (False) too early."""
        if message.offset < self.floor:
            self._context.metrics.dropped(Dropped.REPLAYED)
        elif self._has_ended(export_id, message):
            self._context.metrics.dropped(Dropped.LATE)
        elif self._is_searched(message):
            self._dead_letter_ownerless(message, f"nobody requested {export_id}")
        else:
            return False
        return True

    def give_up_on(self, message: Message, why: str) -> bool:
        """The manifest of a batch without an open export can't be read: make it a dead letter.

        Returns False if its request has to be searched for first: that may open its export.
        """
        if not self._is_searched(message):
            self._searched_first = message.offset
            return False
        self._dead_letter_ownerless(message, why)
        self.next_record = message.offset + 1
        return True

    def _dead_letter_ownerless(self, message: Message, why: str) -> None:
        self._dead_letters.add(DeadLetterReason.ORPHAN_BATCH, message, why)
        self.orphan_pending = True

    def _is_searched(self, message: Message) -> bool:
        """Whether the request that owns a batch has been read, if it exists."""
        return message.offset < self.owners_known_below

    def _has_ended(self, export_id: str, message: Message) -> bool:
        """Whether a batch's export has ended here, or is about to.

        Until its request has been searched for, a manifest counts only if the request was read.
        """
        if self._publication.ending(export_id):
            return True
        searched = self._is_searched(message)
        try:
            manifest = self._context.storage.manifest(export_id)
        except StorageUnavailable:
            if searched or message.offset != self._searched_first:
                raise
            # Given up before the search: search now, because its request may open the export.
            return False
        if manifest is None or searched:
            return manifest is not None
        source = manifest.source
        return source.partition == self._partition and source.offset < self._requests.position

    def must_be_read(self, message: Message) -> bool:
        """Whether a batch's export has completed, according to its manifest, but has no file."""
        export_id = id_in_key(message)
        export = self._exports.get(export_id) if export_id else None
        return export is not None and export.decided is not None

    def _set_aside(self, message: Message, aside: SetAside) -> bool:
        """Fail the export that its key names; without one, proceed as for an unreadable batch."""
        # The same order as for a readable batch: its export's, already handled, late, to be
        # searched for, an orphan.
        export_id = id_in_key(message)
        export = self._exports.get(export_id) if export_id else None
        if export and not self._was_handled(message, export):
            self._fail(export, aside.why, FailReason.INTERNAL)
        elif message.offset < self.floor:
            self._context.metrics.dropped(Dropped.REPLAYED)
            return True
        elif export_id and self._has_ended(export_id, message):
            self._context.metrics.dropped(Dropped.LATE)
        elif export_id and not self._is_searched(message):
            return False
        else:
            self._dead_letters.add(aside.reason, message, aside.why)
            self.orphan_pending = export_id is not None
        self._context.metrics.set_aside()
        return True

    def _fail(
        self, export: OpenExport, message: str, reason: FailReason = FailReason.INVALID_BATCH
    ) -> None:
        """Fail an export for a bad batch, unless an earlier attempt completed it without."""
        if export.decided is None:
            self._exports.fail(export, reason, message)
