"""Batches of a PDF from their records' bytes: read natively, drawn when their turn has come.

Reading changes nothing, as a batch may prove to be a repeat; pages depend on the rows before. So
what is read waits as texts, and ``adopt`` draws. Invariant: a batch that Python would refuse, or
apply in many pieces, is never read here.
"""

from typing import Final

from consumer.formats.base import FormatWriter
from consumer.formats.pdf.layout import most_records
from consumer.formats.pdf.native_pages import NativePdfModule
from consumer.formats.pdf.text import most_text
from consumer.formats.pdf.writer import PdfWriter
from schemas.options import PdfOptions
from schemas.records import Batch, EncodedRows
from schemas.requests import ExportRequested

_MOST_CELLS: Final = 50_000
_MOST_PAGES: Final = 500
"""Of a batch that is drawn at one go: each of these takes 20 ms at most, decisions left aside."""


class NativePdf:
    """Reads and draws the batches of one PDF export; a ``BatchEncoder``."""

    def __init__(self, native: NativePdfModule, request: ExportRequested) -> None:
        if not isinstance(request.options, PdfOptions):
            raise TypeError("the request is not for a PDF")
        columns = request.columns
        self._native = native
        self._most_rows = min(
            _MOST_CELLS // len(columns), _MOST_PAGES * most_records(request.options)
        )
        self._records = native.PdfRecords(
            [column.key for column in columns],
            [column.type for column in columns],
            most_text(wraps=request.options.overflow == "wrap"),
        )

    def encode(self, value: bytes, writer: FormatWriter | None, most_bytes: int) -> Batch | None:
        """See ``BatchEncoder``; how many bytes rows make shows when they are drawn."""
        found = self._records.read(value)
        if found is None:
            return None
        export_id, seq, last, total_rows, rows = found
        if len(rows) > self._most_rows:
            return None
        return Batch(
            export_id, seq, [], last, total_rows, encoded=EncodedRows(len(rows), b"", rows)
        )

    def adopt(self, writer: FormatWriter, rows: EncodedRows) -> bytes:
        """See ``BatchEncoder``."""
        assert isinstance(writer, PdfWriter), "the writer is that of the format"  # noqa: S101
        return writer.append_native(self._native, rows.rows)
