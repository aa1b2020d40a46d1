"""Writes rows to a PDF: collects a page's rows, and returns pages when they are full.

Independent of clock and randomness. Invariant: it keeps at most two pages of rows, the characters
seen so far and two numbers per page.
"""

from collections.abc import Generator, Iterator, Sequence
from datetime import datetime, tzinfo

from consumer.errors import ExportFailure
from consumer.formats.cells import cell_text
from consumer.formats.pdf.document import StreamedDocument
from consumer.formats.pdf.fonts import FontStack
from consumer.formats.pdf.frame import TOTAL, Frame, footer_lines
from consumer.formats.pdf.layout import most_records
from consumer.formats.pdf.metadata import information, xmp
from consumer.formats.pdf.native_pages import NativePages, NativePdfModule, NativeRows
from consumer.formats.pdf.repertoire import REPLACEMENT
from consumer.formats.pdf.table import PageTable, texts_of
from consumer.formats.pdf.text import Copy, Typesetter, shortened
from schemas.options import PdfOptions
from schemas.records import Cell
from schemas.requests import ExportRequested
from schemas.time_zones import time_zone
from schemas.vocabulary import FailReason

_FEW_ROWS = 16
"""Of a batch, or of a piece of one: more rows than these are of moderate size, as pieces are."""
_MOST_CHARACTERS = 16 * 1024 * 1024
_SHAPED_AT_ONCE = 10_000
"""Characters of texts that were shaped, which take some 40 ms; then others get a turn."""
_PAGES_AT_ONCE = 10
"""The same for pages drawn in Python: one of a hundred columns takes 2 ms if they grow with it."""


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
        self._options = options = request.options
        self._date = dated_at
        wraps = options.overflow == "wrap"
        self._body = Typesetter(fonts.body, "B", fonts.shaped_body, wraps=wraps)
        self._heading = Typesetter(fonts.heading, "H", fonts.shaped_heading)
        self._title = request.heading
        self._shown_title = self._heading.prepare([self._title])
        self._footer = self._body.prepare([options.footer])
        self._document = StreamedDocument(identity=_identity(request, dated_at))
        # Of wrapped rows as many again, as it is not known how many a page will hold.
        self._rows_at_once = most_records(options) * (2 if wraps else 1)
        self._table: PageTable | None = None
        self._frame: Frame | None = None
        self._native: NativePages | None = None
        self._pending: list[Sequence[Cell]] = []
        self._pending_characters = 0
        self._truncated_natively = 0
        self._shaped_characters = self._drawn_pages = 0
        self._unfinished: Generator[None, None, int] | None = None

    @property
    def is_behind(self) -> bool:
        """Whether pages wait that rows fill: many pages, and text that is shaped, take long."""
        waiting = self._native.has_block if self._native else False
        return waiting or len(self._pending) >= self._rows_at_once

    @property
    def pages(self) -> int:
        """Pages so far; one more is begun if there are rows for it."""
        return self._document.pages

    @property
    def replaced_characters(self) -> int:
        """Characters of cells, headers, title and footer that no font has, cut ones too."""
        return self._body.replaced_characters + self._heading.replaced_characters

    @property
    def truncated_cells(self) -> int:
        """Cells that are not shown whole: cut, or numbers that had no room."""
        drawn = self._table.truncated_cells if self._table else 0
        return drawn + self._truncated_natively

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Take rows; return the pages that they fill, or some of them: see ``is_behind``.

        Raises:
            ExportFailure: the file has grown beyond what a PDF can hold, or a page's text beyond
                what is kept until it is full.
        """
        self._pending.extend(self._shortened(rows) if len(rows) <= _FEW_ROWS else rows)
        self._shaped_characters = self._drawn_pages = 0
        if self._native:
            return self._drawn_natively(self._native)
        done = 0
        while len(self._pending) - done >= self._rows_at_once and not self._has_done_enough:
            if self._unfinished is None:
                rows = self._pending[done : done + self._rows_at_once]
                self._unfinished = self._adding(rows, last=False)
            done += self._go_on(self._unfinished)
        if done:
            del self._pending[:done]
            self._pending_characters = 0
        return self._document.take()

    def append_native(self, native: NativePdfModule, rows: NativeRows) -> bytes:
        """The same for rows that were read natively. From now on pages are drawn natively, too.

        Raises:
            ExportFailure: as ``append``.
        """
        if self._native is None:
            block = self._rows_at_once
            self._native = NativePages(native, len(self._columns), self._body, block)
        if len(rows) <= _FEW_ROWS:
            self._count(rows.characters)
        self._shaped_characters = self._drawn_pages = 0
        return self._drawn_natively(self._native, rows)

    def _drawn_natively(self, native: NativePages, rows: NativeRows | None = None) -> bytes:
        """The pages that rows fill which Python has read, and then others."""
        if self._pending:
            native.add_texts([*zip(*texts_of(self._pending), strict=True)])
            self._pending = []
        if rows is not None:
            native.add(rows)
        while native.has_block and not self._has_done_enough:
            if self._unfinished is None:
                drawn = native.draw(self.pages + 1)
                for content in drawn.contents:
                    self._document.add_compressed(content)
                self._body.replaced_characters += drawn.replaced
                self._truncated_natively += drawn.truncated
                self._pending_characters = 0
                if not drawn.is_undecided:
                    continue
                self._unfinished = self._adding(native.block_texts(), last=False)
            if added := self._go_on(self._unfinished):
                native.pass_over(added)
                native.hand_over(*self._lay_out([]))
        return self._document.take()

    @property
    def _has_done_enough(self) -> bool:
        return self._has_shaped_enough or self._drawn_pages >= _PAGES_AT_ONCE

    @property
    def _has_shaped_enough(self) -> bool:
        return self._shaped_characters >= _SHAPED_AT_ONCE

    def _count_shaped(self, characters: int) -> bool:
        self._shaped_characters += characters
        return self._has_shaped_enough

    def _shortened(self, rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
        """Shorten rows to what a page can show: a few may have megabytes, and wait for others."""
        kept = [[self._kept(cell) for cell in row] for row in rows]
        self._count(sum(len(cell) for row in kept for cell in row if isinstance(cell, str)))
        return kept

    def _count(self, characters: int) -> None:
        self._pending_characters += characters
        if self._pending_characters > _MOST_CHARACTERS:
            message = f"a page has more than {_MOST_CHARACTERS:,} characters"
            raise ExportFailure(FailReason.TOO_LARGE, message)

    def _kept(self, cell: Cell) -> Cell:
        if isinstance(cell, str | list | dict):
            return shortened(cell_text(cell), self._body.most_text)
        return cell

    def finish(self) -> Iterator[bytes]:
        """The last pages, if rows are left or there is none yet, and what all pages share.

        Raises:
            ExportFailure: as ``append``.
        """
        while self.is_behind:
            yield self.append([])
        if self._native:
            self._pending = [*self._native.last_texts()]
        if self._pending or not self.pages:
            for _ in self._adding(self._pending, last=True):
                self._shaped_characters = 0
                yield b""
            self._pending = []
        table, frame = self._lay_out([])
        total = frame.total(self.pages)
        fonts: dict[str, object] = {}
        for typesetter in (self._body, self._heading):
            typesetter.add_fonts(self._document, fonts)
        sheet = table.plan.sheet
        yield from self._document.finish(
            *(sheet.width, sheet.height),
            fonts=fonts,
            forms={TOTAL: total},
            info=information(self._title, self._date),
            metadata=xmp(self._title, self._date),
        )

    def _go_on(self, adding: Generator[None, None, int]) -> int:
        """How many rows ``adding`` has added; 0 where text of theirs is still to be shaped."""
        before = self.pages
        try:
            next(adding)
        except StopIteration as end:
            self._unfinished = None
            self._drawn_pages += self.pages - before
            added: int = end.value
            return added
        return 0

    def _adding(self, rows: Sequence[Sequence[Cell]], *, last: bool) -> Generator[None, None, int]:
        """Add the pages that rows fill, if they are the ``last`` all; how many rows that were.

        Yields whenever enough text was shaped for one call.
        """
        texts = [*texts_of(rows)]
        replaced = self._body.replaced_characters
        columns: list[Copy] = []
        for column in texts:
            copy = yield from self._body.preparing(column, self._count_shaped)
            columns.append(copy)
        table, frame = self._lay_out(columns)
        block = table.set(columns)
        start = 0
        while start < len(rows) or not self.pages:
            end, full = table.page_end(block, start)
            if not (full or last):
                break
            number = self.pages + 1
            parts = (frame.top(number), table.draw(block, start, end), frame.bottom(number))
            self._document.add_page(b"\n".join(parts))
            start = end
        if start < len(rows) and self._body.replaced_characters > replaced:
            # These come again, and are counted then.
            self._body.replaced_characters -= sum(
                _replaced(copy.texts[start:], map(self._body.shortened, column[start:]))
                for copy, column in zip(columns, texts, strict=True)
            )
        return start

    def _lay_out(self, first_rows: Sequence[Copy]) -> tuple[PageTable, Frame]:
        """The table and what stands around it, made with the first rows."""
        if self._table is None or self._frame is None:
            self._table = PageTable(
                *(self._columns, self._options, first_rows, self._footer_lines),
                *(self._body, self._heading),
            )
            date = _local(self._date, time_zone(self._options.timezone)) if self._date else None
            self._frame = Frame(
                *(self._table.plan.sheet, self._shown_title, self._footer, date),
                *(self._body, self._heading),
            )
        return self._table, self._frame

    def _footer_lines(self, width: float, size: float) -> int:
        return len(footer_lines(self._body, self._footer, width, size))


def _local(date: datetime, zone: tzinfo) -> datetime:
    try:
        return date.astimezone(zone)
    except OverflowError:  # in the first or last hours that there are
        return date


def _replaced(shown: Sequence[str], sent: Iterator[str]) -> int:
    return sum(text.count(REPLACEMENT) for text in shown) - sum(
        text.count(REPLACEMENT) for text in sent
    )


def _identity(request: ExportRequested, dated_at: datetime | None) -> bytes:
    """The file's identity; a retry has the original's, because it makes the same file."""
    changes = {
        "export_id": request.retry_of or request.export_id,
        "retry_of": None,
        "requested_at": dated_at,
    }
    return request.model_copy(update=changes).model_dump_json().encode()
