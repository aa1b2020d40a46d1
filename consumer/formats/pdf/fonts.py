"""TrueType faces: the bundled Open Sans, then the files that the settings name.

Parsed once and shared by every export and thread; what a document uses of them is kept in
``subsets``. Fonts found on the machine are not looked for: the same export must give the same bytes
on every node. Invariant: nothing here changes after loading.
"""

import copy
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ttf_opensans
from reportlab.pdfbase.ttfonts import TTFError, TTFontFace

_UNUSABLE = (
    *(TTFError, struct.error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
)
UNITS_PER_EM = 200
"""Advances are counted in these units, rounded up, so that nearly all of them fit a byte."""


class Face:
    """One parsed TrueType font.

    Raises:
        ValueError: the file holds no TrueType font that can be embedded; the message names it.
        OSError: the file can't be read.
    """

    __slots__ = ("_parsed",)

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:  # given a name, reportlab would search for it elsewhere
                self._parsed = TTFontFace(file)
            self._parsed.glyphToChar = None  # for shaping, which is not done
            self.parsed().makeSubset([ord("x")])
        except _UNUSABLE as error:
            reason = f"{path}: not a TrueType font that can be embedded: {error}"
            raise ValueError(reason) from error

    @property
    def name(self) -> str:
        """The PostScript name."""
        return str(self._parsed.name, "ascii")

    def has(self, character: str) -> bool:
        """Whether there is a glyph for a character; glyph 0 is the mark of a missing one."""
        return self.glyph(character) != 0

    def glyph(self, character: str) -> int:
        """The glyph's number in the font's file."""
        return int(self._parsed.charToGlyph.get(ord(character), 0))

    def advance(self, character: str) -> int:
        """How far a character moves the pen, in units, at least 1."""
        return max(1, math.ceil(self.width(character) * UNITS_PER_EM / 1000))

    def width(self, character: str) -> float:
        """The same, not rounded, in thousandths of an em as a PDF counts."""
        return float(self._parsed.getCharWidth(ord(character)))

    def parsed(self) -> TTFontFace:
        """What reportlab made of it, shallowly copied: making a subset moves a read position."""
        return copy.copy(self._parsed)


@dataclass(frozen=True, slots=True)
class FontStack:
    """The faces of a document, in the order in which they are searched for a glyph."""

    body: tuple[Face, ...]
    heading: tuple[Face, ...]


def load_fonts(files: Sequence[Path] = ()) -> FontStack:
    """Parse Open Sans and then ``files``, in order.

    Raises:
        ValueError: a file holds no TrueType font that can be embedded; the message names it.
        OSError: a file can't be read.
    """
    further = tuple(map(Face, files))
    regular, semibold = ttf_opensans.OPENSANS_REGULAR, ttf_opensans.OPENSANS_SEMIBOLD
    return FontStack((Face(regular.path), *further), (Face(semibold.path), *further))
