"""Column widths, from headers, types and the first rows.

Widths precede the rows in the file, so the first rows wait until enough were seen. Invariant: which
rows are used depends only on the rows, not on how they are divided into pieces.
"""

from collections.abc import Sequence
from unicodedata import east_asian_width

from consumer.formats.cells import cell_text
from schemas.records import Cell
from schemas.requests import Column
from schemas.vocabulary import ColumnType

_MOST_ROWS = 100
_MOST_CHARACTERS = 64 * 1024  # of the rows that wait
_NARROWEST, _WIDEST = 8, 60  # in digits of the font
_FILTER_BUTTON = 3
_MARGIN = 2
_WIDEST_OF: dict[ColumnType | None, int] = {
    ColumnType.DATE: len("2026-11-21"),
    ColumnType.TIMESTAMP: len("2026-11-21 10:00:00.000"),
}


class Widths:
    """Give it rows, in their order, until ``are_known``."""

    def __init__(self, columns: Sequence[Column], *, header: bool) -> None:
        self._rows_left = _MOST_ROWS
        self._characters_left = _MOST_CHARACTERS
        self._most = [_WIDEST_OF.get(column.type, _WIDEST) for column in columns]
        self._seen = [
            max(_NARROWEST, _shown(column.header) + _FILTER_BUTTON if header else 0)
            for column in columns
        ]

    def look(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Look at rows, at as many of them as are needed."""
        for row in rows:
            if self.are_known:
                break
            texts = [*map(cell_text, row)]
            shown = map(min, map(_shown, texts), self._most)
            self._seen = [*map(max, self._seen, shown)]
            self._rows_left -= 1
            self._characters_left -= sum(map(len, texts))

    @property
    def are_known(self) -> bool:
        """Whether enough rows were seen."""
        return self._rows_left <= 0 or self._characters_left <= 0

    def xml(self) -> bytes:
        """The columns of a sheet."""
        columns = "".join(
            f'<col min="{place}" max="{place}" width="{min(seen, _WIDEST) + _MARGIN}"'
            ' customWidth="1"/>'
            for place, seen in enumerate(self._seen, 1)
        )
        return f"<cols>{columns}</cols>".encode()


def _shown(text: str) -> int:
    """About how many digits wide a text is, up to a bound."""
    text = text[:_WIDEST]
    if text.isascii():
        return len(text)
    # Wide characters take the room of two.
    return len(text) + sum(east_asian_width(character) in "WF" for character in text)
