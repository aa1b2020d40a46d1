"""TrueType faces: Open Sans, the files that the settings name, then Noto Sans and Inter.

The last two have what Open Sans lacks: Latin with all its extensions, Greek, Cyrillic, signs of
currencies; arrows, check marks and mathematical signs. They are variable fonts, and a PDF gets the
default instance, as only outlines are embedded and these are its. Parsed once and shared by every
export and thread; what a document uses of them is kept in
``subsets``. Fonts found on the machine are not looked for: the same export must give the same bytes
on every node. Invariant: nothing here changes after loading.
"""

import copy
import math
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from itertools import chain
from pathlib import Path
from typing import Final

import ttf_opensans
from reportlab.pdfbase.ttfonts import TTFError, TTFontFace

_UNUSABLE = (
    *(TTFError, struct.error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
)
_NOTO_SANS = ("fontpkg_noto_sans", "NotoSans[wdth,wght].ttf")
_INTER = ("fontpkg_inter", "Inter[opsz,wght].ttf")
_DEVANAGARI: Final = frozenset(
    chain(range(0x900, 0x980), range(0x1CD0, 0x1D00), range(0xA8E0, 0xA900))
)
"""Noto Sans has glyphs for it, which without shaping come out wrong and would count as right."""
UNITS_PER_EM = 200
"""Advances are counted in these units, rounded up, so that nearly all of them fit a byte."""


class Face:
    """One parsed TrueType font.

    Raises:
        ValueError: the file holds no TrueType font that can be embedded; the message names it.
        OSError: the file can't be read.
    """

    __slots__ = ("_left_out", "_parsed")

    def __init__(self, path: Path, left_out: Collection[int] = ()) -> None:
        """``left_out``: code points for which the font is not used."""
        self._left_out = left_out
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
        if ord(character) in self._left_out:
            return 0
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
    """Parse Open Sans, then ``files`` in order, then what has most of what is still missing.

    Raises:
        ValueError: a file holds no TrueType font that can be embedded; the message names it.
        OSError: a file can't be read.
    """
    last = (Face(_packaged(*_NOTO_SANS), _DEVANAGARI), Face(_packaged(*_INTER)))
    further = (*map(Face, files), *last)
    regular, semibold = ttf_opensans.OPENSANS_REGULAR, ttf_opensans.OPENSANS_SEMIBOLD
    return FontStack((Face(regular.path), *further), (Face(semibold.path), *further))


def _packaged(package: str, name: str) -> Path:
    return Path(str(package_files(package))) / "files" / name
