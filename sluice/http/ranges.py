"""Strict parsers of ``Range`` and of lists of entity tags (RFC 9110, 8.8.3, 13, 14). Pure."""

import re
from collections.abc import Sequence

_MOST_RANGES = 100
_TAG = re.compile(r'[ \t]*(?:(?P<tag>(?P<weak>W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|$)')
_RANGE = re.compile(r"(?P<first>[0-9]{1,4000})-(?P<last>[0-9]{0,4000})|-(?P<suffix>[0-9]{1,4000})")


def satisfiable(header: str, size_bytes: int) -> list[tuple[int, int]] | None:
    """The first and last byte of each range that overlaps a file of this size.

    Empty: the answer is 416. None: ignore the header, as its unit is not bytes, it is malformed, or
    it has more than 100 ranges.
    """
    unit, _, text = header.partition("=")
    parts = [part.strip(" \t") for part in text.split(",") if part.strip(" \t")]
    matches = [match for part in parts if (match := _RANGE.fullmatch(part))]
    valid = bool(parts) and len(matches) == len(parts) <= _MOST_RANGES
    if unit.strip().lower() != "bytes" or not valid:
        return None
    ranges = [_range(match, size_bytes) for match in matches]
    if any(not match["suffix"] and _is_reversed(match) for match in matches):
        return None
    return [(first, last) for first, last in ranges if first <= last]


def normalised(ranges: Sequence[tuple[int, int]]) -> str:
    """The header that asks for exactly these ranges."""
    return "bytes=" + ",".join(f"{first}-{last}" for first, last in ranges)


def names(header: str, tag: str, *, strongly: bool) -> bool:
    """Whether ``If-Match`` or ``If-None-Match`` matches the strong entity tag ``tag``.

    ``strongly``: weak tags in the header never match (13.1.1). A header that is neither ``*`` nor
    a list of tags matches nothing.
    """
    if header.strip(" \t") == "*":
        return True
    found, position = False, 0
    while position < len(header):
        match = _TAG.match(header, position)
        if match is None:
            return False
        if match["tag"] and not (strongly and match["weak"]):
            found = found or match["tag"].removeprefix("W/") == tag
        position = match.end()
    return found


def _range(match: re.Match[str], size_bytes: int) -> tuple[int, int]:
    """The first and last byte of a range in the file; last < first if they don't overlap."""
    end = size_bytes - 1
    if suffix := match["suffix"]:
        return max(0, size_bytes - int(suffix)), end
    return int(match["first"]), min(int(match["last"] or end), end)


def _is_reversed(match: re.Match[str]) -> bool:
    return bool(match["last"]) and int(match["last"]) < int(match["first"])
