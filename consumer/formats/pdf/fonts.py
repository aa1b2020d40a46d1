"""TrueType faces: Open Sans, the files that the settings name, then Noto Sans and Inter.

The last two have what Open Sans lacks: Latin with all its extensions, Greek, Cyrillic, signs of
currencies; arrows, check marks and mathematical signs. They are variable fonts, and a PDF gets the
default instance, as only outlines are embedded and these are its. Scripts that are shaped have
faces of their own: of the settings' files, of Noto Sans, which has Devanagari, Noto Sans Arabic,
Noto Sans Thai and the newer Open Sans, which has Hebrew. Parsed once and shared by every export and
thread; what a document uses of them is kept in ``subsets`` and ``cluster_subset``. Fonts found on
the machine are not looked for: the same export must give the same bytes on every node. Invariant:
nothing here changes after loading.
"""

import copy
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Final

import ttf_opensans
from reportlab.pdfbase.ttfonts import TTFError, TTFontFace

from consumer.formats.pdf.shaped_face import ShapedFace

_UNUSABLE = (
    *(TTFError, struct.error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
)
_NOTO_SANS = ("fontpkg_noto_sans", "NotoSans[wdth,wght].ttf")
_INTER = ("fontpkg_inter", "Inter[opsz,wght].ttf")
_ARABIC = ("fontpkg_noto_sans_arabic", "NotoSansArabic[wdth,wght].ttf")
_THAI = ("fontpkg_noto_sans_thai", "NotoSansThai[wdth,wght].ttf")
_HEBREW = ("fontpkg_open_sans", "OpenSans[wdth,wght].ttf")
_SHAPED: Final = (_NOTO_SANS, _ARABIC, _THAI, _HEBREW)
"""What scripts are shaped with: Noto Sans has Devanagari, the newer Open Sans Hebrew."""
_REGULAR, _SEMIBOLD = 400, 600
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
            self._parsed.glyphToChar = None  # for shaping, which HarfBuzz does
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
    """The faces of a document, in the order in which they are searched for a glyph.

    Those that are ``shaped`` are searched for characters of scripts that need it, and the others
    for all others.
    """

    body: tuple[Face, ...]
    heading: tuple[Face, ...]
    shaped_body: tuple[ShapedFace, ...]
    shaped_heading: tuple[ShapedFace, ...]


def load_fonts(files: Sequence[Path] = ()) -> FontStack:
    """Parse Open Sans, then ``files`` in order, then what has most of what is still missing.

    Raises:
        ValueError: a file holds no TrueType font that can be embedded; the message names it.
        OSError: a file can't be read.
    """
    last = (Face(_packaged(*_NOTO_SANS)), Face(_packaged(*_INTER)))
    further = (*map(Face, files), *last)
    regular, semibold = ttf_opensans.OPENSANS_REGULAR, ttf_opensans.OPENSANS_SEMIBOLD
    shaped = (*files, *(_packaged(*font) for font in _SHAPED))
    return FontStack(
        (Face(regular.path), *further),
        (Face(semibold.path), *further),
        tuple(ShapedFace(path, _REGULAR) for path in shaped),
        tuple(ShapedFace(path, _SEMIBOLD) for path in shaped),
    )


def _packaged(package: str, name: str) -> Path:
    return Path(str(package_files(package))) / "files" / name
