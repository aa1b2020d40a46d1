"""Sluice's own: decode a message, check its place in the export, encode, write.

Natively where a format can, or by Python alone. All that a node checks of rows is included. What
makes a file lasting is left out, as no contender has it: the sum over its bytes, fsync, the
manifest, and Kafka's transaction. ``bench.end_to_end`` has all of these.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.fonts import cjk_font
from bench.peers.base import ROWS_PER_PAGE, TITLE, Job, NewEncoder
from bench.rows import EXPORT_ID
from consumer.core.batch_sequence import BatchSequence
from consumer.exports.encoding import MOST_ENCODED_BYTES
from consumer.formats.base import BatchEncoder, Encoders, FormatWriter
from consumer.formats.native import PythonEncoders, find_encoders
from consumer.formats.registry import Formats
from schemas.records import decode_batch
from schemas.requests import ExportRequested
from schemas.vocabulary import Format

_REQUESTED_AT = datetime(2026, 11, 21, tzinfo=UTC)


class OurEncoder:
    """An ``Encoder``."""

    def __init__(self, writer: FormatWriter, encoder: BatchEncoder, job: Job) -> None:
        self._assembly = BatchSequence(job.columns)
        self._writer = writer
        self._encoder = encoder
        self._is_first = True
        self._out = job.out

    def message(self, value: bytes) -> None:
        """Decode, check, encode, count."""
        writer = None if self._is_first else self._writer
        batch = self._encoder.encode(value, writer, MOST_ENCODED_BYTES) or decode_batch(value)
        is_next = self._assembly.accept(batch)
        assert is_next, "a repeat"
        if batch.encoded:
            self._out.write(self._encoder.adopt(self._writer, batch.encoded))
        else:
            for rows in self._assembly.pieces(batch):
                self._out.write(self._writer.append(rows))
        while self._writer.is_behind:
            self._out.write(self._writer.append([]))
        self._assembly.apply(batch)
        self._is_first = False

    def finish(self) -> None:
        """What comes last."""
        self._out.writelines(self._writer.finish())


def prepare_csv() -> NewEncoder:
    """For CSV."""
    return _prepare(Format.CSV)


def prepare_csv_python() -> NewEncoder:
    """For CSV, by Python alone."""
    return _prepare(Format.CSV, encoders=PythonEncoders())


def prepare_pdf() -> NewEncoder:
    """For PDF; fonts are parsed now, as a node does when it starts."""
    return _prepare(Format.PDF)


def prepare_pdf_python() -> NewEncoder:
    """For PDF, by Python alone."""
    return _prepare(Format.PDF, encoders=PythonEncoders())


def prepare_pdf_cjk() -> NewEncoder:
    """The same, with a font that has Han characters."""
    return _prepare(Format.PDF, [cjk_font()])


def prepare_xlsx() -> NewEncoder:
    """For XLSX."""
    return _prepare(Format.XLSX)


def prepare_ndjson() -> NewEncoder:
    """For NDJSON."""
    return _prepare(Format.NDJSON)


def prepare_json() -> NewEncoder:
    """For JSON."""
    return _prepare(Format.JSON)


def prepare_xml() -> NewEncoder:
    """For XML."""
    return _prepare(Format.XML)


def request_for(
    file_format: Format,
    columns: Sequence[str],
    widths: Sequence[float],
    export_id: str = EXPORT_ID,
) -> ExportRequested:
    """The request of a bench's export."""
    is_pdf = file_format is Format.PDF
    return ExportRequested.model_validate(
        {
            "export_id": export_id,
            "format": file_format,
            "title": TITLE,
            "columns": [
                {"key": key, "width": width} if is_pdf else key
                for key, width in zip(columns, widths, strict=True)
            ],
            "options": (
                {"orientation": "landscape", "records_per_page": ROWS_PER_PAGE} if is_pdf else {}
            ),
        }
    )


def _prepare(
    file_format: Format, fonts: Sequence[Path] = (), encoders: Encoders | None = None
) -> NewEncoder:
    formats, batch_encoders = Formats(fonts), encoders or find_encoders()

    def begin(job: Job) -> OurEncoder:
        request = request_for(file_format, job.columns, job.widths)
        writer = formats.writer(request, _REQUESTED_AT)
        return OurEncoder(writer, batch_encoders.encoder(request), job)

    return begin
