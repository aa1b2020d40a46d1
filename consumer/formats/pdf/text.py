"""Text set in one document's fonts: measured, cut to a width and encoded for a content stream.

Many texts are handled at once: joined, encoded by a table in C, and in the base font measured as
bytes. Text is composed (NFC) where it has combining marks. Scripts that run from right to left,
join or reorder are shaped (see ``shaping``), text by text; in any other each character is set by
its own glyph. Invariant: no line is wider than its room.
"""

import codecs
import contextlib
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from reportlab.pdfbase.pdfdoc import PDFObjectReference

from consumer.formats.pdf.document import StreamedDocument
from consumer.formats.pdf.fonts import UNITS_PER_EM, Face
from consumer.formats.pdf.repertoire import (
    ELLIPSIS,
    IS_SHAPED,
    REPLACEMENT,
    TOKENS,
    Glyph,
    Repertoire,
    token_start,
)
from consumer.formats.pdf.shaped_face import ShapedFace
from consumer.formats.pdf.shaping import Shaper
from consumer.formats.pdf.stream_safe import is_stream_safe, stream_safe
from consumer.formats.pdf.subsets import LINE_BREAK, SEPARATOR, CompositeSubset
from consumer.formats.pdf.wrapping import IN_BYTES, IN_TEXT, divided

MOST_TEXT = 4_096
"""Characters of a text that are looked at: more than a line of the widest page shows in type that
can be read."""
MOST_WRAPPED_TEXT = 8_192
"""The same where text is wrapped: more than a third of a usual page shows."""
_MOST_OF_A_LINE = 128
NOT_SHOWN = "###"
"""Stands for a number that has no room, as in a spreadsheet."""
_SEPARATOR = SEPARATOR.encode()


class Copy(NamedTuple):
    """Texts that are ready to be set: what is shown of them, and their codes.

    ``codes`` is None where some character needs another font than the base font. Then there are
    ``tokens``, as ``Repertoire`` has them; or codes of the one composite font that has all. Texts
    that were shaped have neither: a line is put in order when it is known what it holds.
    """

    texts: Sequence[str]
    codes: bytes | None
    tokens: bytes | None = None
    composite: tuple[CompositeSubset, bytes] | None = None


class Wrapped(NamedTuple):
    """The lines of one text, and their widths; ``cut``: they are not all of it."""

    lines: list[bytes]
    widths: list[int]
    cut: bool


class Typesetter:
    """Sets text in one document. Widths are in units, ``UNITS_PER_EM`` at any size.

    A line is what stands between the parentheses of a string that is shown in ``base_font``; it may
    end that string, show others in other fonts, and begin another one.
    """

    def __init__(
        self,
        faces: Sequence[Face],
        name: str,
        shaped: Sequence[ShapedFace] = (),
        *,
        wraps: bool = False,
    ) -> None:
        """``name`` begins the names of its fonts in the document's resources.

        ``shaped`` are for scripts that need it. ``wraps``: line breaks in texts stay, and more of a
        long text.
        """
        self.replaced_characters = 0
        self.most_text = most_text(wraps=wraps)
        self._repertoire = Repertoire(faces, name, wraps=wraps)
        self._shaper = Shaper(shaped, self._repertoire)
        self._base = self._repertoire.base
        self.base_font = self._base.name.encode()
        self._ellipsis = self._base.encode(ELLIPSIS)

    def prepare(self, texts: Sequence[str]) -> Copy:
        """Find glyphs for at least one text; counts the characters that no font has."""
        steps = self.preparing(texts, lambda _: False)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                copy: Copy = end.value
                return copy

    def preparing(
        self, texts: Sequence[str], has_enough: Callable[[int], bool]
    ) -> Generator[None, None, Copy]:
        """The same in steps, as shaping takes long: yields where that ``has_enough``.

        It is called with the number of characters after each text that is shaped.
        """
        joined = SEPARATOR.join(texts)
        if len(joined) > self.most_text:
            texts = [*map(self.shortened, texts)]
            joined = SEPARATOR.join(texts)
        if joined.count(SEPARATOR) != len(texts) - 1:
            joined = SEPARATOR.join(text.replace(SEPARATOR, " ") for text in texts)
        elif (codes := self._encode(joined)) is not None:
            return Copy(texts, codes)
        elif copy := self._met_before(texts, joined):
            return copy
        composed = unicodedata.normalize("NFC", stream_safe(joined))
        shown = composed.translate(self._repertoire)
        shaped = IS_SHAPED in shown
        texts = shown.split(SEPARATOR)
        if shaped:
            yield from self._shape(texts, composed.split(SEPARATOR), has_enough)
        replaced = sum(text.count(REPLACEMENT) for text in texts)
        self.replaced_characters += replaced - joined.count(REPLACEMENT)
        if shaped:
            return Copy(texts, None)
        if (codes := self._encode(shown)) is not None:
            return Copy(texts, codes)
        return Copy(texts, None, self._encode_mixed(shown))

    def is_leftward(self, text: str) -> bool:
        """Whether a text of a copy runs from right to left."""
        return self._shaper.is_leftward(text)

    def source(self, copy: Copy, index: int) -> str:
        """What one of the texts was made of, as far as it is shown and tells whether it is whole.

        A long one with shaped characters is not.
        """
        text = copy.texts[index]
        return text if copy.codes is not None else self._shaper.source(text)

    def shortened(self, text: str) -> str:
        """What of a text is looked at."""
        return shortened(text, self.most_text)

    def measure(self, copy: Copy) -> list[int]:
        """The width of each text, uncut."""
        if copy.codes is None:
            return [sum(self._advances(text)) for text in copy.texts]
        return [*map(sum, self._base.advances(copy.codes).split(_SEPARATOR))]

    def least_widths(self, copy: Copy) -> list[int]:
        """The width that each text needs on two lines, without dividing a word."""
        return [_on_two_lines([*map(self._word_width, self._words(text))]) for text in copy.texts]

    def lines(self, copy: Copy, size: bytes, without: Collection[int] = ()) -> list[bytes]:
        """The texts, uncut and encoded; ``size`` is the type's, as the content stream has it.

        Those at the places ``without`` need not be right.
        """
        if copy.codes is not None:
            return copy.codes.split(_SEPARATOR)
        return self._mixed_lines(copy, size, without)

    def wider(self, copy: Copy, room: int) -> dict[int, int]:
        """Which of the texts are wider than ``room``, and how wide each is.

        Measures only those that may be.
        """
        if copy.codes is None:
            return self._wider_mixed(copy, room)
        lines = copy.codes.split(_SEPARATOR)
        certain = room // self._base.widest(copy.codes)
        if max(map(len, lines)) <= certain:
            return {}
        long = [index for index, line in enumerate(lines) if len(line) > certain]
        codes = _SEPARATOR.join([lines[index] for index in long])
        widths = map(sum, self._base.advances(codes).split(_SEPARATOR))
        return {index: width for index, width in zip(long, widths, strict=True) if width > room}

    def cut(
        self, copy: Copy, lines: Sequence[bytes], index: int, room: int, size: bytes
    ) -> tuple[bytes, int]:
        """One of the texts' ``lines``, ending in an ellipsis, and its width then."""
        if copy.codes is not None:
            codes = self._cut_codes(lines[index], room)
            return codes, sum(self._base.advances(codes))
        return self._set(self._cut(copy.texts[index], room), size)

    def not_shown(self, room: int) -> tuple[bytes, int]:
        """What stands for a number that is wider than ``room``, and its width."""
        signs = min(len(NOT_SHOWN), room // self._repertoire.advance_of[NOT_SHOWN[0]])
        codes = self._base.encode(NOT_SHOWN[:signs])
        return codes, sum(self._base.advances(codes))

    def with_breaks(self, copy: Copy) -> list[int]:
        """Which texts have line breaks; none has, unless this wraps."""
        if copy.codes is not None and LINE_BREAK.encode() not in copy.codes:
            return []
        return [index for index, text in enumerate(copy.texts) if LINE_BREAK in text]

    def wrapped(
        self, copy: Copy, lines: Sequence[bytes], index: int, room: int, most: int, size: bytes
    ) -> Wrapped:
        """One of the texts' ``lines`` as at most ``most`` of them."""
        if copy.codes is not None:
            codes = lines[index]
            found = divided(codes, IN_BYTES, self._base.advances(codes), room, most)
            parts = [codes[start:end] for start, end in found.spans]
            if found.cut:
                parts[-1] = self._cut_codes(parts[-1], room)
            return Wrapped(parts, [sum(self._base.advances(part)) for part in parts], found.cut)
        text = copy.texts[index]
        plain = self._shaper.plain(text)
        found = divided(plain, IN_TEXT, self._advances(text), room, most)
        texts = [text[start:end] for start, end in found.spans]
        if found.cut:
            texts[-1] = self._cut(texts[-1], room)
        pairs = [self._set(part, size) for part in texts]
        return Wrapped([line for line, _ in pairs], [width for _, width in pairs], found.cut)

    @property
    def known(self) -> int:
        """How many characters were met."""
        return len(self._repertoire)

    def glyphs(self, after: int) -> tuple[list[Glyph], list[bytes]]:
        """Those that were met after so many, and the names of all composite fonts."""
        names = [font.name.encode() for font in self._repertoire.composites]
        return [*self._repertoire.glyphs(after)], names

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

    def _word_width(self, word: str) -> int:
        return sum(self._advances(word))

    def _advances(self, text: str) -> list[int]:
        return [*map(self._repertoire.advance_of.__getitem__, text)]

    def _cut(self, text: str, room: int) -> str:
        # Of a long text the beginning tells mostly.
        for most in (_MOST_OF_A_LINE, len(text)):
            kept = self._fitting(self._advances(text[:most]), room)
            if kept is None:
                return ""
            if kept < most:
                break
        seen = len(self._shaper.plain(text[:kept]).rstrip(" "))
        return text[:seen] + self._shaper.ellipsis(text)

    def _cut_codes(self, codes: bytes, room: int) -> bytes:
        kept = self._fitting(self._base.advances(codes), room)
        return b"" if kept is None else codes[:kept].rstrip(b" ") + self._ellipsis

    def _fitting(self, advances: Sequence[int], room: int) -> int | None:
        """How many characters fit before an ellipsis; None, if not even that fits."""
        limit = room - self._repertoire.advance_of[ELLIPSIS]
        if limit < 0:
            return None
        return bisect_right([*accumulate(advances[: limit + 1])], limit)

    def _set(self, text: str, size: bytes) -> tuple[bytes, int]:
        """A text that has been prepared as a line, and its width."""
        (line,) = self._in_fonts(self._encode_lines([text]), size)
        return line, sum(self._advances(text))

    def _wider_mixed(self, copy: Copy, room: int) -> dict[int, int]:
        certain = room // self._repertoire.widest
        return {
            index: width
            for index, text in enumerate(copy.texts)
            if len(text) > certain and (width := sum(self._advances(text))) > room
        }

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
            if isinstance(font, CompositeSubset) and font.has(first):
                with contextlib.suppress(UnicodeEncodeError):
                    return Copy(texts, None, composite=(font, font.encode(joined)))
        with contextlib.suppress(UnicodeEncodeError):
            return Copy(texts, None, self._encode_mixed(joined))
        return None

    def _encode_mixed(self, text: str) -> bytes:
        return codecs.charmap_encode(text, "strict", self._repertoire.token_of)[0]

    def _shape(
        self, shown: list[str], texts: Sequence[str], has_enough: Callable[[int], bool]
    ) -> Iterator[None]:
        """Replace those ``shown`` that need it by what is shaped of their texts."""
        for index, text in enumerate(texts):
            if IS_SHAPED in shown[index]:
                shown[index] = self._shaper.shape(text)
                if has_enough(len(text)):
                    yield

    def _encode_lines(self, lines: Sequence[str]) -> bytes:
        """Lines of texts that may be shaped, in the order in which they are drawn."""
        drawn = SEPARATOR.join(map(self._shaper.visual, lines))
        return codecs.charmap_encode(drawn, "strict", self._repertoire.line_token_of)[0]

    def _words(self, text: str) -> list[str]:
        plain = self._shaper.plain(text).split(" ")
        ends = [*accumulate((len(word) + 1 for word in plain), initial=0)]
        return [text[start : end - 1] for start, end in pairwise(ends)]

    def _mixed_lines(self, copy: Copy, size: bytes, without: Collection[int]) -> list[bytes]:
        """The texts, uncut."""
        if copy.composite is None and copy.tokens is not None:
            return self._in_fonts(copy.tokens, size)
        if copy.composite is None:
            texts = ["" if index in without else text for index, text in enumerate(copy.texts)]
            return self._in_fonts(self._encode_lines(texts), size)
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


def wider_than(room: int, widths: Sequence[int]) -> dict[int, int]:
    """Those of some widths that are, by their places."""
    if max(widths) <= room:
        return {}
    return {index: width for index, width in enumerate(widths) if width > room}


def most_text(*, wraps: bool) -> int:
    """How many characters of a text are looked at."""
    return MOST_WRAPPED_TEXT if wraps else MOST_TEXT


def shortened(text: str, most: int = MOST_TEXT) -> str:
    """What may be seen of a text; it ends in an ellipsis if that isn't all."""
    return text if len(text) <= most else text[:most] + ELLIPSIS


def _on_two_lines(words: Sequence[int]) -> int:
    """The least of what the wider line can be; spaces are as wide as they are in most fonts."""
    space = UNITS_PER_EM // 3
    ends = [end - space for end in accumulate(word + space for word in words)]
    return min(max(end, ends[-1] - end - space) for end in ends)


def _switch(font: bytes, size: bytes) -> bytes:
    """Show the string so far, and begin one in another font."""
    return b")Tj /%b %b Tf (" % (font, size)
