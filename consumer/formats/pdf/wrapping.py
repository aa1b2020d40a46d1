"""Where a text is divided into lines: at spaces, else behind hyphens, else anywhere.

Ideographs may be divided from each other, as they are in books. Texts are strings, or bytes of a
font whose codes for spaces, hyphens and line breaks are ASCII's own. Invariant: the cost is linear
in the text, and nothing beyond the last line is looked at.
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import AnyStr, Generic, NamedTuple

from consumer.formats.pdf.subsets import LINE_BREAK, is_ideograph


class Places(NamedTuple, Generic[AnyStr]):
    """What a text of this kind is divided at."""

    line_break: AnyStr
    space: AnyStr
    hyphens: tuple[AnyStr, ...]


IN_TEXT = Places(LINE_BREAK, " ", ("-", "/"))
IN_BYTES = Places(LINE_BREAK.encode(), b" ", (b"-", b"/"))


class Lines(NamedTuple):
    """Where lines begin and end. If ``cut``, the last one goes on to the end of its paragraph."""

    spans: list[tuple[int, int]]
    cut: bool


def divided(
    text: AnyStr, places: Places[AnyStr], advances: Iterable[int], room: int, most: int
) -> Lines:
    """At most ``most`` lines, none wider than ``room`` but one that is to be cut."""
    text = text.rstrip(places.line_break + places.space)
    reached = [*accumulate(advances, initial=0)]
    spans: list[tuple[int, int]] = []
    start, stop = 0, -1
    while start <= len(text):
        # Found once for each paragraph, not for each line, to stay linear.
        if stop < start:
            stop = text.find(places.line_break, start)
            stop = len(text) if stop < 0 else stop
        end = bisect_right(reached, reached[start] + room, start, stop + 1) - 1
        goes_on = end < stop
        if len(spans) + 1 == most and (goes_on or stop < len(text)):
            return Lines([*spans, (start, stop)], cut=True)
        # Not even one character has room.
        if goes_on and end == start:
            return Lines([*spans, (start, stop)], cut=True)
        end, following = _break(text, places, start, end, stop) if goes_on else (stop, stop + 1)
        spans.append((start, end))
        start = following
    return Lines(spans, cut=False)


def _break(
    text: AnyStr, places: Places[AnyStr], start: int, end: int, stop: int
) -> tuple[int, int]:
    """Where a line that could end at ``end`` does, and where the next one begins."""
    if isinstance(text, str) and (is_ideograph(text[end]) or is_ideograph(text[end - 1])):
        return end, end
    space = text.rfind(places.space, start, end + 1)
    if space > start:
        following = space + 1
        while following < stop and text.startswith(places.space, following):
            following += 1
        return space, following
    hyphen = max(text.rfind(sign, start, end) for sign in places.hyphens)
    return (hyphen + 1, hyphen + 1) if hyphen > start else (end, end)
