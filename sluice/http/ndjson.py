"""NDJSON in pieces of any size to rows, a line each.

No I/O. Invariant: at most one line, which is bounded, is held between two pieces, and no integer
changes.
"""

from http import HTTPStatus

from producer.batching import ROW_MAX_BYTES, encode_row
from schemas import exact_json
from schemas.errors import FieldError
from schemas.json_pieces import values_at_most
from schemas.records import Row
from sluice.http.problems import Refusal
from sluice.http.rows import ROW_TEXT_BYTES, RowCheck
from sluice.http.spool import IN_MEMORY_BYTES

LINE_MAX_BYTES = ROW_TEXT_BYTES
_BOM = b"\xef\xbb\xbf"


def wrong_line(number: int, message: str) -> Refusal:
    """400, naming the line, from 1."""
    line = f"line {number}"
    return Refusal(HTTPStatus.BAD_REQUEST, f"{line}: {message}", [FieldError(line, message)])


class NdjsonRows:
    """Takes the pieces of one body, in order. Lines that are blank are skipped."""

    def __init__(self, check: RowCheck) -> None:
        self._check = check
        self._line = 0
        self._beginning: list[bytes] = []
        self._beginning_bytes = 0

    @property
    def line_bytes(self) -> int:
        """Of the line whose end hasn't come yet."""
        return self._beginning_bytes

    def feed(self, piece: bytes) -> list[Row | bytes]:
        """The rows of the lines that end in this piece.

        Raises:
            Refusal: 400, a line is no row; it names the line.
        """
        head, newline, rest = piece.partition(b"\n")
        self._keep(head)
        if not newline:
            return []
        *lines, last = rest.split(b"\n")
        rows = self._rows([self._take(), *lines])
        self._keep(last)
        return rows

    def end(self) -> list[Row | bytes]:
        """The row of the last line, where no line break ends it. Raises as ``feed``."""
        return self._rows([self._take()])

    def _keep(self, part: bytes) -> None:
        self._beginning_bytes += len(part)
        if self._beginning_bytes > LINE_MAX_BYTES:
            raise wrong_line(self._line + 1, f"is longer than {LINE_MAX_BYTES:,} bytes")
        self._beginning.append(part)

    def _take(self) -> bytes:
        line = b"".join(self._beginning)
        self._beginning, self._beginning_bytes = [], 0
        return line

    def _rows(self, lines: list[bytes]) -> list[Row | bytes]:
        rows: list[Row | bytes] = []
        for line in lines:
            self._line += 1
            text = line.removeprefix(_BOM) if self._line == 1 else line
            if text and not text.isspace():
                rows.append(self._row(text))
        return rows

    def _row(self, text: bytes) -> Row | bytes:
        """The row; of a long line as bytes, as its cells may take forty times as much."""
        if len(text) > ROW_MAX_BYTES and values_at_most(text) > ROW_MAX_BYTES:
            raise wrong_line(self._line, f"holds more than {ROW_MAX_BYTES:,} values")
        try:
            row: Row = exact_json.loads(text)
        except ValueError as error:
            raise wrong_line(self._line, f"malformed JSON: {error}") from None
        if finding := self._check.finding(row, len(text)):
            raise wrong_line(self._line, finding)
        return encode_row(row) if len(text) > IN_MEMORY_BYTES else row
