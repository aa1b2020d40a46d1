"""Rows to a PDF: gathers a page's rows, and hands out the page when it is full.

Nothing here depends on the clock or on chance. Invariant: what is kept is at most one page of rows,
the characters met so far and two numbers a page.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from consumer.errors import ExportFailure
from consumer.formats.cells import cell_text
from consumer.formats.pdf import layout
from consumer.formats.pdf.document import StreamedDocument
from consumer.formats.pdf.fonts import FontStack
from consumer.formats.pdf.frame import Frame
from consumer.formats.pdf.table import Table, texts_of
from consumer.formats.pdf.text import Typesetter, shortened
from schemas.options import PdfOptions
from schemas.records import Cell
from schemas.requests import ExportRequested
from schemas.vocabulary import FailReason

_FEW_ROWS = 16
"""Of a batch, or of a piece of one: more rows than these are of moderate size, as pieces are."""
_MOST_CHARACTERS = 16 * 1024 * 1024


class PdfWriter:
    """A ``FormatWriter``: a table with the title on its first page and headers on each.

    ``dated_at`` is the document's date, aware; without one it shows none. A PDF of no rows has one
    page.
    """

    def __init__(
        self, request: ExportRequested, *, dated_at: datetime | None, fonts: FontStack
    ) -> None:
        if not isinstance(request.options, PdfOptions):
            raise TypeError("the request is not for a PDF")
        self._columns = request.columns
        self._title = request.title or request.export_id
        self._date = dated_at.astimezone(UTC) if dated_at else None
        self._records_per_page = request.options.records_per_page
        self._sheet = layout.sheet(request.options)
        self._body = Typesetter(fonts.body, "B")
        self._heading = Typesetter(fonts.heading, "H")
        self._frame = Frame(self._sheet, self._title, self._date, self._body, self._heading)
        self._document = StreamedDocument(identity=request.model_dump_json().encode())
        self._table: Table | None = None
        self._pending: list[Sequence[Cell]] = []
        self._pending_characters = 0

    @property
    def pages(self) -> int:
        """Pages so far; one more is begun if there are rows for it."""
        return self._document.pages

    @property
    def replaced_characters(self) -> int:
        """Characters of cells, headers and title that no font has, cut ones too."""
        return self._body.replaced_characters + self._heading.replaced_characters

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Take rows; return the pages that they fill.

        Raises:
            ExportFailure: the file has grown beyond what a PDF can hold, or a page's text beyond
                what is kept until it is full.
        """
        self._pending.extend(self._shortened(rows) if len(rows) <= _FEW_ROWS else rows)
        per_page = self._records_per_page
        full = len(self._pending) // per_page * per_page
        for start in range(0, full, per_page):
            self._add_page(self._pending[start : start + per_page])
        if full:
            del self._pending[:full]
            self._pending_characters = 0
        return self._document.take()

    def _shortened(self, rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
        """Rows without what no page shows: a few may be of megabytes, and wait for others."""
        kept = [[_kept(cell) for cell in row] for row in rows]
        self._pending_characters += sum(
            len(cell) for row in kept for cell in row if isinstance(cell, str)
        )
        if self._pending_characters > _MOST_CHARACTERS:
            message = f"a page has more than {_MOST_CHARACTERS:,} characters"
            raise ExportFailure(FailReason.TOO_LARGE, message)
        return kept

    def finish(self) -> Iterator[bytes]:
        """The last page, if rows are left or there is none yet, and what all pages share.

        Raises:
            ExportFailure: as ``append``.
        """
        if self._pending or not self.pages:
            self._add_page(self._pending)
            self._pending = []
        fonts: dict[str, object] = {}
        for typesetter in (self._body, self._heading):
            typesetter.add_fonts(self._document, fonts)
        facts = {"Title": self._title, "Producer": "Sluice"}
        if self._date:
            digits = "".join(filter(str.isdigit, self._date.isoformat(timespec="seconds")[:19]))
            facts["CreationDate"] = f"D:{digits}Z"
        yield from self._document.finish(self._sheet.width, self._sheet.height, fonts, facts)

    def _add_page(self, rows: Sequence[Sequence[Cell]]) -> None:
        page = [self._body.prepare(texts) for texts in texts_of(rows)]
        if self._table is None:
            self._table = Table(self._sheet, self._columns, page, self._body, self._heading)
        number = self.pages + 1
        parts = (self._frame.top(number), self._table.draw(page), self._frame.bottom(number))
        self._document.add_page(b"\n".join(parts))


def _kept(cell: Cell) -> Cell:
    return shortened(cell_text(cell)) if isinstance(cell, str | list | dict) else cell
