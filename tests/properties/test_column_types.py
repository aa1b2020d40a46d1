"""A column is judged as each of its cells is, whatever stands beside it."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from schemas.column_types import wrong_cell
from schemas.records import Cell
from schemas.vocabulary import ColumnType
from tests.support.strategies import cells

dates = st.dates().map(str)
times = st.datetimes(timezones=st.none() | st.just(UTC)).map(str)
decimals = st.decimals(allow_nan=False, allow_infinity=False).map(str)
nearly = st.text("0123456789-+.:TZeE \n", max_size=20)
column_cells = st.lists(dates | times | decimals | nearly | cells, max_size=8)


KINDS: dict[ColumnType, set[type]] = {
    ColumnType.STRING: {str},
    ColumnType.INTEGER: {int},
    ColumnType.NUMBER: {int, float},
    ColumnType.DECIMAL: {int, float},
    ColumnType.BOOLEAN: {bool},
    ColumnType.DATE: set(),
    ColumnType.TIMESTAMP: set(),
}
DAY = r"\d{4}-\d\d-\d\d"
READ: dict[ColumnType, tuple[str, Callable[[str], object]]] = {
    ColumnType.DECIMAL: (r"[-+.0-9eE]+", Decimal),
    ColumnType.DATE: (DAY, date.fromisoformat),
    ColumnType.TIMESTAMP: (
        DAY + r"[T ](?!24)\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[-+]\d\d:\d\d)?",
        datetime.fromisoformat,
    ),
}


def is_of_type(cell: Cell, column_type: ColumnType) -> bool:
    """By Python's own readers, where the contract's form lets them look."""
    if cell is None or type(cell) in KINDS[column_type]:
        return True
    form, read = READ.get(column_type, (None, str))
    if form is None or not isinstance(cell, str) or not re.fullmatch(form, cell, re.ASCII):
        return False
    try:
        read(cell)
    except (ValueError, ArithmeticError):
        return False
    return True


@given(column_cells, st.sampled_from(ColumnType))
def test_a_column_is_judged_as_each_of_its_cells(
    column: list[Cell], column_type: ColumnType
) -> None:
    judged = [is_of_type(cell, column_type) for cell in column]
    found = wrong_cell(column, column_type)
    assert (found[0] if found else None) == (judged.index(False) if False in judged else None)
    assert [wrong_cell([cell], column_type) is None for cell in column] == judged
