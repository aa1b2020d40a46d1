"""All formats: the only module that knows each of them by name.

Invariant: every ``schemas.vocabulary.Format`` has a writer.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from consumer.formats.base import FormatWriter
from consumer.formats.csv import CsvWriter
from consumer.formats.json import JsonWriter, NdjsonWriter
from consumer.formats.pdf import PdfWriter, load_fonts
from consumer.formats.xlsx import XlsxWriter
from consumer.formats.xml import XmlWriter
from schemas.requests import ExportRequested
from schemas.vocabulary import Format


class Formats:
    """Creates writers. Created once per node; threads may share it.

    ``pdf_font_files`` are TrueType files, searched after the bundled font, in their order.

    Raises:
        ValueError: one of them holds no TrueType font that can be embedded; the message names it.
        OSError: one of them can't be read.
    """

    def __init__(self, pdf_font_files: Sequence[Path] = ()) -> None:
        self._pdf_fonts = load_fonts(pdf_font_files)

    def writer(self, request: ExportRequested, dated_at: datetime | None) -> FormatWriter:
        """A writer for one export.

        ``dated_at`` is the request's own time or, where it has none, that of its record, or None;
        the file may depend on it, but on no clock.
        """
        match request.format:
            case Format.CSV:
                return CsvWriter(request)
            case Format.NDJSON:
                return NdjsonWriter(request)
            case Format.JSON:
                return JsonWriter(request)
            case Format.XML:
                return XmlWriter(request)
            case Format.PDF:
                return PdfWriter(request, dated_at=dated_at, fonts=self._pdf_fonts)
            case Format.XLSX:
                return XlsxWriter(request, dated_at=dated_at)
