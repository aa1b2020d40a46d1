"""One export's sequence of batches: what to do with the next one.

Pure: batches in, rows or a verdict out. Rules (the contract, ``export.records``):

- ``seq`` counts from 0 by 1; a lower one is a repeat and is dropped, a higher one is a gap;
- a row is an array of exactly one cell per column, or an object by column key, in which a missing
  key is null and an unknown one is wrong;
- ``total_rows``, which comes with the last batch, must be the number of rows.

Invariant: ``rows`` counts batches applied whole; a batch that raises changes nothing.
"""

from collections.abc import Sequence

from consumer.errors import ExportFailure
from schemas.records import Batch, Cell, Row
from schemas.vocabulary import FailReason


class Assembly:
    """The state of one export: which batch comes next, and how many rows there are."""

    __slots__ = ("_keys", "next_seq", "rows")

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        self.next_seq = 0
        self.rows = 0

    def accept(self, batch: Batch) -> list[list[Cell]] | None:
        """The batch's rows in column order, or None for a repeat, which is to be dropped.

        Nothing changes until ``apply`` is called with the same batch.

        Raises:
            ExportFailure: a gap, a row of the wrong shape, or a wrong total.
        """
        if batch.seq < self.next_seq:
            return None
        if batch.seq > self.next_seq:
            raise ExportFailure(
                FailReason.SEQUENCE_GAP, f"batch {self.next_seq} is missing: got {batch.seq}"
            )
        rows = _in_column_order(batch, self._keys)
        total = self.rows + len(rows)
        if batch.total_rows is not None and batch.total_rows != total:
            raise ExportFailure(
                FailReason.ROW_COUNT_MISMATCH,
                f"total_rows: is {batch.total_rows}, but {total} rows came",
            )
        return rows

    def apply(self, batch: Batch) -> None:
        """Count an accepted batch, once its rows are in the file."""
        self.next_seq = batch.seq + 1
        self.rows += len(batch.rows)


def _in_column_order(batch: Batch, keys: tuple[str, ...]) -> list[list[Cell]]:
    rows = batch.rows
    # Most batches hold nothing but arrays of the right length: two passes at C speed.
    if set(map(type, rows)) <= {list} and set(map(len, rows)) <= {len(keys)}:
        return rows  # type: ignore[return-value]  # each was just seen to be a list
    known = frozenset(keys)
    return [_cells(row, keys, known, f"batch {batch.seq}, row {n}") for n, row in enumerate(rows)]


def _cells(row: Row, keys: tuple[str, ...], known: frozenset[str], where: str) -> list[Cell]:
    if isinstance(row, list):
        if len(row) != len(keys):
            raise _wrong(f"{where}: has {len(row)} cells for {len(keys)} columns")
        return row
    if isinstance(row, dict):
        if not row.keys() <= known:
            unknown = min(row.keys() - known)
            raise _wrong(f"{where}: {unknown!r:.80} is no column")
        return [row.get(key) for key in keys]
    raise _wrong(f"{where}: is neither an array nor an object")


def _wrong(message: str) -> ExportFailure:
    return ExportFailure(FailReason.INVALID_BATCH, message)
