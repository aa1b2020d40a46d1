"""Splits NDJSON that arrives in pieces of any size into rows, one a line.

No I/O. Rows are returned as bytes: an upload may take hours, and parsed cells take twenty times
their text or more. Invariant: at most one line, of limited length, is held between two pieces, and
no integer changes.
"""

from collections.abc import Collection, Iterator
from http import HTTPStatus

from producer.batching import encode_row
from schemas import exact_json
from schemas.errors import FieldError
from schemas.json_pieces import MOST_ELEMENT_VALUES
from schemas.json_text import holds_more
from schemas.limits import LARGE_BYTES
from sluice.http.problems import Refusal
from sluice.http.rows import ROW_TEXT_BYTES, RowCheck

LINE_MAX_BYTES = ROW_TEXT_BYTES
LINES_AT_ONCE = 1_000
"""Rows that are parsed before the next ones wait for Kafka."""
_BOM = b"\xef\xbb\xbf"


def wrong_line(number: int, message: str) -> Refusal:
    """400, naming the line, from 1."""
    line = f"line {number}"
    return Refusal(HTTPStatus.BAD_REQUEST, f"{line}: {message}", [FieldError(line, message)])


class NdjsonRows:
    """Takes the pieces of one body, in order. Blank lines are skipped.

    ``kept``: take only these keys of objects; None: take all, and refuse unknown ones.
    """

    def __init__(self, check: RowCheck, kept: Collection[str] | None = None) -> None:
        self._check = check
        self._kept = kept
        self._line = 0
        self._beginning: list[bytes] = []
        self._beginning_bytes = 0

    @property
    def line_bytes(self) -> int:
        """Bytes held of a line whose end has not arrived yet."""
        return self._beginning_bytes

    def feed(self, piece: bytes) -> Iterator[list[bytes]]:
        """The rows of the lines that end in this piece, of at most ``LINES_AT_ONCE`` at a time.

        The iterator must be exhausted before the next piece is fed.

        Raises:
            Refusal: 400, a line is not a row; it names the line. The rows before it come first.
        """
        while True:
            *lines, piece = piece.split(b"\n", LINES_AT_ONCE)
            if not lines:
                break
            self._keep(lines[0])
            lines[0] = self._take()
            rows, wrong = self._rows(lines)
            del lines  # long ones, while the rows wait for Kafka
            yield rows
            del rows
            if wrong:
                try:
                    raise wrong
                finally:
                    del wrong  # it would hold this frame, and the line, until garbage is collected
        self._keep(piece)

    def end(self) -> Iterator[list[bytes]]:
        """The row of a last line that has no line break. Raises as ``feed``."""
        return self.feed(b"\n")

    def _keep(self, part: bytes) -> None:
        self._beginning_bytes += len(part)
        if self._beginning_bytes > LINE_MAX_BYTES:
            raise wrong_line(self._line + 1, f"is longer than {LINE_MAX_BYTES:,} bytes")
        self._beginning.append(part)

    def _take(self) -> bytes:
        line = b"".join(self._beginning)
        self._beginning, self._beginning_bytes = [], 0
        return line

    def _rows(self, lines: list[bytes]) -> tuple[list[bytes], Refusal | None]:
        """The rows up to the first wrong line, and what is wrong with it."""
        rows: list[bytes] = []
        for line in lines:
            self._line += 1
            text = line.removeprefix(_BOM) if self._line == 1 else line
            if text and not text.isspace():
                try:
                    rows.append(self._row(text))
                except Refusal as refusal:
                    return rows, refusal
        return rows, None

    def _row(self, text: bytes) -> bytes:
        if len(text) > LARGE_BYTES and holds_more(text, MOST_ELEMENT_VALUES):
            raise wrong_line(self._line, f"holds more than {MOST_ELEMENT_VALUES:,} values")
        try:
            row = exact_json.loads(text)
        except ValueError as error:
            raise wrong_line(self._line, f"malformed JSON: {error}") from None
        if self._kept is not None and isinstance(row, dict):
            row = {key: cell for key, cell in row.items() if key in self._kept}
        if finding := self._check.finding(row, len(text)):
            raise wrong_line(self._line, finding)
        # A copy: what orjson returns keeps its buffer, of 4 KiB for the shortest row.
        return bytes(memoryview(encode_row(row)))
