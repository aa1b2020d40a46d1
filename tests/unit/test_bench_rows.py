import csv
from io import BytesIO
from itertools import islice
from pathlib import Path

import pytest

from bench.checks import check_csv
from bench.encode import run
from bench.rows import EXPORT_ID, MESSAGE_ROWS, DataSet, MessageFile, messages, read_messages
from schemas.records import Cell, decode_batch

COLUMNS = DataSet.ORDERS.columns


def test_a_data_set_gives_the_same_rows_each_time_as_many_as_wanted() -> None:
    rows = list(DataSet.ORDERS.rows(1_500))
    assert len(rows) == 1_500
    assert rows == list(DataSet.ORDERS.rows(1_500))
    assert {len(row) for row in rows} == {len(COLUMNS)} == {len(DataSet.ORDERS.widths)}


@pytest.mark.parametrize("count", [0, 1, MESSAGE_ROWS, MESSAGE_ROWS + 1, 2 * MESSAGE_ROWS])
def test_messages_are_the_batches_of_an_export(count: int) -> None:
    rows: list[list[Cell]] = [[number] for number in range(count)]
    batches = [decode_batch(message) for message in messages(rows)]
    assert [row for batch in batches for row in batch.rows] == rows
    assert [batch.seq for batch in batches] == list(range(len(batches)))
    assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [True] * bool(count)
    assert {batch.export_id for batch in batches} <= {EXPORT_ID}


def test_a_file_gives_its_messages_back(tmp_path: Path) -> None:
    written = MessageFile.write(tmp_path, DataSet.ORDERS, 2_100)
    assert written.rows == 2_100
    read = list(read_messages(BytesIO(written.path.read_bytes())))
    assert read == list(messages(DataSet.ORDERS.rows(2_100)))


def test_rows_as_objects_hold_the_same_cells(tmp_path: Path) -> None:
    written = MessageFile.write(tmp_path, DataSet.ORDERS_AS_OBJECTS, 1_200)
    with written.path.open("rb") as file:
        rows = [row for value in read_messages(file) for row in decode_batch(value).rows]
    assert rows == [dict(zip(COLUMNS, row, strict=True)) for row in DataSet.ORDERS.rows(1_200)]


@pytest.mark.parametrize(
    ("peer", "data_set"),
    [
        ("ours-csv", DataSet.ORDERS),
        ("ours-csv", DataSet.ORDERS_AS_OBJECTS),
        ("csv-loop", DataSet.ORDERS),
    ],
)
def test_what_a_contender_makes_is_found_to_be_right(
    tmp_path: Path, peer: str, data_set: DataSet
) -> None:
    written, made = MessageFile.write(tmp_path, data_set, 1_200), tmp_path / "made.csv"
    figures = run(peer, written.path, data_set, made)
    assert figures.keys() == {"seconds", "cpu_seconds", "peak_bytes"}
    findings = check_csv(made, COLUMNS, DataSet.ORDERS.rows(1_200))
    assert (findings.words(), findings.cells) == ("right", 1_200 * len(COLUMNS))


def write_csv(path: Path, rows: list[list[Cell]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b"], *rows])
    return path


def test_a_formula_that_was_not_escaped_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "made.csv", [["=1+1", "x"], ["y", "z"]])
    findings = check_csv(path, ["a", "b"], [["=1+1", "x"], ["y", "z"]])
    assert findings.words() == "formula not escaped in 25% of cells"
    assert findings.examples == {"formula not escaped": "\"'=1+1\" became '=1+1'"}


def test_another_text_is_a_fault_and_another_form_of_a_number_is_none(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "made.csv", [["7", "Cagla"]])
    assert check_csv(path, ["a", "b"], [[7.0, "Çağla"]]).words() == "another text in 50% of cells"


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        (["a", "b"], [[1, 2], [3, 4]], "1 rows of 2"),
        (["a", "b"], [], "1 rows of 0"),
        (["a", "c"], [[1, 2]], "another header"),
        (["a", "b"], [[1]], "another text in 50% of cells"),
    ],
)
def test_another_shape_is_a_fault(
    tmp_path: Path, columns: list[str], rows: list[list[Cell]], words: str
) -> None:
    path = write_csv(tmp_path / "made.csv", [["1", "2"]])
    assert check_csv(path, columns, rows).words() == words


def test_an_empty_file_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "made.csv"
    path.touch()
    assert check_csv(path, ["a"], [[1]]).words() == "another header; 0 rows of 1"


@pytest.mark.parametrize("data_set", [DataSet.HAN, DataSet.LATIN])
def test_dense_cells_have_twelve_characters_each(data_set: DataSet) -> None:
    rows = list(data_set.rows(500))
    assert rows == list(data_set.rows(500))
    cells = [str(cell) for row in rows for cell in row]
    assert {len(row) for row in rows} == {len(data_set.columns)} == {len(data_set.widths)}
    assert {len(cell) for cell in cells} == {12}
    assert len(set("".join(cells))) == {DataSet.HAN: 2_965, DataSet.LATIN: 52}[data_set]


@pytest.mark.slow
def test_real_cities_have_eight_columns_too() -> None:
    rows = list(islice(DataSet.CITIES.rows(10), 10))
    assert {len(row) for row in rows} == {len(DataSet.CITIES.columns)}
