"""Models of programs that read a CSV: what each drops, where it splits, which lines it skips."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SEPARATORS = ",;\t"
_QUOTED = re.compile('"((?:[^"]|"")*+)"')


@dataclass(frozen=True)
class Reader:
    """A reader; by default one that takes every character as it is.

    ``drops_nul``: as LibreOffice does. ``skips_blank``: lines of blanks, as pandas does; empty ones
    are skipped by Go's reader and Python's ``DictReader`` too. A mark at the beginning is dropped.
    """

    separators: str
    drops_nul: bool = False
    skips_blank: bool = False

    def rows(self, text: str) -> list[list[str]]:
        """The fields of each row."""
        text = text.removeprefix("\ufeff")
        if self.drops_nul:
            text = text.replace("\0", "")
        return list(self._rows(text))

    def _rows(self, text: str) -> Iterator[list[str]]:
        at = 0
        blank = " \t".translate(str.maketrans("", "", self.separators))
        while at < len(text):
            begun, row = at, []
            while True:
                field, at = self._field(text, at)
                row.append(field)
                if at >= len(text) or text[at] not in self.separators:
                    break
                at += 1
            if not self.skips_blank or text[begun:at].strip(blank):
                yield row
            at += 2 if text[at : at + 2] == "\r\n" else 1

    def _field(self, text: str, at: int) -> tuple[str, int]:
        """The field that begins at a place, and where what ends it stands."""
        field = ""
        if text[at : at + 1] == '"':
            closed = _QUOTED.match(text, at)
            assert closed, "a quoted field has no end"
            field, at = closed[1].replace('""', '"'), closed.end()
        end = at
        while end < len(text) and text[end] not in self.separators + "\r\n":
            end += 1
        return field + text[at:end], end


def readers(delimiter: str) -> list[Reader]:
    """All that may meet a file with this delimiter."""
    return [
        Reader(separators, drops_nul, skips_blank)
        for separators in (delimiter, delimiter + SEPARATORS)
        for drops_nul in (False, True)
        for skips_blank in (False, True)
    ]
