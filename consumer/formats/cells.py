"""Shared by formats: the text of a JSON cell.

No quoting, escaping or cutting, which each format does itself. Invariant: a value has the same text
on every machine, and a number's text reads back as the same number.
"""

import json
from collections.abc import Callable, Sequence

import orjson

from schemas.records import Cell

# Not orjson: it refuses integers beyond 64 bits and writes floats in another form than ``repr``.
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


LONG_TEXT = 256 * 1024
"""Characters. A longer text is encoded in pieces: where one character takes four bytes, all do, and
a cell of 16 MiB took 250 MiB at one go."""


def cell_text(cell: Cell, null: str = "") -> str:
    """The text of any JSON value, as ``schemas.records`` decodes it.

    A string is its own text and null that of ``null``; booleans are ``true`` and ``false``; an
    integer has all its digits; another number is in the shortest decimal form that reads back as
    the same double, such as ``0.1`` or ``1e+16``; an array or object is compact JSON.
    """
    if isinstance(cell, str):
        return cell
    if cell is None:
        return null
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | float):
        return repr(cell)
    return compact_json(cell)


def number_texts(numbers: Sequence[float]) -> list[str]:
    """``cell_text`` of each, all at once.

    By orjson where it writes as ``repr`` does: without an exponent, and from 0.0001 on. JSON has no
    infinite number and no NaN.
    """
    try:
        text = orjson.dumps(numbers).decode()
    except TypeError:  # an integer beyond 64 bits
        return [*map(repr, numbers)]
    if "e" in text or "0.0000" in text:
        return [*map(repr, numbers)]
    return text[1:-1].split(",")


def compact_json(cell: Cell) -> str:
    """JSON without spaces, characters beyond ASCII as they are, however deep it is nested."""
    try:
        return _COMPACT.encode(cell)
    except RecursionError:
        return json_without_recursion(cell, _COMPACT.encode)


class _Json(str):
    """Text that is already JSON, among values still to be written."""

    __slots__ = ()


_COMMA = _Json(",")


def json_without_recursion(cell: Cell, scalar_text: Callable[[Cell], str]) -> str:
    """Compact JSON with an explicit stack; ``scalar_text`` writes scalars.

    How deep a recursive encoder gets depends on its caller and version; whether an export completes
    must not.
    """
    text: list[str] = []
    stack: list[Cell] = [cell]
    while stack:
        top = stack.pop()
        if isinstance(top, _Json):
            text.append(top)
        else:
            stack.extend(reversed(_parts(top, scalar_text)))
    return "".join(text)


def _parts(cell: Cell, scalar_text: Callable[[Cell], str]) -> list[Cell]:
    """The parts of a cell's JSON in order: one level written, its members unchanged."""
    if isinstance(cell, list):
        members = [part for item in cell for part in (_COMMA, item)]
        return [_Json("["), *members[1:], _Json("]")]
    if isinstance(cell, dict):
        members = [
            part
            for key, value in cell.items()
            for part in (_COMMA, _Json(f"{scalar_text(key)}:"), value)
        ]
        return [_Json("{"), *members[1:], _Json("}")]
    return [_Json(scalar_text(cell))]
