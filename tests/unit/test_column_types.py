"""Which cells are of which column type."""

import pytest

from schemas.column_types import parse_date, parse_timestamp, wrong_cell
from schemas.records import Cell
from schemas.vocabulary import ColumnType

OF_TYPE: dict[ColumnType, list[Cell]] = {
    ColumnType.STRING: ["", "x", "12", "\n"],
    ColumnType.INTEGER: [0, -7, 2**70],
    ColumnType.NUMBER: [0, -7, 2**70, 1.5, 1e300],
    ColumnType.DECIMAL: [
        *(0, 2**70, 1.5, "12.50", "-12", "+3", ".5", "5.", "1E-7", "007", "1" * 400, "9e999")
    ],
    ColumnType.BOOLEAN: [True, False],
    ColumnType.DATE: ["2026-11-21", "2024-02-29", "0001-01-01", "9999-12-31"],
    ColumnType.TIMESTAMP: [
        *("2026-11-21T10:00:00Z", "2026-11-21 10:00:00", "2026-11-21T10:00:00.123456789+05:30"),
        *("2026-11-21T23:59:59-00:00", "0001-01-01T00:00:00"),
    ],
}
NOT_OF_TYPE: dict[ColumnType, list[Cell]] = {
    ColumnType.STRING: [1, 1.5, True, ["x"], {"x": 1}],
    ColumnType.INTEGER: ["1", "", 1.0, 1.5, True, [1]],
    ColumnType.NUMBER: ["1", "", False, [1]],
    ColumnType.DECIMAL: [
        *("", "x", "1,5", " 1", "1 ", "1\n", "1\n2", "1_000", "inf", "NaN", "0x1", "-", ".", "٣"),
        *("1e", "1" * 400 + "x", True, [1]),
    ],
    ColumnType.BOOLEAN: [0, 1, "true", ""],
    ColumnType.DATE: [
        *("", "2026-11-31", "2025-02-29", "0000-01-01", "20261121", "2026-W47-6", "2026-11-21\n"),
        *("21.11.2026", "2026-11-21T10:00:00Z", "2026-11-21\n2026-11-22", "٢٠٢٦-11-21", 20261121),
    ],
    ColumnType.TIMESTAMP: [
        *("", "2026-11-21", "2026-11-21T24:00:00Z", "2026-11-21T10:00:60Z", "2026-11-21T10:00Z"),
        *("2026-02-30T10:00:00Z", "2026-11-21t10:00:00z", "2026-11-21T10:00:00+24:00"),
        *("2026-11-21T10:00:00+0100", "2026-11-21T10:00:00.", "2026-11-21T10:00:00.1234567890Z"),
        *("2026-11-21T10:00:00Z" + " " * 99, 1795255200000),
    ],
}


@pytest.mark.parametrize("column_type", ColumnType)
def test_cells_of_a_type_pass_alone_and_together(column_type: ColumnType) -> None:
    cells = [*OF_TYPE[column_type], None]
    assert wrong_cell(cells, column_type) is None
    assert [wrong_cell([cell], column_type) for cell in cells] == [None] * len(cells)
    assert wrong_cell([], column_type) is None


@pytest.mark.parametrize(
    ("column_type", "cell"),
    [(column_type, cell) for column_type, cells in NOT_OF_TYPE.items() for cell in cells],
)
def test_the_first_cell_of_no_such_type_is_found(column_type: ColumnType, cell: Cell) -> None:
    right = OF_TYPE[column_type]
    found = wrong_cell([*right, None, cell, *right, cell], column_type)
    assert found is not None
    assert found[0] == len(right) + 1
    assert f" is no {column_type}" in found[1]
    assert wrong_cell([cell], column_type) == (0, found[1])


def test_what_passes_can_be_read() -> None:
    for text in OF_TYPE[ColumnType.DATE]:
        assert parse_date(text).isoformat() == text
    for text in OF_TYPE[ColumnType.TIMESTAMP]:
        assert parse_timestamp(text).isoformat()[:19] == text[:19].replace(" ", "T")
