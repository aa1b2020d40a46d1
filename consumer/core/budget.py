"""What one batch may cost, and what one turn may.

Pure: sizes and times are given. Invariant: a batch of too many cells is refused before one of them
is built. What a batch makes of its file is counted as it is made, in ``exports.application``.
"""

from collections.abc import Callable, Sequence

from consumer.errors import ExportFailure
from schemas.json_pieces import MOST_ELEMENT_VALUES
from schemas.limits import MOST_BATCH_CELLS
from schemas.records import Batch
from schemas.vocabulary import FailReason

TURN_BYTES = 1024 * 1024
"""Of messages that a turn handles."""
TURN_SECONDS = 0.05
PIECE_CELLS = 20_000
"""Cells that are put in order and encoded at a time: 10 to 40 ms, and less than 10 MiB. The usual
batch is one piece."""

PIECE_KEY_CHARACTERS = 500_000
"""Of all keys times the rows of a piece; in an XML file a character may take 14 bytes."""


def require_few_cells(batch: Batch, columns: int) -> None:
    """Refuse a batch of too many cells before any row of it is built.

    Its cells are its rows times the columns, as an object may leave out any; or the JSON values in
    its rows, nested ones included, if these are more.

    Raises:
        ExportFailure: there are more than a batch may have.
    """
    cells = batch.row_count * columns
    if cells <= MOST_BATCH_CELLS and batch.large is None:
        return
    if batch.large and batch.large.crowded:
        raise ExportFailure(
            FailReason.INVALID_BATCH,
            f"batch {batch.seq}: row {batch.row_count + 1} holds more than"
            f" {MOST_ELEMENT_VALUES:,} values",
        )
    values = batch.large.values if batch.large else 0  # fewer than fit into a small one
    if max(cells, values) > MOST_BATCH_CELLS:
        what = f"{batch.row_count:,} rows of {columns} columns" if cells > values else "its rows"
        raise ExportFailure(
            FailReason.INVALID_BATCH,
            f"batch {batch.seq}: {what} have {max(cells, values):,} cells, more than"
            f" {MOST_BATCH_CELLS:,}",
        )


def rows_at_once(keys: Sequence[str]) -> int:
    """How many rows make a piece of a table with these columns.

    Some formats write the keys in each row, where a batch may hold a thousand rows of two bytes: of
    256 keys of 1,000 characters they are gigabytes.
    """
    cells = PIECE_CELLS // len(keys)
    return max(1, min(cells, PIECE_KEY_CHARACTERS // (1 + sum(map(len, keys)))))


class TurnBudget:
    """A turn's share: bytes of messages, and seconds by a monotonic clock."""

    __slots__ = ("_bytes_left", "_monotonic", "_until")

    def __init__(self, monotonic: Callable[[], float], seconds: float) -> None:
        self._bytes_left = TURN_BYTES
        self._monotonic = monotonic
        self._until = monotonic() + seconds

    def spend(self, size_bytes: int) -> None:
        """A message of this size was handled."""
        self._bytes_left -= size_bytes

    @property
    def spent(self) -> bool:
        """Whether the turn is to end."""
        return self._bytes_left <= 0 or self._monotonic() >= self._until
