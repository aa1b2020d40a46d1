"""Which glyph stands for each character in one document, and what has none.

Characters that Unicode calls default-ignorable (joiners, variation selectors, byte-order and
direction marks, soft hyphens) are left out; control characters, tabs and line breaks are a space,
but the separator of texts stays, as line breaks do where text is wrapped; spaces
and hyphens that no font has are the plain ones, and other such characters U+FFFD, which Open Sans
has. Invariant: a character's answer never changes, and depends on nothing
but the fonts and the characters looked up before it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from consumer.formats.pdf.cluster_subset import ClusterSubset
from consumer.formats.pdf.fonts import Face
from consumer.formats.pdf.scripts import script_of
from consumer.formats.pdf.stream_safe import is_mark
from consumer.formats.pdf.subsets import (
    LINE_BREAK,
    SEPARATOR,
    CompositeSubset,
    SimpleSubset,
    two_bytes,
)

ELLIPSIS = "…"
REPLACEMENT = "\ufffd"
IS_SHAPED = "\ufdd0"
"""Stands for a character of a script that is shaped: quicker to find than any of these. Unicode has
no such character, and its own range is one of those."""
_BREAKS = frozenset("\u2028\u2029")
LINE_BREAKS = "\n\x0b\x0c\x85\u2028\u2029"  # CR isn't among them, as LF mostly follows it
# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt, which Python doesn't carry.
_IGNORABLE = (
    *((0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164)),
    *((0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8)),
    *((0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)


_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212")
TOKENS = re.compile(rb"(\(..)..(?:\1..)*", re.DOTALL)
"""Neighbours in one composite font; the group is what each of them begins with."""

_Font = TypeVar("_Font", CompositeSubset, ClusterSubset)


class Glyph(NamedTuple):
    """What is shown of a character, and its code there.

    ``font`` is its number among the composites, or one of the two below.
    """

    character: str
    code: bytes
    font: int
    advance: int
    shown: str
    is_decimal: bool
    is_replaced: bool


_IN_BASE: Final = -1
_LEFT_OUT: Final = -2
_JAMO: Final = range(0x1160, 0x1200)
"""Vowels and final consonants, which are composed with what is before them though no marks."""


class Repertoire(dict[int, str]):
    """A table for ``str.translate`` from a character to what is shown; it fills itself.

    ``token_of`` has what is shown as itself, for ``codecs.charmap_encode``: the code of a character
    in the base font, and of any other ``(``, its font's number among the composites and its code
    there, two bytes each. No byte of a code is a parenthesis. ``line_token_of`` has what stands in
    texts that were shaped, too (see ``shaping``). ``has_marks``: one was looked up.
    """

    def __init__(self, faces: Sequence[Face], name: str, *, wraps: bool = False) -> None:
        """``name`` begins the names of the fonts in the document's resources."""
        super().__init__({ord(SEPARATOR): SEPARATOR})
        self.base = SimpleSubset(faces[0], f"{name}0", wraps=wraps)
        self.composites: list[CompositeSubset | ClusterSubset] = []
        self.advance_of: dict[str, int] = {}
        self.widest = 1
        self.has_marks = False
        self.token_of: dict[int, int | bytes] = {ord(SEPARATOR): ord(SEPARATOR)}
        self.line_token_of = self.token_of.copy()
        self._faces = tuple(faces)
        self._name = name
        for character in (ELLIPSIS, "#"):  # cuts need their codes
            self[ord(character)]
        if wraps:
            self.update(dict.fromkeys(map(ord, LINE_BREAKS), LINE_BREAK))
            self.advance_of[LINE_BREAK] = 1
            self.token_of[ord(LINE_BREAK)] = self.line_token_of[ord(LINE_BREAK)] = ord(LINE_BREAK)

    def fonts(self) -> list[SimpleSubset | CompositeSubset | ClusterSubset]:
        """All fonts of the document that hold a character."""
        return [self.base, *self.composites]

    def __missing__(self, codepoint: int) -> str:
        shown = self._shown(chr(codepoint))
        self[codepoint] = shown
        return shown

    def _shown(self, character: str) -> str:
        self.has_marks = self.has_marks or is_mark(character)
        if any(first <= ord(character) <= last for first, last in _IGNORABLE):
            return ""
        if character in _BREAKS or unicodedata.category(character) == "Cc":
            return self[ord(" ")]
        if script_of(character):
            return IS_SHAPED
        face = next((face for face in self._faces if face.has(character)), None)
        if face is None:
            return self[ord(_stand_in(character))]
        advance = self.advance_of[character] = face.advance(character)
        self.widest = max(self.widest, advance)
        token = self._add(character, face)
        self.token_of[ord(character)] = self.line_token_of[ord(character)] = token
        return character

    def add_composite(self, made: Callable[[str], _Font]) -> tuple[int, _Font]:
        """Add a font that is made with a name; its number among the composites."""
        font = made(f"{self._name}{len(self.composites) + 1}")
        self.composites.append(font)
        return len(self.composites) - 1, font

    def glyphs(self, after: int) -> Iterator[Glyph]:
        """What is shown of the characters that were met after so many, where that is for sure.

        Not of characters that are shaped, or that Unicode may compose with a neighbour.
        """
        numbers = {token_start(number): number for number in range(len(self.composites))}
        for codepoint, shown in islice(self.items(), after, None):
            character = chr(codepoint)
            if character == SEPARATOR or shown == IS_SHAPED or not _stands_alone(character):
                continue
            if not shown:
                yield Glyph(character, b"", _LEFT_OUT, 0, " ", False, False)
                continue
            token, advance = self.token_of[ord(shown)], self.advance_of[shown]
            if isinstance(token, int):
                font, code = _IN_BASE, bytes((token,))
            else:
                font, code = numbers[token[:3]], token[3:]
            is_replaced = shown == REPLACEMENT != character
            yield Glyph(character, code, font, advance, shown, shown.isdecimal(), is_replaced)

    def _add(self, character: str, face: Face) -> int | bytes:
        """A combining mark is never in the base font: text that has one takes the long way."""
        in_base = face is self.base.face and not unicodedata.combining(character)
        if in_base and self.base.add(character):
            return self.base.encode(character)[0]
        for number, font in enumerate(self.composites):
            if not isinstance(font, CompositeSubset) or font.face is not face:
                continue
            if code := font.add(character):
                return token_start(number) + code
        self.add_composite(lambda name: CompositeSubset(face, name))
        return self._add(character, face)


def _stand_in(character: str) -> str:
    """What is shown of a character that no font has: a space or a hyphen, if it is one."""
    if unicodedata.category(character) == "Zs":
        return " "
    return "-" if character in _DASHES else REPLACEMENT


def _stands_alone(character: str) -> bool:
    """Whether normalizing (NFC) leaves a character as it is, whatever stands beside it."""
    composed = unicodedata.is_normalized("NFC", character)
    is_lone = ord(character) not in _JAMO and unicodedata.category(character) != "Cs"
    return composed and is_lone and not is_mark(character)


def token_start(number: int) -> bytes:
    """What the tokens of a composite font begin with, by its number from 0."""
    return b"(" + two_bytes(number)
