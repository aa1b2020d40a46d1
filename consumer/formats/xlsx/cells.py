"""Encodes cells of a column as XML, many at a time, for any JSON values.

A number is one where a double holds it exactly, else its text. Text stands in its cell, so that no
table of all strings has to be kept, and is never a formula. A cell is what comes after ``<c``.
Invariant: each cell is what ``cell`` makes of its value; the ways around it, a whole column at a
time, only save time.
"""

from collections.abc import Sequence, Set
from types import NoneType
from typing import NamedTuple

import orjson

from consumer.formats.cells import compact_json
from consumer.formats.xlsx import styles
from consumer.formats.xlsx.escaping import BETWEEN, all_escaped, escaped
from schemas.records import Cell

_WORDS = {None: b"/>", True: b' t="b"><v>1</v></c>', False: b' t="b"><v>0</v></c>'}
_TEXT, _TEXT_END = b' t="inlineStr"><is><t>', b"</t></is></c>"
_SPACED_TEXT = b' t="inlineStr"><is><t xml:space="preserve">'
_NUMBER, _NUMBER_END = b"><v>", b"</v></c>"
_NUMBERS = frozenset({int, float})
_NUL = BETWEEN.decode()
_NESTED = frozenset({list, dict})
_TEXT_ALONE = frozenset({str})
_TEXTS_AND_GAPS = frozenset({str, NoneType})
_WORD_KINDS = frozenset({bool, NoneType})
_SPACES = b" \t\n"  # what XML takes for space, once CR is written as a number
TRIGGERS = b"=+-@"
"""What text begins with that is a formula when someone edits the cell."""
_SPECIAL_LAST = frozenset({b" ", b"\t", b"\n"})
_SPECIAL_FIRST = _SPECIAL_LAST | {b"=", b"+", b"-", b"@"}
_TOO_LONG_FOR_GENERAL = 10**11  # from here on the general format shows 1E+11
_TOO_LONG_TO_SHOW = 10**15  # no format shows more digits
# A double holds every integer up to here.
_ALL_EXACT = 2**53


class Values(NamedTuple):
    """At least one value of a column, arrays and objects as their JSON.

    ``joined`` has all of them with NUL in between, if all are texts; ``kinds`` are their types.
    """

    values: Sequence[Cell]
    joined: str | None
    kinds: Set[type]

    @classmethod
    def of(cls, values: Sequence[Cell]) -> "Values":
        """Those of any JSON values."""
        try:
            return cls(values, _NUL.join(values), _TEXT_ALONE)
        except TypeError:
            kinds = {*map(type, values)}
        if kinds.isdisjoint(_NESTED):
            return cls(values, None, kinds)
        plain = [compact_json(one) if type(one) in _NESTED else one for one in values]
        return cls(plain, None, (kinds - _NESTED) | _TEXT_ALONE)

    @property
    def texts(self) -> Sequence[str]:
        """Those that are texts."""
        if str not in self.kinds:
            return ()
        return [one for one in self.values if isinstance(one, str)]

    @property
    def characters(self) -> int:
        """Of all texts together, and what is between them."""
        return sum(map(len, self.texts)) if self.joined is None else len(self.joined)


class Cells(NamedTuple):
    """Some cells of a column: each is ``before``, its text and ``after``."""

    before: bytes
    texts: Sequence[bytes]
    after: bytes


def cells(column: Values) -> Cells:
    """The cells of values, by the shortest way for the types among them."""
    values, joined, kinds = column
    if joined is not None:
        return _texts(values, joined)
    if kinds <= _NUMBERS and _are_general(values):
        return Cells(_NUMBER, orjson.dumps(values)[1:-1].split(b","), _NUMBER_END)
    if kinds == _TEXTS_AND_GAPS:
        return _texts_and_gaps(column)
    if kinds <= _WORD_KINDS:
        return Cells(b"", [_WORDS[value] for value in values], b"")
    return Cells(b"", [*map(cell, values)], b"")


def cell(value: Cell) -> bytes:
    """The cell of one value, no array or object."""
    if isinstance(value, str):
        return text_cell(value)
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    return number_cell(value)


def text_cell(text: str, style: int = styles.GENERAL) -> bytes:
    """The cell of a text."""
    return _text_cell(escaped(text), style)


def number_cell(number: float, style: int = styles.GENERAL) -> bytes:
    """The cell of a number: the shortest decimal that reads back as the same double."""
    if isinstance(number, int) and abs(number) >= _TOO_LONG_FOR_GENERAL:
        if abs(number) < _TOO_LONG_TO_SHOW:
            style = style or styles.WHOLE
        elif abs(number) > _ALL_EXACT:
            if not _is_exact(number):
                return text_cell(str(number))
            number = float(number)
    head = b' s="%d"><v>' % style if style else _NUMBER
    return b"".join((head, orjson.dumps(number), _NUMBER_END))


def _texts(texts: Sequence[str], joined: str) -> Cells:
    """Cells of texts: looks at all at once for what a cell may need besides."""
    xml = all_escaped(texts, joined)
    if not _is_any_special(b"".join((BETWEEN, xml, BETWEEN))):
        return Cells(_TEXT, xml.split(BETWEEN), _TEXT_END)
    whole = [
        _text_cell(text)
        if text[:1] in _SPECIAL_FIRST or text[-1:] in _SPECIAL_LAST
        else b"%b%b%b" % (_TEXT, text, _TEXT_END)
        for text in xml.split(BETWEEN)
    ]
    return Cells(b"", whole, b"")


def _texts_and_gaps(column: Values) -> Cells:
    texts = [*column.texts]
    made = _texts(texts, _NUL.join(texts))
    before, after, gap = made.before, made.after, _WORDS[None]
    whole = iter(made.texts)
    cells = [
        gap if value is None else b"%b%b%b" % (before, next(whole), after)
        for value in column.values
    ]
    return Cells(b"", cells, b"")


def _is_any_special(xml: bytes) -> bool:
    """Whether a text has space at an end or begins as a formula does; NUL is at all their ends."""
    return any(
        sign in xml and (BETWEEN + sign in xml or sign + BETWEEN in xml)
        for sign in (b" ", b"\t", b"\n")
    ) or any(sign in xml and BETWEEN + sign in xml for sign in (b"=", b"+", b"-", b"@"))


def _text_cell(xml: bytes, style: int = styles.GENERAL) -> bytes:
    """Of text that is XML: what counts at its ends, that leaves as it is."""
    if xml and xml[0] in TRIGGERS:
        style = styles.QUOTED_HEADER if style == styles.HEADER else styles.QUOTED
    head = _SPACED_TEXT if xml and (xml[0] in _SPACES or xml[-1] in _SPACES) else _TEXT
    if style:
        head = b' s="%d"%b' % (style, head)
    return b"".join((head, xml, _TEXT_END))


def _are_general(column: Sequence[float]) -> bool:
    """Whether the general format serves all numbers: there is no long integer among them."""
    return min(column) > -_TOO_LONG_FOR_GENERAL and max(column) < _TOO_LONG_FOR_GENERAL


def _is_exact(number: int) -> bool:
    try:
        return float(number) == number
    except OverflowError:
        return False
