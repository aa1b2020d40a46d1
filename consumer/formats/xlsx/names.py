"""The names of a workbook's sheets. Invariant: no two are the same."""

import re

from schemas.sheets import MOST_SHEET_NAME_CHARACTERS, NAME_CHARACTERS, is_sheet_name

_DEFAULT = "Export"
_LIKE = str.maketrans({"/": "-", "\\": "-", "[": "(", "]": ")"})
_UNFIT = re.compile(f"(?!{NAME_CHARACTERS})(?s:.)")


def first_name(title: str | None) -> str:
    """A name like a title, or a default."""
    words = _UNFIT.sub(" ", (title or "").translate(_LIKE)).split()
    name = _cut(" ".join(words).lstrip("' "), MOST_SHEET_NAME_CHARACTERS).rstrip("' ")
    return name if is_sheet_name(name) else _DEFAULT


def further_name(first: str, number: int) -> str:
    """The name of the second sheet, or of one after it."""
    mark = f" ({number})"
    room = MOST_SHEET_NAME_CHARACTERS - len(mark)
    name = _cut(first, room) + mark
    # The first sheet's own name may end in the same mark.
    return name if name != first else _cut(first, room - 1) + mark


def _cut(text: str, room: int) -> str:
    """At most so many characters in UTF-16, and no half of one."""
    return text.encode("utf-16-le")[: 2 * room].decode("utf-16-le", "ignore")
