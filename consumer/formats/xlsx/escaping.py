"""Text as XML of a spreadsheet.

A character that XML 1.0 can't hold stands as ``_xHHHH_``, CR too, as an XML reader makes LF of it.
Text that looks so itself has its underscore written that way (ECMA-376 Part 1, 22.9.2.19).
Invariant: what a reader decodes is the text.
"""

import re
from collections.abc import Sequence

BETWEEN = b"\0"
"""Stands between texts that are handled at once, and in no XML."""
_NUL = BETWEEN.decode()
# What XML 1.0 can't hold, and CR.
_UNFIT = [*range(9), *range(11, 32), 0xFFFE, 0xFFFF]
_NUMBERS = {"_": "_x005F_", **{chr(code): f"_x{code:04X}_" for code in _UNFIT}}
_UNFIT_SIGNS = "".join(map(chr, _UNFIT))
_UNFIT_BUT_NUL = _UNFIT_SIGNS.removeprefix(_NUL)
# The last underscore of what looks like a number may be the first of another such form.
_ODD, _ODD_BUT_NUL = (
    re.compile(f"[{signs}]|_(?=x[0-9A-Fa-f]{{4}}[_{signs}])")
    for signs in (_UNFIT_SIGNS, _UNFIT_BUT_NUL)
)
_CONTROLS = bytes(code for code in _UNFIT if 0 < code < 32)
_LAST_OF_THE_PLANE = b"\xef\xbf"  # U+FFFE and U+FFFF begin so, and few others


def escaped(text: str) -> bytes:
    """One text, in UTF-8."""
    return _without_markup(_ODD.sub(_number, text).encode())


def all_escaped(texts: Sequence[str], joined: str) -> bytes:
    """Texts, with ``BETWEEN`` in between, by few passes over them; ``joined`` is by the same."""
    xml = joined.encode()
    if xml.count(BETWEEN) >= len(texts):
        return BETWEEN.join(map(escaped, texts))
    if len(xml.translate(None, _CONTROLS)) < len(xml) or b"_x" in xml or _LAST_OF_THE_PLANE in xml:
        xml = _ODD_BUT_NUL.sub(_number, joined).encode()
    return _without_markup(xml)


def _number(sign: re.Match[str]) -> str:
    return _NUMBERS[sign[0]]


def _without_markup(text: bytes) -> bytes:
    return text.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
