"""What a cell of each column type may be: the contract's "Column types".

Null fits every type. Invariant: a cell that passes the check can be parsed by its type's function:
``parse_date``, ``parse_timestamp`` or ``decimal.Decimal``.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from types import NoneType
from typing import Final

from schemas.errors import shown
from schemas.records import Cell
from schemas.vocabulary import ColumnType

_NUMBER = r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
NUMBER: Final = re.compile(_NUMBER)
"""A decimal number as text: ASCII digits, at most one point, an exponent; no spaces, separators,
other bases or "inf". Nothing is given back (``++``), or a long text that is nearly one would take
quadratic time."""
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
_TIMESTAMP = f"{_DATE}[T ]{_CLOCK}(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
_DATE_CHARACTERS = len("2026-11-21")
_MOST_AT_ONCE = 64  # texts up to this length are joined to be checked


def wrong_cell(cells: Sequence[Cell], column_type: ColumnType) -> tuple[int, str] | None:
    """The index of the first cell that doesn't fit a type, and what is wrong with it.

    Checks a whole column at C speed, and cell by cell only if that fails.
    """
    if _are_all(cells, column_type):
        return None
    for index, cell in enumerate(cells):
        if not _are_all((cell,), column_type):
            return index, f"{shown(cell)} is no {_NAMES[column_type]}"
    return None


def parse_date(text: str) -> date:
    """The date in a cell that passed as ``date``."""
    return date.fromisoformat(text)


def parse_timestamp(text: str) -> datetime:
    """The time in a cell that passed as ``timestamp``; naive where the text has no zone.

    Digits past microseconds are cut off. In the first and last year, converting it to another zone
    may overflow.
    """
    return datetime.fromisoformat(text)


def _are_all(cells: Sequence[Cell], column_type: ColumnType) -> bool:
    kinds = {*map(type, cells)}
    if not kinds <= _KINDS[column_type]:
        return False
    if column_type not in _FORMS or str not in kinds:
        return True
    texts = [cell for cell in cells if type(cell) is str] if len(kinds) > 1 else cells
    if not _have_form(texts, column_type):
        return False
    # Check each day once: date columns hold few different ones.
    return column_type is ColumnType.DECIMAL or _are_days(
        {text[:_DATE_CHARACTERS] for text in texts}
    )


def _have_form(texts: Sequence[str], column_type: ColumnType) -> bool:
    if max(map(len, texts)) > _MOST_AT_ONCE:
        return all(map(_FORMS[column_type].fullmatch, texts))
    lines = "\n".join(texts) + "\n"
    # If a text itself holds a line break, there are more.
    return lines.count("\n") == len(texts) and _LINES[column_type].fullmatch(lines) is not None


def _are_days(texts: set[str]) -> bool:
    try:
        for _ in map(date.fromisoformat, texts):
            pass
    except ValueError:
        return False
    return True


_KINDS: dict[ColumnType, frozenset[type]] = {
    ColumnType.STRING: frozenset({str, NoneType}),
    ColumnType.INTEGER: frozenset({int, NoneType}),
    ColumnType.NUMBER: frozenset({int, float, NoneType}),
    ColumnType.DECIMAL: frozenset({int, float, str, NoneType}),
    ColumnType.BOOLEAN: frozenset({bool, NoneType}),
    ColumnType.DATE: frozenset({str, NoneType}),
    ColumnType.TIMESTAMP: frozenset({str, NoneType}),
}
_FORMS = {
    ColumnType.DECIMAL: NUMBER,
    ColumnType.DATE: re.compile(_DATE),
    ColumnType.TIMESTAMP: re.compile(_TIMESTAMP),
}
_LINES = {kind: re.compile(f"(?:{form.pattern}\n)*") for kind, form in _FORMS.items()}
_NAMES = {
    ColumnType.STRING: "string",
    ColumnType.INTEGER: "integer",
    ColumnType.NUMBER: "number",
    ColumnType.DECIMAL: "decimal number",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date, such as 2026-11-21",
    ColumnType.TIMESTAMP: "timestamp, such as 2026-11-21T10:00:00Z",
}
