"""Which cells are never cut: numbers, dates and timestamps, and what looks like one.

Half an amount is another amount. Invariant: linear in the text.
"""

import re

from schemas.vocabulary import ColumnType

NUMERIC = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DECIMAL})
_WHOLE = NUMERIC | {ColumnType.DATE, ColumnType.TIMESTAMP}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:e[+-]?[0-9]++)?")
_FIGURES = re.compile(
    r"[-+(]?[^\dA-Za-z]?\d[-\d .,:'\u2019\u00a0\u2009\u202f\u066b\u066c/+()TZ]*+.?"
)
_LONGEST_FIGURES = 40


def is_number(text: str) -> bool:
    """Whether a text is a number, as JSON has it."""
    return _NUMBER.fullmatch(text) is not None


def always_whole(column_type: ColumnType | None) -> bool | None:
    """Whether no cell of a column may be cut; None: it depends on the text."""
    return column_type in _WHOLE if column_type is not None else None


def is_whole(text: str, column_type: ColumnType | None) -> bool:
    """Whether a cell's text must not be cut.

    Without a type, what has figures and what divides them alone: amounts, dates, phone numbers; a
    sign or a letter may stand at either end, as in ``€1,234.56`` and ``12 %``.
    """
    if column_type is not None:
        return column_type in _WHOLE
    if len(text) <= _LONGEST_FIGURES:
        return _FIGURES.fullmatch(text) is not None or is_number(text)
    return is_number(text)
