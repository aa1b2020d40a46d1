"""Cells of columns whose type says more than their JSON values: dates, timestamps, exact decimals.

A date is a count of days, which a style shows as a date. Invariant: what a spreadsheet can't hold
so is its text. These are days before March 1900, as Excel counts a leap day there that never was,
and decimals of more digits than a double keeps.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Final

from consumer.formats.xlsx import styles
from consumer.formats.xlsx.cells import Cells, Values, cell, cells, number_cell, text_cell
from schemas.column_types import parse_date, parse_timestamp
from schemas.records import Cell
from schemas.vocabulary import ColumnType

_DAY: Final = timedelta(days=1)
# Of Excel's calendar from March 1900 on, as it has a leap day before that never was.
_DAY_0: Final = datetime(1899, 12, 30, tzinfo=UTC)
DAYS: Final = range(61, 2_958_466)
"""Those that are shown as dates: from March 1900 to the end of 9999."""
_LAST: Final = timedelta(days=DAYS.stop, milliseconds=-1)
"""Since day 0. A later moment of the year 9999 is rounded to the year 10000, which none shows."""
_ALWAYS_KEPT: Final = 15  # digits that a double keeps, whatever they are
_MOST_CHARACTERS: Final = 400  # of a text that a double may be; to read more takes long


def encoder(column_type: ColumnType | None) -> Callable[[Values], Cells]:
    """What makes cells of a column's values, which are of this type."""
    one = _ENCODED.get(column_type)
    if one is None:
        return cells
    return lambda column: Cells(b"", [*map(one, column.values)], b"")


def _date_cell(value: Cell) -> bytes:
    if value is None:
        return cell(None)
    days = parse_date(value).toordinal() - _DAY_0.toordinal()
    return number_cell(days, styles.DATE) if days in DAYS else text_cell(value)


def _timestamp_cell(value: Cell) -> bytes:
    if value is None:
        return cell(None)
    time = parse_timestamp(value)
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _DAY_0
    if since.days not in DAYS or since > _LAST:
        return text_cell(value)
    style = styles.TIMESTAMP_MILLIS if since.microseconds else styles.TIMESTAMP
    return number_cell(since / _DAY, style)


def _decimal_cell(value: Cell) -> bytes:
    if not isinstance(value, str):
        return cell(value)
    if len(value) > _MOST_CHARACTERS:
        return text_cell(value)
    number = float(value)
    has_exponent = "e" in value or "E" in value
    if (has_exponent or len(value) > _ALWAYS_KEPT) and not _is_kept(value, number):
        return text_cell(value)
    decimals = 0 if has_exponent else len(value.partition(".")[2])
    if 0 < decimals <= styles.MOST_DECIMALS:
        return number_cell(number, styles.fraction(decimals))
    return number_cell(int(number) if number.is_integer() else number)


def _is_kept(text: str, number: float) -> bool:
    """Whether a double that was made of a decimal reads back as it."""
    try:
        return isfinite(number) and Decimal(repr(number)) == Decimal(text)
    except ArithmeticError:  # its exponent has twenty digits
        return False


_ENCODED: Final[dict[ColumnType | None, Callable[[Cell], bytes]]] = {
    ColumnType.DATE: _date_cell,
    ColumnType.TIMESTAMP: _timestamp_cell,
    ColumnType.DECIMAL: _decimal_cell,
}
