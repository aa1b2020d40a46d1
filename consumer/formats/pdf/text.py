"""Text set in one document's fonts: measured, cut to a width and encoded for a content stream.

Many texts are handled at once: joined, encoded by a table in C, and in the base font measured as
bytes. Text is composed (NFC) where it has combining marks; other marks, ligatures, right-to-left
order and shaped scripts are not done: each character is set by its own glyph, left to right.
Invariant: no line is wider than its room.
"""

import codecs
import contextlib
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from reportlab.pdfbase.pdfdoc import PDFObjectReference

from consumer.formats.pdf.document import StreamedDocument
from consumer.formats.pdf.fonts import Face
from consumer.formats.pdf.repertoire import (
    ELLIPSIS,
    REPLACEMENT,
    TOKENS,
    Repertoire,
    token_start,
)
from consumer.formats.pdf.stream_safe import is_stream_safe, stream_safe
from consumer.formats.pdf.subsets import SEPARATOR, CompositeSubset

MOST_TEXT = 4_096
"""Characters of a text that are looked at: more than a line of the widest page shows in type that
can be read."""
_SEPARATOR = SEPARATOR.encode()


class Copy(NamedTuple):
    """Texts that are ready to be set: what is shown of them, and their codes.

    ``codes`` is None where some character needs another font than the base font. Then there are
    ``tokens``, as ``Repertoire`` has them; or codes of the one composite font that has all.
    """

    texts: Sequence[str]
    codes: bytes | None
    tokens: bytes = b""
    composite: tuple[CompositeSubset, bytes] | None = None


class Typesetter:
    """Sets text in one document. Widths are in units, ``UNITS_PER_EM`` at any size.

    A line is what stands between the parentheses of a string that is shown in ``base_font``; it may
    end that string, show others in other fonts, and begin another one.
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
        joined = SEPARATOR.join(texts)
        if len(joined) > MOST_TEXT:
            texts = [*map(shortened, texts)]
            joined = SEPARATOR.join(texts)
        if joined.count(SEPARATOR) != len(texts) - 1:
            joined = SEPARATOR.join(text.replace(SEPARATOR, " ") for text in texts)
        elif (codes := self._encode(joined)) is not None:
            return Copy(texts, codes)
        elif copy := self._met_before(texts, joined):
            return copy
        shown = unicodedata.normalize("NFC", stream_safe(joined)).translate(self._repertoire)
        self.replaced_characters += shown.count(REPLACEMENT) - joined.count(REPLACEMENT)
        texts = shown.split(SEPARATOR)
        if (codes := self._encode(shown)) is not None:
            return Copy(texts, codes)
        return Copy(texts, None, self._encode_mixed(shown))

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
        lines = self._mixed_lines(copy, size)
        for index in too_wide:
            cut = self._cut(copy.texts[index], room)
            (lines[index],) = self._in_fonts(self._encode_mixed(cut), size)
            widths[index] = sum(self._advances(cut))
        return lines, widths

    def fitted(self, copy: Copy, room: int, size: bytes) -> Sequence[bytes]:
        """The lines that ``lines`` gives, measuring only texts that may be too wide."""
        if copy.codes is None:
            return self._fitted_mixed(copy, room, size)
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

    def _encode(self, text: str) -> bytes | None:
        """Codes in the base font, if it has them all."""
        try:
            return self._base.encode(text)
        except UnicodeEncodeError:
            return None

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

    def _fitted_mixed(self, copy: Copy, room: int, size: bytes) -> list[bytes]:
        lines = self._mixed_lines(copy, size)
        certain = room // self._repertoire.widest
        for index, text in enumerate(copy.texts):
            if len(text) > certain and sum(self._advances(text)) > room:
                cut = self._encode_mixed(self._cut(text, room))
                (lines[index],) = self._in_fonts(cut, size)
        return lines

    def _met_before(self, texts: Sequence[str], joined: str) -> Copy | None:
        """Of texts that are shown as they are, and all of whose characters were met before.

        They are encoded first: text with marks that were not met may take long to look at.
        """
        copy = self._encoded_before(texts, joined) if self._repertoire.composites else None
        quick = copy and (not self._repertoire.has_marks or is_stream_safe(joined))
        return copy if quick and unicodedata.is_normalized("NFC", joined) else None

    def _encoded_before(self, texts: Sequence[str], joined: str) -> Copy | None:
        # Often a column is in one font, as Han is, and its first character tells.
        first = joined.lstrip(SEPARATOR)[0]
        for font in self._repertoire.composites:
            if font.has(first):
                with contextlib.suppress(UnicodeEncodeError):
                    return Copy(texts, None, composite=(font, font.encode(joined)))
        with contextlib.suppress(UnicodeEncodeError):
            return Copy(texts, None, self._encode_mixed(joined))
        return None

    def _encode_mixed(self, text: str) -> bytes:
        return codecs.charmap_encode(text, "strict", self._repertoire.token_of)[0]

    def _mixed_lines(self, copy: Copy, size: bytes) -> list[bytes]:
        """The texts, uncut."""
        if copy.composite is None:
            return self._in_fonts(copy.tokens, size)
        font, codes = copy.composite
        begin = _switch(font.name.encode(), size)
        end = _switch(self.base_font, size)
        if all(copy.texts):
            codes = codes.replace(_SEPARATOR, end + _SEPARATOR + begin)
            return (begin + codes + end).split(_SEPARATOR)
        return [text and begin + text + end for text in codes.split(_SEPARATOR)]

    def _in_fonts(self, tokens: bytes, size: bytes) -> list[bytes]:
        """Strings of the base font that others interrupt, each for its own characters."""
        end = _switch(self.base_font, size)
        begins = {
            token_start(number): _switch(font.name.encode(), size)
            for number, font in enumerate(self._repertoire.composites)
        }

        def interrupted(run: re.Match[bytes]) -> bytes:
            codes, start = run.group(0, 1)
            return begins[start] + codes.replace(start, b"") + end

        return TOKENS.sub(interrupted, tokens).split(_SEPARATOR)


def shortened(text: str) -> str:
    """What may be seen of a text; it ends in an ellipsis if that isn't all."""
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + ELLIPSIS


def _switch(font: bytes, size: bytes) -> bytes:
    """Show the string so far, and begin one in another font."""
    return b")Tj /%b %b Tf (" % (font, size)
