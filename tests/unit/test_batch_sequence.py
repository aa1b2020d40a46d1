"""One export's sequence: repeats, gaps, row shapes, totals."""

import pytest

from consumer.core.batch_sequence import BatchSequence
from consumer.errors import ExportFailure
from schemas.records import Batch, Cell, Row
from schemas.vocabulary import ColumnType, FailReason


def batch(seq: int, *rows: Row, last: bool = False, total: int | None = None) -> Batch:
    return Batch("e", seq, list(rows), last, total)


def rows_of(assembly: BatchSequence, given: Batch) -> list[list[Cell]]:
    """What an export takes of the next batch."""
    pieces = assembly.pieces(given)
    rows = [[*row] for piece in pieces for row in piece]
    pieces.require_total()
    return rows


def accept(assembly: BatchSequence, given: Batch) -> list[list[Cell]]:
    assert assembly.accept(given)
    rows = rows_of(assembly, given)
    assembly.apply(given)
    return rows


def test_batches_in_order_give_their_rows() -> None:
    assembly = BatchSequence(["a", "b"])
    assert accept(assembly, batch(0, [1, 2])) == [[1, 2]]
    assert accept(assembly, batch(1, [3, 4], [5, 6], last=True, total=3)) == [[3, 4], [5, 6]]
    assert assembly.rows == 3


def test_objects_come_in_column_order_with_every_key_or_without_some() -> None:
    assembly = BatchSequence(["a", "b"])
    assert accept(assembly, batch(0, {"b": 2, "a": 1}, {"a": 3, "b": None})) == [[1, 2], [3, None]]
    assert accept(assembly, batch(1, {"b": 2, "a": 1}, {"b": 4})) == [[1, 2], [None, 4]]
    assert accept(assembly, batch(2, {"b": 2, "a": 1}, [5, 6])) == [[1, 2], [5, 6]]
    assert accept(BatchSequence(["a"]), batch(0, {"a": "xy"}, {})) == [["xy"], [None]]
    with pytest.raises(ExportFailure, match="batch 3, row 1: 'c' is no column"):
        accept(assembly, batch(3, {"b": 2, "a": 1}, {"a": 1, "c": 2}))


def test_a_repeat_is_dropped_and_changes_nothing() -> None:
    assembly = BatchSequence(["a"])
    accept(assembly, batch(0, [1]))
    assert not assembly.accept(batch(0, [9]))
    assert (assembly.rows, assembly.next_seq) == (1, 1)


def test_a_gap_fails_and_names_what_is_missing() -> None:
    assembly = BatchSequence(["a"])
    with pytest.raises(ExportFailure, match="batch 0 is missing: got 2") as failure:
        assembly.accept(batch(2, [1]))
    assert failure.value.reason is FailReason.SEQUENCE_GAP


def test_an_object_is_put_in_column_order_and_a_missing_key_is_null() -> None:
    assembly = BatchSequence(["a", "b"])
    assert rows_of(assembly, batch(0, {"b": 2, "a": 1}, {"a": 3}, [4, 5])) == [
        [1, 2],
        [3, None],
        [4, 5],
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1], "batch 0, row 1: has 1 cells for 2 columns"),
        ([1, 2, 3], "batch 0, row 1: has 3 cells for 2 columns"),
        ({"a": 1, "c": 2}, "batch 0, row 1: 'c' is no column"),
        ("text", "batch 0, row 1: is neither an array nor an object"),
        (None, "batch 0, row 1: is neither"),
    ],
)
def test_a_row_of_the_wrong_shape_fails_and_is_named(row: Row, words: str) -> None:
    assembly = BatchSequence(["a", "b"])
    with pytest.raises(ExportFailure, match=words) as failure:
        accept(assembly, batch(0, [1, 2], row))
    assert failure.value.reason is FailReason.INVALID_BATCH
    assert (assembly.rows, assembly.next_seq) == (0, 0)


@pytest.mark.parametrize("row", [7, 1.5, True, None, "ab", [1], {"a": 1, "c": 2}])
def test_a_batch_of_nothing_but_wrong_rows_names_the_first(row: Row) -> None:
    assembly = BatchSequence(["a", "b"])
    with pytest.raises(ExportFailure, match=r"^batch 0, row 0: ") as failure:
        accept(assembly, batch(0, row, row))
    assert failure.value.reason is FailReason.INVALID_BATCH


def test_a_cell_of_another_type_than_its_columns_fails_and_is_named() -> None:
    assembly = BatchSequence(["a", "b"], [None, ColumnType.INTEGER])
    accept(assembly, batch(0, ["x", 1], {"a": 2.5}, {"b": 2}))
    words = "^batch 1, row 1, column 'b': '2' is no integer$"
    for row in ([1, "2"], {"b": "2"}):
        with pytest.raises(ExportFailure, match=words) as failure:
            accept(assembly, batch(1, [1, 2], row, ["x", True]))
        assert failure.value.reason is FailReason.INVALID_BATCH
    assert (assembly.rows, assembly.next_seq) == (3, 1)


@pytest.mark.parametrize("total", [0, 1, 3])
def test_a_wrong_total_fails(total: int) -> None:
    assembly = BatchSequence(["a"])
    accept(assembly, batch(0, [1]))
    with pytest.raises(ExportFailure, match=f"total_rows: is {total}, but 2 rows came") as failure:
        accept(assembly, batch(1, [2], last=True, total=total))
    assert failure.value.reason is FailReason.ROW_COUNT_MISMATCH


def test_the_last_batch_may_be_empty() -> None:
    assembly = BatchSequence(["a"])
    assert accept(assembly, batch(0, last=True, total=0)) == []
    assert assembly.rows == 0
