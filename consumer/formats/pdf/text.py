"""Text set in one document's fonts: measured, cut to a width and encoded for a content stream.

The quick way handles many texts at once: joined, encoded by a table in C, measured as bytes. Only
texts with a character that needs another font go one by one. Text is composed (NFC) where it has
combining marks; other marks, ligatures, right-to-left order and shaped scripts are not done: each
character is set by its own glyph, left to right. Invariant: no line is wider than its room.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

from reportlab.pdfbase.pdfdoc import PDFObjectReference

from consumer.formats.pdf.document import StreamedDocument
from consumer.formats.pdf.fonts import Face
from consumer.formats.pdf.repertoire import ELLIPSIS, REPLACEMENT, Repertoire
from consumer.formats.pdf.subsets import SEPARATOR, CompositeSubset

_SEPARATOR = SEPARATOR.encode()


class Copy(NamedTuple):
    """Texts that are ready to be set: what is shown of them, and their codes.

    ``codes`` is None where some character needs another font than the base font.
    """

    texts: Sequence[str]
    codes: bytes | None


class Typesetter:
    """Sets text in one document. Widths are in units, ``UNITS_PER_EM`` at any size.

    A line is what stands between the parentheses of a string that is shown in ``base_font``; it may
    end that string, show others in other fonts, and begin one anew.
    """

    def __init__(self, faces: Sequence[Face], name: str) -> None:
        """``name`` begins the names of its fonts in the document's resources."""
        self.replaced_characters = 0
        self._repertoire = Repertoire(faces, name)
        self._base = self._repertoire.base
        self.base_font = self._base.name.encode()
        self._ellipsis = self._base.encode(ELLIPSIS)

    def prepare(self, texts: Sequence[str]) -> Copy:
        """Find glyphs for at least one text; counts the characters that no font has."""
        codes = self._encode(texts)
        if codes is None:
            texts = [text and self._shown(text) for text in texts]
            codes = self._encode(texts)
        return Copy(texts, codes)

    def measure(self, copy: Copy) -> list[int]:
        """The width of each text, uncut."""
        if copy.codes is None:
            return [sum(self._advances(text)) for text in copy.texts]
        return [*map(sum, self._base.advances(copy.codes).split(_SEPARATOR))]

    def lines(self, copy: Copy, room: int, size: bytes) -> tuple[list[bytes], list[int]]:
        """The texts, cut to ``room`` and encoded, and their widths.

        ``size`` is the type size, as the content stream has it.
        """
        widths = self.measure(copy)
        too_wide = [index for index, width in enumerate(widths) if width > room]
        if copy.codes is not None:
            lines = copy.codes.split(_SEPARATOR)
            for index in too_wide:
                lines[index] = self._cut_codes(lines[index], room)
                widths[index] = sum(self._base.advances(lines[index]))
            return lines, widths
        texts = [*copy.texts]
        for index in too_wide:
            texts[index] = self._cut(texts[index], room)
            widths[index] = sum(self._advances(texts[index]))
        return [self._encode_mixed(text, size) for text in texts], widths

    def fitted(self, copy: Copy, room: int, size: bytes) -> Sequence[bytes]:
        """The lines that ``lines`` gives, measuring only texts that may be too wide."""
        if copy.codes is None:
            return self.lines(copy, room, size)[0]
        lines = copy.codes.split(_SEPARATOR)
        certain = room // self._base.widest(copy.codes)
        if max(map(len, lines)) > certain:
            for index, line in enumerate(lines):
                if len(line) > certain and sum(self._base.advances(line)) > room:
                    lines[index] = self._cut_codes(line, room)
        return lines

    def add_fonts(self, document: StreamedDocument, fonts: dict[str, PDFObjectReference]) -> None:
        """Put the fonts into the document, and into the font resources by their names."""
        for font in self._repertoire.fonts():
            fonts[font.name] = font.add_to(document, len(fonts))

    def _encode(self, texts: Sequence[str]) -> bytes | None:
        """Codes in the base font, if it has them all; a separator in a text shows in the count."""
        try:
            codes = self._base.encode(SEPARATOR.join(texts))
        except UnicodeEncodeError:
            return None
        return codes if codes.count(_SEPARATOR) == len(texts) - 1 else None

    def _shown(self, text: str) -> str:
        shown = unicodedata.normalize("NFC", text).translate(self._repertoire)
        self.replaced_characters += shown.count(REPLACEMENT) - text.count(REPLACEMENT)
        return shown

    def _advances(self, text: str) -> list[int]:
        return [*map(self._repertoire.advance_of.__getitem__, text)]

    def _cut(self, text: str, room: int) -> str:
        kept = self._fitting(self._advances(text), room)
        return "" if kept is None else text[:kept].rstrip(" ") + ELLIPSIS

    def _cut_codes(self, codes: bytes, room: int) -> bytes:
        kept = self._fitting(self._base.advances(codes), room)
        return b"" if kept is None else codes[:kept].rstrip(b" ") + self._ellipsis

    def _fitting(self, advances: Sequence[int], room: int) -> int | None:
        """How many characters fit before an ellipsis; None, if not even that fits."""
        limit = room - self._repertoire.advance_of[ELLIPSIS]
        if limit < 0:
            return None
        return bisect_right([*accumulate(advances[: limit + 1])], limit)

    def _encode_mixed(self, text: str, size: bytes) -> bytes:
        """One run after the other, each in its font."""
        line = b""
        for font, run in groupby(text, self._repertoire.font_of.__getitem__):
            codes = font.encode("".join(run))
            if isinstance(font, CompositeSubset):
                name = font.name.encode()
                codes = b")Tj /%b %b Tf <%b>Tj /%b %b Tf (" % (
                    *(name, size, codes),
                    *(self.base_font, size),
                )
            line += codes
        return line
