"""Text as XML of a spreadsheet.

A character that XML 1.0 can't hold stands as ``_xHHHH_``, CR too, as an XML reader makes LF of it.
Text that looks so itself has its underscore written that way (ECMA-376 Part 1, 22.9.2.19).
Invariant: what a reader decodes is the text.
"""

import re
from collections.abc import Sequence

BETWEEN = b"\0"
"""Stands between texts that are handled at once, and in no XML."""
# What XML 1.0 can't hold, and CR.
_UNFIT = [*range(9), *range(11, 32), 0xFFFE, 0xFFFF]
_AS_NUMBERS = {code: f"_x{code:04X}_" for code in _UNFIT}
_UNFIT_SIGNS = "".join(map(chr, _UNFIT))
# The last underscore may be the first of another such form.
_LOOKS_SO = re.compile(f"_(?=x[0-9A-Fa-f]{{4}}[_{_UNFIT_SIGNS}])")
_CONTROLS = bytes(code for code in _UNFIT if 0 < code < 32)
_ODD_SIGNS = (b"_x", "\ufffe".encode(), "\uffff".encode())


def escaped(text: str) -> bytes:
    """One text, in UTF-8."""
    return _without_markup(_LOOKS_SO.sub("_x005F_", text).translate(_AS_NUMBERS).encode())


def all_escaped(texts: Sequence[str], joined: str) -> bytes:
    """Texts, with ``BETWEEN`` in between, by few passes over them; ``joined`` is by the same."""
    xml = joined.encode()
    is_odd = (
        xml.count(BETWEEN) >= len(texts)
        or len(xml.translate(None, _CONTROLS)) < len(xml)
        or any(sign in xml for sign in _ODD_SIGNS)
    )
    return BETWEEN.join(map(escaped, texts)) if is_odd else _without_markup(xml)


def _without_markup(text: bytes) -> bytes:
    return text.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
