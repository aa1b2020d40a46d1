"""Which texts a spreadsheet might run: the contract's "Formula escaping".

Invariant: a text that is no formula here isn't one either for readers that drop NULs and U+FEFF or
trim white space; and escaping adds only one character in front.
"""

import re
from typing import Final

STARTS: Final = frozenset("=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}") | frozenset(
    "\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
"""The first characters of formulas."""
PASSED_OVER: Final = (
    "\0\ufeff \x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""What readers drop or trim at the beginning of a text: NUL, U+FEFF, and white space that isn't a
start itself."""

# A sign and digits compute nothing, however they are grouped: -5, +1.5e3, -1,234.56, -1 234,50,
# +49 170 1234567, -5 %. And a "-" alone, as tables have it for nothing. In a formula proper another
# operator, a name or a bracket would follow. Nothing is given back (++): see column_types.
_SPACE = "[ \u00a0\u2009\u202f]"
_HARMLESS = re.compile(
    r"[+-](?:(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
    rf"|[0-9]++(?:(?:[.,'\u2019]|{_SPACE})[0-9]++)*)(?:{_SPACE}?%)?|-"
)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might run a text."""
    text = text.lstrip(PASSED_OVER)
    return text[:1] in STARTS and not _HARMLESS.fullmatch(text)


def escaped(text: str) -> str:
    """A text with a ``'`` before it if a spreadsheet might run it."""
    return "'" + text if is_formula(text) else text
