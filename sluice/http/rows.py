"""Checks rows before they are published, so that the consumer accepts them: shape, types, size.

Pure. The rules are those of ``consumer.core.batch_sequence``, which is authoritative. Invariant: a
row without a finding fits a message.
"""

from collections.abc import Iterator, Sequence

import orjson

from producer.batching import ROW_MAX_BYTES, encode_row
from schemas.column_types import wrong_cell
from schemas.errors import shown
from schemas.json_pieces import PIECE_BYTES, UNBUILT
from schemas.records import Cell
from schemas.requests import Column

ROW_TEXT_BYTES = 4 * 1024 * 1024
"""Of a row in a body, including white space; a longer one is never examined."""
_SURELY_FITS_BYTES = 500
"""Shorter text can't be a row that is too large, or too deep to be written again."""


class RowCheck:
    """Finds errors in rows of these columns; None if the columns are unknown."""

    def __init__(self, columns: Sequence[Column] | None) -> None:
        self._keys = None if columns is None else frozenset(column.key for column in columns)
        self._typed = [
            (place, column.key, column.type)
            for place, column in enumerate(columns or ())
            if column.type is not None
        ]

    def count_wrong(self, rows: Sequence[object], text_bytes: int) -> int:
        """How many of these rows have a finding; ``text_bytes`` as for ``finding``.

        Costs little where rows are small: some 0.1 µs each.
        """
        wrong = sum(map(self._is_misshapen, rows))
        # Types can be checked together only in rows that all have the right shape.
        if self._typed and (wrong or self._type_finding(rows)):
            return sum(self.finding(row, text_bytes) is not None for row in rows)
        if wrong or text_bytes <= _SURELY_FITS_BYTES or (text_bytes <= PIECE_BYTES and _flat(rows)):
            return wrong
        return sum(self.finding(row, text_bytes) is not None for row in rows)

    def findings(self, rows: Sequence[object], text_bytes: int) -> Iterator[tuple[int, str]]:
        """The index of each invalid row, and why."""
        for index, row in enumerate(rows):
            if finding := self.finding(row, text_bytes):
                yield index, finding

    def finding(self, row: object, text_bytes: int) -> str | None:
        """What is wrong with a row read from at most this many bytes; or None."""
        if isinstance(row, list | dict):
            finding = self._shape(row) or self._type_finding([row])
            if finding or text_bytes <= _SURELY_FITS_BYTES:
                return finding
            return _size(row)
        if row is UNBUILT:
            return f"is longer than {ROW_TEXT_BYTES:,} bytes"
        return "must be an array or an object"

    def _is_misshapen(self, row: object) -> bool:
        if isinstance(row, list):
            return self._keys is not None and len(row) != len(self._keys)
        if isinstance(row, dict):
            return self._keys is not None and not row.keys() <= self._keys
        return True

    def _shape(self, row: Sequence[object] | dict[str, object]) -> str | None:
        if self._keys is None:
            return None
        if isinstance(row, dict):
            if row.keys() <= self._keys:
                return None
            return f"{min(row.keys() - self._keys)!r:.80} is no column"
        if len(row) == len(self._keys):
            return None
        return f"has {len(row)} cells for {len(self._keys)} columns"

    def _type_finding(self, rows: Sequence[object]) -> str | None:
        """The first cell that doesn't fit its column's type, in rows of the right shape."""
        for place, key, column_type in self._typed:
            if found := wrong_cell([_cell(row, place, key) for row in rows], column_type):
                return f"column {shown(key)}: {found[1]}"
        return None


def _cell(row: object, place: int, key: str) -> Cell:
    return row.get(key) if isinstance(row, dict) else row[place]  # type: ignore[index]  # a list


def _flat(rows: Sequence[object]) -> bool:
    """Whether rows from a piece too short for an oversized row can be written."""
    try:
        orjson.dumps(rows)
    except TypeError:
        return False
    return True


def _size(row: list[object] | dict[str, object]) -> str | None:
    try:
        size_bytes = len(encode_row(row))
    except (TypeError, ValueError, RecursionError):
        return "is nested too deep"
    if size_bytes > ROW_MAX_BYTES:
        return f"its {size_bytes:,} bytes don't fit a message; at most {ROW_MAX_BYTES:,} do"
    return None
