"""Applies a batch to its export's file, a piece at a time; a turn may end between two pieces.

Invariant: a batch counts only once all of it is in the file; until then its message counts as not
handled, and its partial output exists only in this process's part.
"""

from collections.abc import Iterator
from dataclasses import replace

from consumer.core.batch_sequence import Pieces
from consumer.errors import ExportFailure
from consumer.exports.export import GrowingFile, OpenExport
from consumer.exports.kept_texts import KeptTexts
from consumer.exports.messages import Message
from consumer.storage.base import Part
from schemas.json_text import values_at_most
from schemas.limits import MOST_BATCH_OUTPUT_BYTES
from schemas.records import Batch, EncodedRows, decode_batch
from schemas.vocabulary import FailReason

# More values take megabytes as Python objects; they are parsed again after a pause instead.
_MOST_KEPT_VALUES = 100_000


class Application:
    """Applies the next batch of an open export; between turns it may let go of the rows.

    ``message`` is where the rows are read again. The last batch also ends the file.
    ``max_export_bytes`` limits the file; None if there is no limit, because an export that was
    decided as completed stays so even if the limits have changed.
    """

    __slots__ = (
        "_ending",
        "_max_export_bytes",
        "_output_bytes",
        "_pieces",
        "_rows_done",
        "batch",
        "export",
        "message",
    )

    def __init__(
        self, export: OpenExport, batch: Batch, message: Message, max_export_bytes: int | None
    ) -> None:
        self.export = export
        self.message = message
        self.batch = batch
        self._max_export_bytes = max_export_bytes
        self._output_bytes = 0
        self._pieces: Pieces | None = export.assembly.pieces(batch)
        self._ending: Iterator[bytes] | None = None
        self._rows_done = 0

    def step(self, file: GrowingFile) -> bool:
        """Write the next piece; returns whether all of the batch is in the file now.

        Raises:
            ExportFailure: a row or the total is wrong, or a limit was exceeded.
        """
        if self._ending is None:
            pieces, batch = self._pieces or self._taken_up(), self.batch
            if file.writer.is_behind:
                self._put_rows(file, file.writer.append([]))
            elif batch.encoded and self.export.encoder:
                self._put_rows(file, self.export.encoder.adopt(file.writer, batch.encoded))
            else:
                self._put_rows(file, file.writer.append(next(pieces, [])))
            all_taken = batch.encoded or pieces.done >= batch.row_count
            if file.writer.is_behind or not all_taken:
                return False
            # All rows are in; nothing of the file's end is written yet.
            pieces.require_total()
            if not batch.last:
                return True
            self._ending = _ending_of(file)
        # The file's end grows with all batches, so the limit of one batch doesn't apply to it.
        if (data := next(self._ending, None)) is None:
            return True
        self._put(file.part, data)
        return False

    def pause(self, kept: KeptTexts) -> None:
        """Pause at the end of a turn. Rows that need much memory are dropped and read again."""
        pieces, large = self._pieces, self.batch.large
        if large:
            kept.keep(large.divided)
        if pieces is None:
            return  # paused before; now at the end of the file
        if self.batch.encoded:
            # The writer has all of its rows.
            self.batch = replace(self.batch, encoded=EncodedRows(self.batch.row_count, b""))
        elif large:
            self._rows_done, self._pieces = pieces.done, None
        elif values_at_most(self.message.value or b"") > _MOST_KEPT_VALUES:
            self._rows_done, self._pieces = pieces.done, None
            self.batch = replace(self.batch, rows=[[]] * self.batch.row_count)  # these still count

    def _taken_up(self) -> Pieces:
        if large := self.batch.large:
            if not large.divided.held_bytes:
                large.divided.give_back(self.message.value or b"")
        else:
            self.batch = decode_batch(self.message.value)
        self._pieces = self.export.assembly.pieces(self.batch, self._rows_done)
        return self._pieces

    def _put_rows(self, file: GrowingFile, data: bytes) -> None:
        self._output_bytes += len(data)  # uncompressed: that is what they cost
        if self._max_export_bytes is not None and self._output_bytes > MOST_BATCH_OUTPUT_BYTES:
            most = f"{MOST_BATCH_OUTPUT_BYTES:,}"
            message = f"batch {self.batch.seq} makes more than {most} bytes of the file"
            raise ExportFailure(FailReason.TOO_LARGE, message)
        self._put(file.part, file.compressor.compress(data))

    def _put(self, part: Part, data: bytes) -> None:
        part.append(data)
        if self._max_export_bytes is not None and part.size > self._max_export_bytes:
            message = f"the file passes {self._max_export_bytes} bytes"
            raise ExportFailure(FailReason.TOO_LARGE, message)


def _ending_of(file: GrowingFile) -> Iterator[bytes]:
    for data in file.writer.finish():
        yield file.compressor.compress(data)
    if rest := file.compressor.finish():
        yield rest
