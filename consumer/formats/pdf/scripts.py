"""Which characters are shaped: those of scripts that run right to left, join, stack or reorder.

Everything else is set by one glyph a character. Invariant: a range is of one script, or of scripts
of one direction that no font mixes.
"""

import re
from bisect import bisect_right
from typing import Final

_RANGES: Final = (
    *((0x0590, 0x05FF), (0x0600, 0x06FF), (0x0700, 0x074F), (0x0750, 0x077F), (0x0780, 0x07BF)),
    *((0x07C0, 0x07FF), (0x0800, 0x083F), (0x0840, 0x085F), (0x0860, 0x086F), (0x0870, 0x08FF)),
    *((start, start + 0x7F) for start in range(0x0900, 0x1000, 0x80)),  # of India; Thai; Lao
    *((0x1000, 0x109F), (0x1700, 0x171F), (0x1720, 0x173F), (0x1740, 0x175F), (0x1760, 0x177F)),
    *((0x1780, 0x17FF), (0x1800, 0x18AF), (0x1900, 0x194F), (0x1950, 0x19DF), (0x19E0, 0x19FF)),
    *((0x1A00, 0x1A1F), (0x1A20, 0x1AAF), (0x1B00, 0x1B7F), (0x1B80, 0x1BBF), (0x1BC0, 0x1BFF)),
    *((0x1C00, 0x1C4F), (0x1CC0, 0x1CCF), (0x1CD0, 0x1CFF), (0xA800, 0xA82F), (0xA840, 0xA87F)),
    *((0xA880, 0xA8DF), (0xA8E0, 0xA8FF), (0xA900, 0xA92F), (0xA930, 0xA95F), (0xA980, 0xA9DF)),
    *((0xA9E0, 0xA9FF), (0xAA00, 0xAA5F), (0xAA60, 0xAA7F), (0xAA80, 0xAADF), (0xAAE0, 0xAAFF)),
    *((0xABC0, 0xABFF), (0xFB1D, 0xFB4F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFE)),
    *((start, start + 0x7F) for start in range(0x10800, 0x12000, 0x80)),
    *((start, start + 0x7F) for start in range(0x1E800, 0x1F000, 0x80)),
)
_FIRSTS = [first for first, _ in _RANGES]
_CHARACTERS = "".join(f"{chr(first)}-{chr(last)}" for first, last in _RANGES)
SHAPED_RUN: Final = re.compile(f"[{_CHARACTERS}][{_CHARACTERS}\u0300-\u036f\u200c\u200d]*")
"""Shaped characters, and marks and joiners after them. The joiner of ``stream_safe`` ends a run."""
INHERITS: Final = re.compile("[\u0300-\u036f\u200c\u200d]")
"""Marks and joiners, which are shaped with what they follow."""


def script_of(character: str) -> int:
    """Where the range of a character begins; 0 if it isn't shaped."""
    index = bisect_right(_FIRSTS, ord(character)) - 1
    return _RANGES[index][0] if index >= 0 and ord(character) <= _RANGES[index][1] else 0
