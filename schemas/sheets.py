"""Excel's limits on sheets and their names.

Characters are counted as Excel does, in UTF-16: one beyond U+FFFF counts twice.
"""

import re
from typing import Final

MOST_SHEET_ROWS: Final = 1_048_576
MOST_CELL_CHARACTERS: Final = 32_767
MOST_SHEET_NAME_CHARACTERS: Final = 31
NAME_CHARACTERS: Final = r"[^\[\]:*?/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]"
"""One that a name may have, as a regular expression."""
_NAME = re.compile(f"(?!'){NAME_CHARACTERS}+(?<!')")
_RESERVED = "history"


def utf16_length(text: str) -> int:
    """The characters of a text, in UTF-16."""
    return len(text.encode("utf-16-le")) // 2


def is_sheet_name(text: str) -> bool:
    """Whether a sheet may have this name."""
    return (
        _NAME.fullmatch(text) is not None
        and utf16_length(text) <= MOST_SHEET_NAME_CHARACTERS
        and not text.isspace()
        and text.lower() != _RESERVED
    )
