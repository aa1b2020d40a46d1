"""Unicode's Stream-Safe Text Process: no run of combining marks is longer than thirty.

``unicodedata.normalize`` puts the marks of a run in order by a sort that is quadratic, and holds
the interpreter meanwhile: 160 KB of marks took it 19 seconds. Thirty in a row is more than any
language has (UAX #15, 13). Invariant: text without a longer run is not changed.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from typing import Final

MOST_MARKS: Final = 30
JOINER: Final = "\u034f"
"""COMBINING GRAPHEME JOINER, which the process puts between: nothing is shown of it, and marks on
both sides of it are neither put in order nor composed with each other."""
MARKS_WITHIN: Final = range(0x300, 0x1F000)
"""Where Unicode has combining marks."""


def is_mark(character: str) -> bool:
    """Whether normalizing puts a character, or what it is made of, in order among others."""
    return unicodedata.combining(unicodedata.normalize("NFD", character)[0]) != 0


def _ranges_of_marks() -> Iterator[str]:
    marks = [code for code in MARKS_WITHIN if is_mark(chr(code))]
    for _, run in groupby(enumerate(marks), lambda placed: placed[1] - placed[0]):
        codes = [code for _, code in run]
        yield f"{chr(codes[0])}-{chr(codes[-1])}"


# Made with the module: when first used, each of the node's threads took 20 ms to make its own.
_MARKS = "".join(_ranges_of_marks())
_MARK = re.compile(f"[{_MARKS}]")
_LONG_RUN = re.compile(f"([{_MARKS}]{{{MOST_MARKS}}})(?=[{_MARKS}])")


def stream_safe(text: str) -> str:
    """The text with a joiner after each thirty marks of a run that goes on. Linear."""
    return _LONG_RUN.sub(rf"\1{JOINER}", text) if _may_run_long(text) else text


def is_stream_safe(text: str) -> bool:
    """Whether ``stream_safe`` would change nothing."""
    return not _may_run_long(text) or _LONG_RUN.search(text) is None


def _may_run_long(text: str) -> bool:
    """Looks at every thirtieth character, of which a longer run holds one at least.

    To search all of a usual text for a run took 5 % of a PDF's CPU time.
    """
    return _MARK.search(text[::MOST_MARKS]) is not None
