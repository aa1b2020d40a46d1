"""One export's sequence of batches: what to do with each.

Pure: batches in, rows in pieces or a verdict out. Rules (the contract, ``export.records``):

- ``seq`` counts up from 0; a lower one than expected is a repeat and is dropped, a higher one is a
  gap;
- a row is an array with exactly one cell per column, or an object by column key, in which a missing
  key means null and an unknown key is an error;
- a cell must match its column's type, if it has one (``schemas.column_types``);
- ``total_rows``, sent with the last batch, must equal the number of rows.

Invariant: ``rows`` counts the rows of completely applied batches; a batch that raises changes
nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import itemgetter

from consumer.core.budget import require_few_cells, rows_at_once
from consumer.errors import ExportFailure
from schemas.column_types import wrong_cell
from schemas.errors import shown
from schemas.records import Batch, Cell, Row
from schemas.vocabulary import ColumnType, FailReason


class BatchSequence:
    """One export's progress: which batch comes next, and how many rows were applied."""

    __slots__ = ("_keys", "_types", "next_seq", "rows")

    def __init__(self, keys: Sequence[str], types: Sequence[ColumnType | None] = ()) -> None:
        """``types`` are the columns' types; there may be fewer than columns, or none."""
        self._keys = tuple(keys)
        self._types = {place: one for place, one in enumerate(types) if one is not None}
        self.next_seq = 0
        self.rows = 0

    def accept(self, batch: Batch, *, bounded: bool = True) -> bool:
        """Whether a batch is the next one; drop it if not, as it is a repeat.

        Nothing changes until ``apply`` is called with the same batch.

        Raises:
            ExportFailure: there is a gap; the batch has too many cells, if ``bounded``; or a row
                has more values than are ever parsed.
        """
        if batch.seq < self.next_seq:
            return False
        if batch.seq > self.next_seq:
            raise ExportFailure(
                FailReason.SEQUENCE_GAP, f"batch {self.next_seq} is missing: got {batch.seq}"
            )
        if bounded or (batch.large and batch.large.crowded):
            require_few_cells(batch, len(self._keys))
        return True

    def pieces(self, batch: Batch, after: int = 0) -> "Pieces":
        """The next batch's rows after the first ``after``, in column order, some at a time."""
        return Pieces(batch, self._keys, self._types, self.rows, after)

    def apply(self, batch: Batch) -> None:
        """Count an accepted batch once its rows are in the file."""
        self.next_seq = batch.seq + 1
        self.rows += batch.row_count


class Pieces(Iterator[Sequence[Sequence[Cell]]]):
    """The rows of one batch in column order. Not a generator: it would keep the last rows alive.

    ``done`` counts the rows returned. Raises ExportFailure for a row of the wrong shape or a cell
    of the wrong type.
    """

    __slots__ = ("_batch", "_keys", "_rows_before", "_source", "_types", "done")

    def __init__(
        self,
        batch: Batch,
        keys: tuple[str, ...],
        types: dict[int, ColumnType],
        rows_before: int,
        done: int,
    ) -> None:
        self.done = done
        self._batch = batch
        self._keys = keys
        self._types = types
        self._rows_before = rows_before
        self._source = batch.pieces(rows_at_once(keys), done)

    def __next__(self) -> Sequence[Sequence[Cell]]:
        rows = next(self._source)
        first, self.done = self.done, self.done + len(rows)
        ordered = _in_column_order(rows, self._keys, self._batch.seq, first)
        for place, column_type in self._types.items():
            if found := wrong_cell([row[place] for row in ordered], column_type):
                index, why = found
                where = f"batch {self._batch.seq}, row {first + index}"
                raise _wrong(f"{where}, column {shown(self._keys[place])}: {why}")
        return ordered

    def require_total(self) -> None:
        """Raise ExportFailure if ``total_rows`` is wrong."""
        total, expected = self._rows_before + self._batch.row_count, self._batch.total_rows
        if expected is not None and expected != total:
            raise ExportFailure(
                FailReason.ROW_COUNT_MISMATCH,
                f"total_rows: is {expected}, but {total} rows came",
            )


def _in_column_order(
    rows: list[Row], keys: tuple[str, ...], seq: int, first: int
) -> Sequence[Sequence[Cell]]:
    # Most batches hold only rows of the right length, all arrays or all objects: a few passes at C
    # speed suffice. An object with as many keys as columns that has every column has no unknown
    # key.
    kinds = set(map(type, rows))
    if kinds <= {list} and set(map(len, rows)) <= {len(keys)}:
        return rows  # type: ignore[return-value]  # each was just seen to be a list
    # Not for a single key: ``itemgetter`` returns its value then, not a tuple.
    if kinds == {dict} and set(map(len, rows)) == {len(keys)} and len(keys) > 1:
        with suppress(KeyError):
            return [*map(itemgetter(*keys), rows)]
    known = frozenset(keys)
    return [
        _cells(row, keys, known, f"batch {seq}, row {number}")
        for number, row in enumerate(rows, first)
    ]


def _cells(row: Row, keys: tuple[str, ...], known: frozenset[str], where: str) -> list[Cell]:
    if isinstance(row, list):
        if len(row) != len(keys):
            raise _wrong(f"{where}: has {len(row)} cells for {len(keys)} columns")
        return row
    if isinstance(row, dict):
        if not row.keys() <= known:
            unknown = next(key for key in row if key not in known)
            raise _wrong(f"{where}: {shown(unknown)} is no column")
        return [row.get(key) for key in keys]
    raise _wrong(f"{where}: is neither an array nor an object")


def _wrong(message: str) -> ExportFailure:
    return ExportFailure(FailReason.INVALID_BATCH, message)
