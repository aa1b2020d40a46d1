"""The open exports of one partition, and what can happen to one of them.

Turns batches into bytes of a part, and ends into an ``Ending``. It decides nothing about messages,
and does nothing that the storage could refuse. Invariant: an export is open here, ending in
``Publication``, or ended; never two of these.
"""

from collections.abc import Iterator

import structlog

from consumer.core.admission_limit import MOST_OPEN
from consumer.core.budget import TurnBudget
from consumer.core.resume import METADATA_LIMIT, encode_ascending
from consumer.core.second_attempts import SecondAttempts
from consumer.errors import AttemptAgain, ExportFailure, LaneStopped
from consumer.exports.application import Application
from consumer.exports.ending import Ending
from consumer.exports.export import GrowingFile, OpenExport
from consumer.exports.export_context import ExportContext
from consumer.exports.messages import Message
from consumer.exports.publication import Publication
from consumer.exports.terminal_events import Origin, Progress
from consumer.formats.compression import new_compressor
from consumer.metrics import Dropped
from schemas.completions import ExportCompleted
from schemas.records import Batch
from schemas.requests import ExportRequested
from schemas.vocabulary import FailReason, Format

log = structlog.get_logger(__name__)


class OpenExports:
    """The open exports of one partition."""

    def __init__(
        self,
        partition: int,
        context: ExportContext,
        publication: Publication,
        second_attempts: SecondAttempts | None = None,
    ) -> None:
        self._second_attempts = second_attempts
        self._closing_from: list[int] = []
        self._partition = partition
        self._context = context
        self._publication = publication
        self._open: dict[str, OpenExport] = {}
        self.most_open = MOST_OPEN
        self.formats_written: set[Format] = set()
        self.half_applied: Application | None = None
        """The partly applied batch, if any; it is the next of the records."""

    def __len__(self) -> int:
        """Includes ending exports that count as open."""
        return len(self._open) + sum(1 for _ in self._publication.resumable())

    def __iter__(self) -> Iterator[OpenExport]:
        # A copy: ending an export changes the dict.
        return iter(list(self._open.values()))

    def get(self, export_id: str) -> OpenExport | None:
        """The open export with this id."""
        return self._open.get(export_id)

    def open_requests(self) -> tuple[int, ...]:
        """Offsets of the open exports' requests, ascending."""
        origins = [export.origin for export in self._open.values()]
        origins += [ending.origin for ending in self._publication.resumable()]
        return tuple(sorted(origin.source.offset for origin in origins))

    def first_batches(self) -> Iterator[tuple[int, int]]:
        """Offsets of request and first batch, for exports with an applied batch."""
        for export in self._open.values():
            if export.first_offset is not None:
                yield export.origin.source.offset, export.first_offset
        for ending in self._publication.resumable():
            if ending.first_batch is not None:
                yield ending.origin.source.offset, ending.first_batch

    def idle_since(self) -> float | None:
        """When the longest-idle export was last active: monotonic seconds."""
        return min((export.active_at for export in self._open.values()), default=None)

    def admit(
        self, request: ExportRequested, origin: Origin, decided: ExportCompleted | None
    ) -> None:
        """Open an export, or end it at once if too many are open."""
        if self._is_full(origin.source.offset):
            message = f"{len(self)} exports are open in partition {self._partition}"
            self.refuse(origin, FailReason.TOO_MANY_OPEN, message)
            return
        begun = self._second_attempts and self._second_attempts.has_begun(origin.source.offset)
        self._open[origin.export_id] = OpenExport(
            request, origin, decided, self._context.monotonic(), attempts=2 if begun else None
        )

    def refuse(self, origin: Origin, reason: FailReason, message: str) -> None:
        """End a request as failed without opening it."""
        progress = Progress(0, None, self._context.now())
        self._publication.end(Ending(origin.failed(reason, message, progress), origin))

    def apply(self, export: OpenExport, batch: Batch, message: Message, turn: TurnBudget) -> bool:
        """Apply a batch to its export, which may end it; see ``resume_batch``.

        Raises:
            LaneStopped: its manifest says completed, but its batches don't lead to that.
            AttemptAgain: our own code broke on it; reload the partition.
        """
        most_bytes = None if export.decided else self._context.max_export_bytes
        try:
            if export.assembly.accept(batch, bounded=export.decided is None):
                return self._go_on(Application(export, batch, message, most_bytes), turn)
            self._context.metrics.dropped(Dropped.REPEAT)
        except Exception as error:  # noqa: BLE001 - unexpected errors are logged
            self._broken(export, message, error)
        return True

    def resume_batch(self, application: Application, turn: TurnBudget) -> bool:
        """Continue applying a batch; False if the turn is spent before all of it is applied.

        Raises:
            LaneStopped, AttemptAgain: as ``apply``.
        """
        try:
            return self._go_on(application, turn)
        except Exception as error:  # noqa: BLE001 - as above
            self._broken(application.export, application.message, error)
        return True

    def _go_on(self, application: Application, turn: TurnBudget) -> bool:
        export = application.export
        file = self._open_file(export)
        # Before the first byte: however the turn ends, appended bytes have to be flushed.
        self._publication.touch(export)
        self.formats_written.add(export.request.format)
        while not application.step(file):
            if turn.spent:
                application.pause(self._context.kept_texts)
                self.half_applied = application
                return False
        batch = application.batch  # only now, because its rows may have been read again
        export.assembly.apply(batch)
        if export.first_offset is None:
            export.first_offset = application.message.offset
        # Only a new batch counts: a repeat is no activity.
        export.active_at = self._context.monotonic()
        self.half_applied = None
        self._context.metrics.applied(natively=batch.encoded is not None)
        if batch.last:
            self._complete(export, file)
        return True

    def _broken(self, export: OpenExport, batch: Message, error: Exception) -> None:
        """Handle an error with a batch: it ends the export, or this attempt at it.

        Raises:
            LaneStopped: as ``apply``. Failing the export instead would reload the partition
            endlessly.
            AttemptAgain: as ``apply``.
        """
        reason, message = FailReason.INTERNAL, f"{type(error).__name__}: {error!s:.200}"
        again = False
        if isinstance(error, ExportFailure):
            reason, message = error.reason, str(error)
        else:
            # A bug in a writer must not stop the partition: it may recur on replay.
            again = export.decided is None and self._may_attempt_again(export, batch)
            log.error(
                "export failed unexpectedly",
                export_id=export.origin.export_id,
                partition=self._partition,
                next="it is attempted once more" if again else "it fails",
                exc_info=error,
            )
        if export.decided:
            raise _differs(export, export.decided, message) from None
        if again:
            raise AttemptAgain(f"{export.origin.export_id} broke with {message}")
        self.fail(export, reason, message)

    def _may_attempt_again(self, export: OpenExport, batch: Message) -> bool:
        if self._second_attempts is None:
            return False
        firsts = [first for _, first in self.first_batches()]
        # Exports that this turn ended aren't committed yet, so they are read again too.
        firsts += [] if self._publication.settled else self._closing_from
        read_again = batch.offset - min(firsts, default=batch.offset)
        request, now = export.origin.source.offset, self._context.monotonic()
        return self._second_attempts.begin(request, read_again, now)

    def fail(self, export: OpenExport, reason: FailReason, message: str) -> None:
        """End an open export as failed."""
        progress = export.progress(self._context.now())
        self._close(export, Ending(export.origin.failed(reason, message, progress), export.origin))

    def cancel(self, export: OpenExport, message: str | None) -> None:
        """End an open export as cancelled; ``message`` is the sender's reason, if given."""
        progress = export.progress(self._context.now())
        event = export.origin.cancelled(message or "cancelled on request", progress)
        self._close(export, Ending(event, export.origin))

    def expire(self, active_before: float) -> None:
        """Fail the exports that have been idle since a monotonic time.

        Raises:
            LaneStopped: the manifest of one says completed, but its batches don't lead to that.
        """
        for export in self:
            if export.active_at > active_before:
                continue
            # A completed manifest is binding, so it can't time out.
            if export.decided:
                raise _differs(export, export.decided, f"they end after {export.assembly.rows}")
            seconds = round(self._context.monotonic() - export.active_at)
            self.fail(export, FailReason.TIMED_OUT, f"no batch came for {seconds} seconds")

    def discard(self) -> None:
        """Remove all parts."""
        for export in self._open.values():
            if export.part:
                export.part.discard()
        self._open.clear()
        self.half_applied = None

    def _open_file(self, export: OpenExport) -> GrowingFile:
        """The export's file, created with its first batch."""
        if export.file is None:
            origin, request = export.origin, export.request
            export.file = GrowingFile(
                self._context.writer(request, origin.dated_at),
                new_compressor(request.compression),
                self._context.storage.open_part(
                    self._partition, origin.export_id, request.extension, export.decided
                ),
            )
            export.started_at = self._context.now()
        return export.file

    def _complete(self, export: OpenExport, file: GrowingFile) -> None:
        origin, writer, part = export.origin, file.writer, file.part
        event = origin.completed(
            export.progress(self._context.now()),
            location=part.location,
            size_bytes=part.size,
            sha256=part.sha256,
            pages=writer.pages,
            replaced_characters=writer.replaced_characters,
            truncated_cells=writer.truncated_cells,
            kept_seconds=self._context.kept_seconds(export.request),
        )
        self._close(export, Ending(event, origin, first_batch=export.first_offset))

    def _close(self, export: OpenExport, ending: Ending) -> None:
        if self._publication.settled:
            self._closing_from.clear()
        if export.first_offset is not None:
            self._closing_from.append(export.first_offset)
        ending.part = export.part
        ending.bound = export.decided is not None
        del self._open[export.origin.export_id]
        if self.half_applied and self.half_applied.export is export:
            self.half_applied = None
        self._publication.end(ending)

    def _is_full(self, offset: int) -> bool:
        count = len(self)
        if count >= self.most_open:
            return True
        # Only many open exports come near the limit, so don't compute the length before.
        crowd = count >= MOST_OPEN // 2
        return crowd and len(encode_ascending((*self.open_requests(), offset))) > METADATA_LIMIT


def _differs(export: OpenExport, decided: ExportCompleted, how: str) -> LaneStopped:
    return LaneStopped(
        f"{export.origin.export_id} completed with {decided.rows} rows, says its manifest, but its"
        f" batches don't come to that: {how}"
    )
