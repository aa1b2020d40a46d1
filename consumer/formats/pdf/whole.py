"""Which cells are never cut: numbers, dates, timestamps, and texts that look like one.

A cut amount would read as another amount. Invariant: linear in the text.
"""

import re
import unicodedata
from collections.abc import Sequence

from schemas.vocabulary import ColumnType

NUMERIC = frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DECIMAL})
_WHOLE = NUMERIC | {ColumnType.DATE, ColumnType.TIMESTAMP}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:e[+-]?[0-9]++)?")
_SPACE = r"[ \u00a0\u2009\u202f]"
# Of currencies; their codes are any three capitals.
_WORD = r"(?:Rs|kr|Kč|zł|Ft|lei|\u043b\u0432|\u0440\u0443\u0431)\.?"
_FIGURES = re.compile(
    # A sign, a currency's sign, code or word; figures; a letter or a sign, or after a space a unit.
    rf"(?:[-+(]?[^\dA-Za-z]?{_SPACE}?|[^\dA-Za-z]{_SPACE}?[-+]"
    rf"|[-+(]?[A-Z]{{1,3}}(?:[^\dA-Za-z-]{{1,2}}|[^\dA-Za-z]{_SPACE}?[-+])"
    rf"|[-+(]?{_WORD}{_SPACE}[-+]?)"
    # Of letters those of timestamps, but not the T of TRY.
    r"\d(?:[-\d .,:'\u2019\u00a0\u2009\u202f\u066b\u066c/+()]|[TZ](?![A-Z]{2}))*+"
    rf"(?:.?|(?<={_SPACE})(?:[^\d \u00a0\u2009\u202f\n]{{2,3}}|(?:{_WORD}|[A-Z]{{3}})\)?))"
)
_LONGEST_FIGURES = 40

_CURRENCIES = "".join(
    sign for sign in map(chr, range(0x24, 0x20D0)) if unicodedata.category(sign) == "Sc"
)
_CODES = (
    "AED|ARS|AUD|BGN|BHD|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|GEL|HKD|HUF|IDR|ILS|INR|ISK|JPY"
    "|KES|KRW|KWD|KZT|MAD|MXN|MYR|NGN|NOK|NZD|PEN|PHP|PKR|PLN|QAR|RON|RSD|RUB|SAR|SEK|SGD|THB|TRY"
    "|TWD|UAH|USD|UYU|VND|XAF|XOF|ZAR"
)
_NAMES = rf"{_CODES}|TL|{_WORD}"
_SIGNS = rf"[A-Z]{{0,2}}[{_CURRENCIES}]|[%\u2030]"
_AMOUNT = re.compile(
    rf"[-+(\u2212]?(?:(?:{_SIGNS}){_SPACE}?|(?:{_NAMES}){_SPACE})?[-+\u2212]?(?!0[0-9])"
    r"(?:[0-9]{1,3}(?P<by>[.,'\u2019 \u00a0\u2009\u202f])[0-9]{3}(?:(?P=by)[0-9]{3})*+"
    r"|[0-9]{1,2}(?:,[0-9]{2}(?=,))++,[0-9]{3}|[0-9]++)"  # by lakhs and crores, as in India
    rf"(?:[.,][0-9]++)?(?:{_SPACE}?(?:{_SIGNS}|{_NAMES}))?\)?"
)
# An address whose numbers but the first have three digits looks like a grouped number.
_BYTE = "(?:1?[0-9]{1,2}|2[0-4][0-9]|25[0-5])"
_ADDRESS = re.compile(rf"(?:{_BYTE}\.){{3}}{_BYTE}")
_NOTHING = frozenset("-\u2013\u2014")  # as tables have it for no amount


def is_number(text: str) -> bool:
    """Whether a text is a number, as JSON has it."""
    return _NUMBER.fullmatch(text) is not None


def are_amounts(texts: Sequence[str]) -> bool:
    """Whether texts are numbers or amounts alone, such as ``12.5``, ``€ 1,234.50``, ``-5 %``.

    Not if all are IPv4 addresses, which may look like numbers: ``192.168.100.101``.
    """
    found = [text for text in texts if text not in _NOTHING]
    return all(is_number(text) or _AMOUNT.fullmatch(text) for text in found) and not all(
        map(_ADDRESS.fullmatch, found)
    )


def always_whole(column_type: ColumnType | None) -> bool | None:
    """Whether no cell of a column may be cut; None: it depends on the text."""
    return column_type in _WHOLE if column_type is not None else None


def is_whole(text: str, column_type: ColumnType | None) -> bool:
    """Whether a cell's text must not be cut.

    Without a type, what has figures and what divides them alone: amounts, dates, phone numbers; a
    sign, a currency or a short unit may stand at either end: ``€ 1,234.56``, ``12 %``, ``5 kg``.
    """
    if column_type is not None:
        return column_type in _WHOLE
    if len(text) <= _LONGEST_FIGURES:
        return _FIGURES.fullmatch(text) is not None or is_number(text)
    return is_number(text)
