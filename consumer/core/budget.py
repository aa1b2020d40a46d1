"""Limits on the cost of one batch and of one turn.

Pure: sizes and times are passed in. Invariant: a batch of too many cells is refused before any of
them is parsed. The bytes a batch adds to its file are limited in ``exports.application``.
"""

from collections.abc import Callable, Sequence

from consumer.errors import ExportFailure
from schemas.json_pieces import MOST_ELEMENT_VALUES
from schemas.limits import MOST_BATCH_CELLS
from schemas.records import Batch
from schemas.vocabulary import FailReason

TURN_BYTES = 1024 * 1024
"""Message bytes that a turn handles."""
TURN_SECONDS = 0.05
PIECE_CELLS = 20_000
"""Cells that are put in order and encoded at a time: 10 to 40 ms, and less than 10 MiB. The usual
batch is one piece."""

PIECE_KEY_CHARACTERS = 500_000
"""Characters of all keys, times the rows of a piece; in XML a character may take 14 bytes."""


def require_few_cells(batch: Batch, columns: int) -> None:
    """Refuse a batch of too many cells before any of its rows is parsed.

    Its cells are its rows times the columns, since an object may omit keys; or the JSON values in
    its rows, nested ones included, if there are more of these.

    Raises:
        ExportFailure: it has more cells than a batch may.
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
    values = batch.large.values if batch.large else 0  # small batches can't have too many
    if max(cells, values) > MOST_BATCH_CELLS:
        what = f"{batch.row_count:,} rows of {columns} columns" if cells > values else "its rows"
        raise ExportFailure(
            FailReason.INVALID_BATCH,
            f"batch {batch.seq}: {what} have {max(cells, values):,} cells, more than"
            f" {MOST_BATCH_CELLS:,}",
        )


def rows_at_once(keys: Sequence[str]) -> int:
    """How many rows make up a piece, for these columns.

    Some formats repeat the keys in each row. A thousand two-byte rows with 256 keys of 1,000
    characters would become gigabytes.
    """
    cells = PIECE_CELLS // len(keys)
    return max(1, min(cells, PIECE_KEY_CHARACTERS // (1 + sum(map(len, keys)))))


class TurnBudget:
    """A turn's budget: bytes of messages, and seconds on a monotonic clock."""

    __slots__ = ("_bytes_left", "_monotonic", "_until")

    def __init__(self, monotonic: Callable[[], float], seconds: float) -> None:
        self._bytes_left = TURN_BYTES
        self._monotonic = monotonic
        self._until = monotonic() + seconds

    def spend(self, size_bytes: int) -> None:
        """Count a handled message of this size."""
        self._bytes_left -= size_bytes

    @property
    def spent(self) -> bool:
        """Whether the turn should end."""
        return self._bytes_left <= 0 or self._monotonic() >= self._until
