"""A face whose glyphs HarfBuzz chooses and places, for scripts that need it.

Read when a document first needs it, and shared by every export and thread from then on. Invariant:
a run has the same clusters whatever was shaped before it, and the cost is linear in it.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import uharfbuzz as hb

_FEATURES: Final = {"kern": False}
"""The base font isn't kerned either, and each distance would make one more cluster."""
_VIRAMA: Final = 9  # its combining class
_JOINED_BY_VIRAMA: Final = range(0x0900, 0x0E00)
_FIRST_JOINED: Final = chr(_JOINED_BY_VIRAMA[0])
_LAST_JOINED: Final = chr(_JOINED_BY_VIRAMA[-1])
_MOST_OF_A_CLUSTER: Final = 40
"""Characters, and glyphs."""
_NO_NAME: Final = re.compile("[^0-9A-Za-z+-]")

_Glyph = tuple[int, int, "hb.GlyphPosition"]


class PlacedGlyph(NamedTuple):
    """A glyph, and where it stands from the beginning of its cluster, in the font's units."""

    glyph: int
    x: int
    y: int


class GlyphCluster(NamedTuple):
    """What is kept or cut off as a whole: characters, their glyphs, how far they move the pen."""

    text: str
    parts: tuple[PlacedGlyph, ...]
    advance: int


class ShapedFace:
    """One font file, at the default of each axis but the weight."""

    def __init__(self, path: Path, weight: float = 400) -> None:
        """``weight`` is as in CSS; of no effect on a font that isn't variable."""
        self._path = path
        self._weight = weight

    @cached_property
    def parsed(self) -> hb.Face:
        """The font's file, as HarfBuzz has it."""
        return hb.Face(hb.Blob.from_file_path(str(self._path)))

    @cached_property
    def name(self) -> str:
        """A PostScript name."""
        name = self.parsed.get_name(hb.OTNameIdPredefined.POSTSCRIPT_NAME) or self._path.stem
        return _NO_NAME.sub("", name)

    @cached_property
    def units_per_em(self) -> int:
        """The font's units."""
        return int(self.parsed.upem)

    @cached_property
    def variations(self) -> dict[str, float]:
        """The axes that don't stand at their default."""
        return {axis.tag: self._weight for axis in self.parsed.axis_infos if axis.tag == "wght"}

    @cached_property
    def _font(self) -> hb.Font:
        font = hb.Font(self.parsed)
        font.set_variations(self.variations)
        return font

    def has(self, character: str) -> bool:
        """Whether there is a glyph for a character."""
        return bool(self._font.get_nominal_glyph(ord(character)))

    def shape(self, text: str, *, leftwards: bool) -> Iterator[GlyphCluster]:
        """The clusters of a run of one script, in the order of its characters."""
        buffer = hb.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if leftwards else "ltr"
        hb.shape(self._font, buffer, _FEATURES)
        glyphs = [
            (info.cluster, info.codepoint, position)
            for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True)
        ]
        # The usual case, and twice as quick: a glyph for each character, none of India's.
        if len(glyphs) == len(text) and (max(text) < _FIRST_JOINED or min(text) > _LAST_JOINED):
            in_order = glyphs[::-1] if leftwards else glyphs
            if [start for start, _, _ in in_order] == [*range(len(text))]:
                yield from map(_lone, text, in_order)
                return
        runs = [(start, [*run]) for start, run in groupby(glyphs, lambda glyph: glyph[0])]
        if leftwards:
            runs.reverse()
        ends = [*(start for start, _ in runs[1:]), len(text)]
        joined: list[_Glyph] = []
        first = 0
        for end, (_, run) in zip(ends, runs, strict=True):
            joined = [*run, *joined] if leftwards else [*joined, *run]
            few = len(joined) < _MOST_OF_A_CLUSTER and end - first < _MOST_OF_A_CLUSTER
            if few and end < len(text) and _joins(text[end - 1]):
                continue
            yield from _clusters(text[first:end], joined)
            joined, first = [], end


def _lone(character: str, shaped: _Glyph) -> GlyphCluster:
    """A character with a glyph of its own."""
    _, glyph, position = shaped
    part = PlacedGlyph(glyph, position.x_offset, position.y_offset)
    return GlyphCluster(character, (part,), max(0, position.x_advance))


def _joins(character: str) -> bool:
    """Whether what follows is of the same cluster (UAX #29, GB9c)."""
    return ord(character) in _JOINED_BY_VIRAMA and unicodedata.combining(character) == _VIRAMA


def _clusters(text: str, glyphs: Sequence[_Glyph]) -> Iterator[GlyphCluster]:
    """One, unless it is longer than any language has."""
    count = -(-max(len(text), len(glyphs)) // _MOST_OF_A_CLUSTER)
    for number in range(count):
        first, last = (len(text) * share // count for share in (number, number + 1))
        start, end = (len(glyphs) * share // count for share in (number, number + 1))
        pen, parts = 0, []
        for _, glyph, position in glyphs[start:end]:
            parts.append(PlacedGlyph(glyph, pen + position.x_offset, position.y_offset))
            pen += position.x_advance
        if first < last:
            yield GlyphCluster(text[first:last], tuple(parts), max(0, pen))
