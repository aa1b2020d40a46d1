"""The fonts inside one PDF: which characters of a face it embeds, and by which codes.

A simple font has codes of one byte, quick and small, for the first 250 characters of a face that
are no ideographs; a composite font has two bytes and room for the rest (ISO 32000-1, 9.6 and 9.7).
Neither is ever shared between documents. Invariant: a code keeps its character, and no code of a
font has a byte with a meaning in a PDF string, so strings need no escapes.
"""

import codecs
from collections.abc import Iterable, Sequence

from reportlab.pdfbase import pdfdoc
from reportlab.pdfbase.ttfonts import SUBSETN

from consumer.formats.pdf.document import StreamedDocument
from consumer.formats.pdf.fonts import Face

SEPARATOR = "\0"
"""Stands between the texts that a simple font encodes at once; the code of no character."""

LINE_BREAK = "\n"
"""Stands in texts that are wrapped, and in no line."""

_MEANINGFUL = frozenset(b"\0\n\r()\\")
_OWN_CODES = frozenset(range(32, 127)) - _MEANINGFUL
_FREE_CODES = [code for code in (*range(127, 256), *range(1, 32)) if code not in _MEANINGFUL]
_PLAIN_BYTES = [code for code in range(1, 256) if code not in _MEANINGFUL]
_UNMAPPED = "\ufffe"  # the codecs' own mark
_NO_CHARACTERS = frozenset({SEPARATOR, LINE_BREAK, _UNMAPPED})
_FIRST_IDEOGRAPH, _LAST_IDEOGRAPH, _LAST = 0x2E80, 0xFAFF, 0xFFFD


def is_ideograph(character: str) -> bool:
    """Whether a character is of those that a text has thousands of."""
    return _FIRST_IDEOGRAPH <= ord(character) <= _LAST_IDEOGRAPH


class SimpleSubset:
    """Up to 250 characters of one face, one byte each. ASCII mostly has its own codes."""

    def __init__(self, face: Face, name: str, *, wraps: bool = False) -> None:
        """``wraps``: a line break is encoded, as itself."""
        self.face = face
        self.name = name
        self._decoding = [SEPARATOR, *[_UNMAPPED] * 255]
        self._free = iter(_FREE_CODES)
        self._advances = bytearray(256)
        if wraps:
            self._decoding[ord(LINE_BREAK)] = LINE_BREAK
            self._advances[ord(LINE_BREAK)] = 1  # none but the separator has 0
        self._widest_first: list[tuple[int, int]] = []
        self._index()

    def add(self, character: str) -> bool:
        """Give a character a code, unless there is none left or it suits a composite font."""
        advance = self.face.advance(character)
        codepoint = ord(character)
        if is_ideograph(character) or codepoint > _LAST or advance > 255:
            return False
        code = codepoint if codepoint in _OWN_CODES else next(self._free, None)
        if code is None:
            return False
        self._decoding[code] = character
        self._advances[code] = advance
        self._widest_first = sorted([*self._widest_first, (advance, code)], reverse=True)
        self._index()
        return True

    def encode(self, text: str) -> bytes:
        """The codes of the characters.

        Raises:
            UnicodeEncodeError: one of them has none.
        """
        return codecs.charmap_encode(text, "strict", self._encoding)[0]

    def advances(self, codes: bytes) -> bytes:
        """The advance of each code, in units; 0 for the separator."""
        return codes.translate(self._advances)

    def widest(self, codes: bytes) -> int:
        """The largest advance among codes, or 1 if there are none."""
        return next((advance for advance, code in self._widest_first if code in codes), 1)

    def add_to(self, document: StreamedDocument, number: int) -> pdfdoc.PDFObjectReference:
        """The font as PDF objects; ``number`` tells the document's fonts apart."""
        characters = [None if char in _NO_CHARACTERS else char for char in self._decoding]
        while characters[-1] is None:
            characters.pop()
        codepoints = [ord(character) if character else 0 for character in characters]
        name = subset_name(self.face.name, number)
        descriptor = self.face.parsed().addSubsetObjects(document, name, codepoints)
        font = pdfdoc.PDFTrueTypeFont()
        font.BaseFont = name
        font.FirstChar, font.LastChar = 0, len(characters) - 1
        font.Widths = pdfdoc.PDFArray([self.face.width(char) if char else 0 for char in characters])
        font.ToUnicode = _to_unicode(document, name, enumerate(characters), digits=2)
        font.FontDescriptor = descriptor
        return document.Reference(font)

    def _index(self) -> None:
        self._encoding = codecs.charmap_build("".join(self._decoding))


def two_bytes(number: int) -> bytes:
    """A number from 0 to 62,499 as two bytes that have no meaning in a PDF string."""
    high, low = divmod(number, len(_PLAIN_BYTES))
    return bytes((_PLAIN_BYTES[high], _PLAIN_BYTES[low]))


class CompositeSubset:
    """Thousands of characters of one face, two bytes each."""

    CAPACITY = 32_000  # what the character map in a subset made by reportlab can hold

    def __init__(self, face: Face, name: str) -> None:
        self.face = face
        self.name = name
        self._characters: dict[int, str] = {}
        self._encoding: dict[int, int | bytes] = {ord(SEPARATOR): ord(SEPARATOR)}

    def has(self, character: str) -> bool:
        """Whether a character has a code here."""
        return ord(character) in self._encoding

    def encode(self, text: str) -> bytes:
        """The codes of the characters; that of the separator is one byte.

        Raises:
            UnicodeEncodeError: one of them has none.
        """
        return codecs.charmap_encode(text, "strict", self._encoding)[0]

    def add(self, character: str) -> bytes | None:
        """Give a character the next code, unless there is none left."""
        if len(self._characters) >= self.CAPACITY:
            return None
        code = self._encoding[ord(character)] = two_bytes(len(self._characters))
        self._characters[int.from_bytes(code, "big")] = character
        return code

    def add_to(self, document: StreamedDocument, number: int) -> pdfdoc.PDFObjectReference:
        """The font as PDF objects; ``number`` tells the document's fonts apart."""
        codepoints = [*map(ord, self._characters.values())]
        characters = [*map(self._characters.get, range(max(self._characters) + 1))]
        widths = [self.face.width(char) if char else 0 for char in characters]
        name = subset_name(self.face.name, number)
        descriptor = self.face.parsed().addSubsetObjects(document, name, codepoints)
        # Characters may share a glyph, and a subset has each glyph once, in order.
        numbers = {0: 0}
        glyphs = [
            numbers.setdefault(self.face.glyph(char) if char else 0, len(numbers))
            for char in characters
        ]
        return composite_font(document, name, descriptor, widths, glyphs, characters)


def composite_font(
    document: StreamedDocument,
    name: str,
    descriptor: pdfdoc.PDFObjectReference,
    widths: Sequence[float],
    glyphs: Sequence[int],
    texts: Sequence[str | None],
) -> pdfdoc.PDFObjectReference:
    """A font with codes of two bytes (ISO 32000-1, 9.7).

    For each code: its width in thousandths of an em, the number of its glyph in the font's file,
    and the text that it stands for.
    """
    glyph_map = pdfdoc.PDFStream(content=b"".join(number.to_bytes(2, "big") for number in glyphs))
    descendant = pdfdoc.PDFDictionary(
        {
            "Type": "/Font",
            "Subtype": "/CIDFontType2",
            "BaseFont": pdfdoc.PDFName(name),
            "CIDSystemInfo": "<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>",
            "FontDescriptor": descriptor,
            "W": pdfdoc.PDFArray([0, pdfdoc.PDFArray(widths)]),
            "CIDToGIDMap": document.Reference(glyph_map),
        }
    )
    font = pdfdoc.PDFDictionary(
        {
            "Type": "/Font",
            "Subtype": "/Type0",
            "BaseFont": pdfdoc.PDFName(name),
            "Encoding": "/Identity-H",
            "DescendantFonts": pdfdoc.PDFArray([document.Reference(descendant)]),
            "ToUnicode": _to_unicode(document, name, enumerate(texts), digits=4),
        }
    )
    return document.Reference(font)


def subset_name(font: str, number: int) -> str:
    """As ISO 32000-1, 9.6.4 wants it: six letters, a plus sign and the font's name."""
    prefix = SUBSETN(number).decode()
    return f"{prefix}+{font}"


def _to_unicode(
    document: StreamedDocument, name: str, codes: Iterable[tuple[int, str | None]], digits: int
) -> pdfdoc.PDFObjectReference:
    """What text is extracted by; ISO 32000-1, 9.10.3. At most 100 mappings stand in one block."""
    lines = [
        f"<{code:0{digits}X}> <{character.encode('utf-16-be').hex().upper()}>"
        for code, character in codes
        if character
    ]
    blocks = [lines[start : start + 100] for start in range(0, len(lines), 100)]
    content = "\n".join(
        [
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
            f"/CMapName /{name}-UCS def /CMapType 2 def",
            f"1 begincodespacerange <{0:0{digits}X}> <{16**digits - 1:X}> endcodespacerange",
            *(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks),
            "endcmap CMapName currentdict /CMap defineresource pop end end",
        ]
    )
    return document.Reference(pdfdoc.PDFStream(content=content.encode()))
