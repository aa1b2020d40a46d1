"""Writes rows to a workbook: divides them among sheets, and writes shared parts at the end.

Independent of clock and randomness. Invariant: it keeps only the rows that determine column widths,
a piece to be compressed, and some bytes per sheet.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from consumer.formats.base import WholeCells
from consumer.formats.xlsx import parts, styles
from consumer.formats.xlsx.archive import Archive
from consumer.formats.xlsx.cells import TRIGGERS, text_cell
from consumer.formats.xlsx.names import first_name, further_name
from consumer.formats.xlsx.rows import RowEncoder
from consumer.formats.xlsx.typed_cells import DAYS
from consumer.formats.xlsx.widths import Widths
from schemas.options import XlsxOptions
from schemas.records import Cell, EncodedRows
from schemas.requests import ExportRequested
from schemas.sheets import MOST_CELL_CHARACTERS, MOST_SHEET_ROWS


class XlsxWriter(WholeCells):
    """A ``FormatWriter``: a sheet, or more where one can't hold all rows, each with the header.

    ``dated_at`` is the document's date, aware; without one it has none.
    """

    def __init__(self, request: ExportRequested, *, dated_at: datetime | None) -> None:
        options = request.options
        if not isinstance(options, XlsxOptions):
            raise TypeError(f"the options of {request.format} are not those of xlsx")
        self._columns = request.columns
        self._header = options.header
        self._name = options.sheet or first_name(request.title)
        self._title = request.heading
        self._dated_at = dated_at
        self._encoder = RowEncoder(request.columns)
        self._widths = Widths(request.columns, header=options.header)
        self._archive = Archive()
        self._sheets: list[parts.WorkbookSheet] = []
        self._waiting: list[bytes] = []
        self._workbook_is_begun = False
        self._rows = 0  # of the export
        self._sheet_rows = int(options.header)  # of the current sheet

    @property
    def native_place(self) -> int | None:
        """The number of the next row in its sheet; None while widths are not known."""
        return self._sheet_rows + 1 if self._workbook_is_begun else None

    def native_options(self) -> dict[str, object]:
        """What ``native/src/xlsx`` needs to know: styles and bounds, which no request changes."""
        return {
            "styles": [
                *(styles.QUOTED, styles.WHOLE, styles.DATE),
                *(styles.TIMESTAMP, styles.TIMESTAMP_MILLIS, styles.fraction(1)),
            ],
            "most_decimals": styles.MOST_DECIMALS,
            "triggers": TRIGGERS,
            "most_cell_characters": MOST_CELL_CHARACTERS,
            "most_sheet_rows": MOST_SHEET_ROWS,
            "days": (DAYS.start, DAYS.stop),
        }

    def adopt(self, rows: EncodedRows) -> bytes:
        """See ``NativeWriter``; the rows' XML is packed here."""
        self._archive.write(rows.data)
        self._rows += rows.count
        self._sheet_rows += rows.count
        return self._archive.take()

    def append(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Add rows; return the compressed bytes that are ready.

        Raises:
            ExportFailure: a cell has more characters than one may have.
        """
        if not self._workbook_is_begun:
            self._widths.look(rows)
            if not self._widths.are_known:
                self._waiting += self._encoded(rows)
                return b""
            self._begin_workbook()
        done = 0
        while done < len(rows):
            # Only if a row follows, so that no sheet is empty.
            if self._sheet_rows == MOST_SHEET_ROWS:
                self._end_sheet()
                self._begin_sheet()
            end = min(len(rows), done + MOST_SHEET_ROWS - self._sheet_rows)
            for xml in self._encoded(rows[done:end]):
                self._archive.write(xml)
            done = end
        return self._archive.take()

    def finish(self) -> Iterator[bytes]:
        """The end of the last sheet, and the parts that all share."""
        if not self._workbook_is_begun:
            self._begin_workbook()
        self._end_sheet()
        for name, content in parts.after_sheets(self._sheets):
            self._archive.add(name, content)
        self._archive.finish()
        yield self._archive.take()

    def _encoded(self, rows: Sequence[Sequence[Cell]]) -> Iterator[bytes]:
        """The XML of rows, which go into the current sheet."""
        yield from self._encoder.encode(rows, self._sheet_rows + 1, self._rows)
        self._rows += len(rows)
        self._sheet_rows += len(rows)

    def _begin_workbook(self) -> None:
        self._workbook_is_begun = True
        for name, content in parts.before_sheets(self._title, self._dated_at):
            self._archive.add(name, content)
        self._begin_sheet()
        for xml in self._waiting:
            self._archive.write(xml)
        self._waiting.clear()

    def _begin_sheet(self) -> None:
        number = len(self._sheets) + 1
        self._archive.begin(parts.sheet_path(number))
        head = parts.sheet_head(self._widths.xml(), first=number == 1, frozen=self._header)
        self._archive.write(head)
        if self._header:
            cells = (text_cell(one.header, styles.HEADER) for one in self._columns)
            self._archive.write(b'<row r="1"><c r="A1"%b</row>' % b"<c".join(cells))

    def _end_sheet(self) -> None:
        area = parts.area(len(self._columns), self._sheet_rows) if self._header else None
        self._archive.write(parts.sheet_tail(area))
        self._archive.end()
        number = len(self._sheets) + 1
        name = self._name if number == 1 else further_name(self._name, number)
        self._sheets.append(parts.WorkbookSheet(name, area))
        self._sheet_rows = int(self._header)
