"""Which way each character of a paragraph runs: its level by the Unicode Bidirectional Algorithm.

Implicit levels, brackets in pairs included (UAX #9, 4.2): characters that embed, override or
isolate have no effect. So no text can show another order than its letters have, and levels end at
2. Invariant: the cost is linear in the text.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_LETTERS: Final = {
    "L": "L",
    "R": "R",
    "AL": "A",
    "EN": "0",
    "AN": "1",
    "ES": "+",
    "CS": ",",
    "ET": "%",
    "NSM": "M",
    "BN": "M",  # nothing is shown of BN, it goes with what is before it
    **dict.fromkeys(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"), "M"),
}
"""One letter a class, for regular expressions; any other class is N, a neutral."""
_LEFTWARD: Final = frozenset("RA1")
_WITHOUT_NUMBERS: Final = str.maketrans("A+,%", "RNNN")
_MOST_KEPT: Final = 10_000
_DEEPEST_BRACKETS = 63  # UAX #9, BD16
_OPENING = {"(": ")", "[": "]", "{": "}", "\u2329": "\u232a", "\u3008": "\u3009"}
_BRACKET = re.compile(f"[{re.escape(''.join((*_OPENING.keys(), *_OPENING.values())))}]")
_DIRECTION = {"L": "L", "R": "R", "0": "R", "1": "R"}
"""Which way strong characters run, and numbers in rules N0 to N2."""
_MIRRORED = {
    "(": ")",
    "[": "]",
    "{": "}",
    "<": ">",
    "\u00ab": "\u00bb",
    "\u2039": "\u203a",
    "\u2264": "\u2265",
    "\u2208": "\u220b",
}
_MIRRORED |= {closing: opening for opening, closing in _MIRRORED.items()}


class _Classes(dict[int, str]):
    """Fills itself with the first characters that are met; the others are looked up each time."""

    def __missing__(self, codepoint: int) -> str:
        letter = _LETTERS.get(unicodedata.bidirectional(chr(codepoint)) or "L", "N")
        if len(self) < _MOST_KEPT:
            self[codepoint] = letter
        return letter


_CLASSES = _Classes()


def mirrored(character: str) -> str:
    """What stands for a character from right to left: the other bracket of its pair."""
    return _MIRRORED.get(character, character)


def levels(text: str) -> Sequence[int]:
    """A level for each character of a paragraph, odd from right to left.

    The paragraph's own is by its first strong character (rules P2 and P3).
    """
    classes = text.translate(_CLASSES)
    if _LEFTWARD.isdisjoint(classes):
        return bytes(len(text))
    strong = re.search("[LRA]", classes)
    base = int(strong is not None and strong.group() != "L")
    own = "LR"[base]
    classes = _weak(classes, own)
    if not _OPENING.keys().isdisjoint(text):
        classes = _brackets(text, classes, own)
    # Rules N1 and N2: neutrals run the other way between neighbours that do, else as the paragraph.
    other, neighbours = ("R", "R01") if own == "L" else ("L", "L")
    between = f"(?<=[{neighbours}])N+(?=[{neighbours}])"
    classes = re.sub(between, lambda found: other * len(found[0]), classes).replace("N", own)
    level_of = {"L": 2 * base, "R": 1, "0": 2, "1": 2}
    return bytes(map(level_of.__getitem__, classes))


def visual(levels: Sequence[int]) -> Sequence[int]:
    """The places of characters from left to right (rule L2)."""
    order = [*range(len(levels))]
    for level in range(max(levels, default=0), 0, -1):
        start = 0
        while start < len(order):
            if levels[start] < level:
                start += 1
                continue
            end = start
            while end < len(order) and levels[end] >= level:
                end += 1
            order[start:end] = order[start:end][::-1]
            start = end
    return order


def _weak(classes: str, own: str) -> str:
    """Rules W1 to W7; of numbers, EN that stays is 0 and AN is 1."""
    if "M" in classes:
        classes = re.sub("^M+", lambda found: own * len(found[0]), classes)
        classes = re.sub("(.)M+", lambda found: found[1] * len(found[0]), classes)
    if "0" not in classes and "1" not in classes:
        return classes.translate(_WITHOUT_NUMBERS)
    if "A" in classes:
        classes = re.sub("A[^LRA]*", lambda found: found[0].replace("0", "1"), classes)
        classes = classes.replace("A", "R")
    classes = re.sub("(?<=0)[+,](?=0)", "0", classes)
    classes = re.sub("(?<=1),(?=1)", "1", classes)
    classes = re.sub("%+", _terminators, classes)
    classes = re.sub("[+,%]", "N", classes)
    after_left = "(?:^|L)[^LR]*" if own == "L" else "L[^LR]*"
    return re.sub(after_left, lambda found: found[0].replace("0", "L"), classes)


def _terminators(found: re.Match[str]) -> str:
    """Rule W5: what stands next to a number is of it. A lookahead would be tried for each sign."""
    beside = found.string[max(0, found.start() - 1) : found.start()]
    beside += found.string[found.end() : found.end() + 1]
    return "0" * len(found[0]) if "0" in beside else found[0]


def _brackets(text: str, classes: str, own: str) -> str:
    """Rule N0. The depth is bounded, so each character is looked at a bounded number of times."""
    resolved = [*classes]
    for opening, closing in sorted(_pairs(text)):
        within = {*map(_DIRECTION.get, {*resolved[opening + 1 : closing]})} - {None}
        if not within:
            continue
        if own not in within:
            # The other way, if what stands before runs that way too.
            before = (_DIRECTION.get(resolved[place]) for place in range(opening - 1, -1, -1))
            other = next(filter(None, before), own)
        resolved[opening] = resolved[closing] = own if own in within else other
    return "".join(resolved)


def _pairs(text: str) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    waiting: list[tuple[str, int]] = []
    for found in _BRACKET.finditer(text):
        place, sign = found.start(), found.group()
        if sign in _OPENING:
            if len(waiting) == _DEEPEST_BRACKETS:
                break
            waiting.append((_OPENING[sign], place))
            continue
        for depth in range(len(waiting) - 1, -1, -1):
            if waiting[depth][0] == sign:
                pairs.append((waiting[depth][1], place))
                del waiting[depth:]
                break
    return pairs
