"""Steps over JSON text, and counts its values, without parsing it.

All of it is linear in the text, and no match is longer than a window. What it finds means nothing
for text that isn't JSON.
"""

import re
from collections.abc import Iterator
from typing import Final

WINDOW_BYTES: Final = 64 * 1024
"""No match of a pattern is longer, so that none holds the interpreter for long."""
BLANK: Final = b" \t\n\r"
# A repeated group ends in ``(?!)``, which never matches: before 3.11.5 (gh-106052) a possessive
# repeat went on from where its last try broke off, unless that try ended without a byte.
STRING: Final = rb'"(?:[^"\\]++|\\.|(?!))*+"'
"""Pattern of a string, with its quotes; it needs ``re.DOTALL``."""

_CHARACTERS = re.compile(rb'(?:[^"\\]++|\\.|(?!))*+', re.DOTALL)
_OUTSIDE = re.compile(rb'(?:[^"]++|%b|(?!))*+' % STRING, re.DOTALL)
_STRINGS = re.compile(STRING, re.DOTALL)
_COUNT_BYTES = 1024 * 1024


def skip(pattern: re.Pattern[bytes], value: bytes, start: int) -> int:
    """Where a match within a window ends; ``start`` if there is none."""
    found = pattern.match(value, start, start + WINDOW_BYTES)
    return found.end() if found else start


def string_end(value: bytes, start: int) -> int:
    """The position after the quote that ends the string whose characters begin at ``start``.

    Raises:
        ValueError: no quote ends it.
    """
    position = start
    while True:
        position = skip(_CHARACTERS, value, position)
        if value[position : position + 1] == b'"':
            return position + 1
        if position + 1 >= len(value):
            raise ValueError("not JSON: a string has no end")


def holds_more(value: bytes, most: int, start: int = 0, end: int | None = None) -> bool:
    """Whether a slice holds more values than ``most``; mostly it is enough to look at its size."""
    end = len(value) if end is None else end
    return (
        end - start > most
        and values_at_most(value, start, end) > most
        and exact_values(value, start, end) > most
    )


def values_at_most(value: bytes, start: int = 0, end: int | None = None) -> int:
    """Not less than the values in a slice of elements: what its strings seem to hold counts."""
    end = len(value) if end is None else end
    count = 1
    for position in range(start, end, _COUNT_BYTES):
        until = min(position + _COUNT_BYTES, end)
        count += sum(value.count(sign, position, until) for sign in (b",", b"[", b"{"))
    return count


def exact_values(value: bytes, start: int, end: int) -> int:
    """Values in a slice of elements, exactly. Takes about as long as to parse it."""
    # A container that isn't empty has one value more than it has commas.
    count, opened = 1, b""
    for text in _outside_strings(value, start, end):
        signs = opened + text.translate(None, BLANK)
        opened = signs[-1:] if signs.endswith((b"[", b"{")) else b""  # it may be empty
        signs = signs[: len(signs) - len(opened)]
        count += signs.count(b",") + signs.count(b"[") + signs.count(b"{")
        count -= signs.count(b"[]") + signs.count(b"{}")
    return count


def _outside_strings(value: bytes, start: int, end: int) -> Iterator[bytes]:
    """The text with a digit for each string, a window at a time. One without an end ends it."""
    position = start
    while position < end:
        found = _OUTSIDE.match(value, position, min(position + WINDOW_BYTES, end))
        until = found.end() if found else position
        yield _STRINGS.sub(b"0", value[position:until])
        position = until
        if position < end and value[position : position + 1] == b'"':
            yield b"0"
            try:
                position = string_end(value, position + 1)
            except ValueError:
                return
