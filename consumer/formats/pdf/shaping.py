"""Texts with shaped scripts, as strings of which each character is what one code shows.

A cluster, and a character that doesn't run from left to right, gets a character of its own from a
range where Unicode has none: so texts are measured, cut and wrapped as others are, never within a
cluster, and a line is put in visual order when it is known. Invariant: of a document at most
``MOST_CLUSTERS`` clusters of ``MOST_PARTS`` glyphs are kept; what comes later is U+FFFD, and
counted as such.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from consumer.formats.pdf.bidi import levels, mirrored, visual
from consumer.formats.pdf.cluster_subset import ClusterSubset
from consumer.formats.pdf.fonts import UNITS_PER_EM
from consumer.formats.pdf.repertoire import (
    ELLIPSIS,
    LINE_BREAKS,
    REPLACEMENT,
    Repertoire,
    token_start,
)
from consumer.formats.pdf.scripts import INHERITS, SHAPED_RUN, script_of
from consumer.formats.pdf.shaped_face import GlyphCluster, ShapedFace
from consumer.formats.pdf.subsets import LINE_BREAK

MOST_CLUSTERS: Final = 20_000
MOST_PARTS: Final = 100_000
_FIRST, _LAST = 0x40000, 0xDFFFF
"""Planes 4 to 13, which Unicode has left empty. Of a text's own such character, no font has any."""
_UNLEVELLED = re.compile(f"([^{REPLACEMENT}]?){REPLACEMENT}+")
_MOST_PLAIN = 0x3000
_FEW = 40
_MOST_CACHED, _LONGEST_CACHED = 4_096, 64
_LINE_BREAK = re.compile(f"[{LINE_BREAKS}]")
_MANY_JOINERS = re.compile("([\u200c\u200d]{2})[\u200c\u200d]+")


class _Kind(NamedTuple):
    """What a character is shaped with, by the beginning of its script's range."""

    script: int
    face: ShapedFace | None


class _Kinds(dict[str, _Kind]):
    """Fills itself."""

    def __init__(self, faces: Sequence[ShapedFace]) -> None:
        super().__init__()
        self._faces = faces

    def __missing__(self, character: str) -> _Kind:
        script = script_of(character)
        faces = self._faces if script else ()
        face = next((face for face in faces if face.has(character)), None)
        kind = self[character] = _Kind(script, face)
        return kind


class _Levels(dict[int, str]):
    """Level 0 for all that it doesn't have; some of that is kept, as this is quicker."""

    def __missing__(self, codepoint: int) -> str:
        level = REPLACEMENT if codepoint == ord(REPLACEMENT) else "\0"
        if codepoint < _MOST_PLAIN:
            self[codepoint] = level
        return level


class Shaper:
    """Shapes the texts of one document; fonts are added to its ``repertoire``."""

    def __init__(self, faces: Sequence[ShapedFace], repertoire: Repertoire) -> None:
        self._plain: dict[int, str] = {}
        self._sources: dict[int, str] = {}
        self._repertoire = repertoire
        self._levels = _Levels()
        self._aliases: dict[tuple[str, int], str] = {}
        self._clusters: dict[tuple[ShapedFace, GlyphCluster, int], str] = {}
        self._tokens: dict[tuple[ShapedFace, GlyphCluster], bytes] = {}
        self._parts_left = MOST_PARTS
        self._subsets: dict[ShapedFace, tuple[int, ClusterSubset]] = {}
        self._kinds = _Kinds(faces)
        self._runs: dict[tuple[str, int], str] = {}

    def shape(self, text: str) -> str:
        """A text in logical order, line breaks included."""
        text = _MANY_JOINERS.sub(r"\1", text)
        return LINE_BREAK.join(map(self._paragraph, self._lines(text)))

    def is_leftward(self, text: str) -> bool:
        """Whether a text as a whole runs from right to left."""
        # Most texts begin as they go on.
        if "\0" in self._levels_of(text[:_FEW]):
            return False
        found = {*self._levels_of(text)}
        return "\1" in found and "\0" not in found

    def plain(self, text: str) -> str:
        """As many characters, of which spaces, hyphens and the like are what they were."""
        return text.translate(self._plain) if self._plain else text

    def source(self, text: str) -> str:
        """The characters that a short text was made of; of a long one, as many others."""
        return text.translate(self._sources) if self._sources and len(text) <= _FEW else text

    def ellipsis(self, text: str) -> str:
        """What ends a text that is cut."""
        return self._alias(ELLIPSIS, 1) if self.is_leftward(text) else ELLIPSIS

    def visual(self, line: str) -> str:
        """A line from left to right."""
        found = self._levels_of(line)
        if "\1" not in found:  # numbers alone run as others do
            return line
        return "".join(map(line.__getitem__, visual([*map(ord, found)])))

    def _levels_of(self, text: str) -> str:
        """A character for each, by its code the level."""
        if not self._levels or max(text, default="") < chr(_FIRST):
            return "\0"
        # U+FFFD has no level of its own, so that it can be counted: it goes with what precedes it.
        found = text.translate(self._levels)
        return _UNLEVELLED.sub(lambda run: (run[1] or "\0") * len(run[0]), found)

    def _lines(self, text: str) -> list[str]:
        """Paragraphs; none but one, unless the document wraps."""
        broken = self._repertoire[ord(LINE_BREAK)] == LINE_BREAK
        return _LINE_BREAK.split(text) if broken else [text]

    def _paragraph(self, text: str) -> str:
        found = levels(text)
        shown: list[str] = []
        end = 0
        for run in SHAPED_RUN.finditer(text):
            shown.append(self._others(text[end : run.start()], found[end : run.start()]))
            end = run.end()
            shown.append(self._run(run.group(), found[run.start() : end]))
        shown.append(self._others(text[end:], found[end:]))
        return "".join(shown)

    def _others(self, text: str, found: Sequence[int]) -> str:
        if not any(found):
            return text.translate(self._repertoire)
        return "".join(map(self._alias, text, found))

    def _alias(self, character: str, level: int) -> str:
        """What stands for a character that isn't shaped."""
        if alias := self._aliases.get((character, level)):
            return alias
        shown = self._repertoire[ord(mirrored(character) if level % 2 else character)]
        if level and shown and shown != REPLACEMENT and len(self._sources) < _LAST - _FIRST:
            plain, shown = shown, self._next(level)
            self._plain[ord(shown)] = self._sources[ord(shown)] = plain
            self._repertoire.advance_of[shown] = self._repertoire.advance_of[plain]
            self._repertoire.line_token_of[ord(shown)] = self._repertoire.token_of[ord(plain)]
        self._aliases[character, level] = shown
        return shown

    def _next(self, level: int) -> str:
        character = chr(_FIRST + len(self._sources))
        self._levels[ord(character)] = chr(level)
        return character

    def _run(self, run: str, found: Sequence[int]) -> str:
        """A run of shaped characters; words come again and again."""
        level = found[0]
        if len(run) > _LONGEST_CACHED or found.count(level) < len(run):
            return "".join(self._parts(run, found))
        if (shown := self._runs.get((run, level))) is None:
            if len(self._runs) >= _MOST_CACHED:
                self._runs.clear()
            shown = self._runs[run, level] = "".join(self._parts(run, found))
        return shown

    def _parts(self, run: str, found: Sequence[int]) -> Iterator[str]:
        """Of one level, script and face each."""
        kinds = [*map(self._kinds.__getitem__, run)]
        for found_mark in INHERITS.finditer(run, 1):
            place = found_mark.start()
            if (before := kinds[place - 1]).face and before.face.has(run[place]):
                kinds[place] = before
        start = 0
        for (kind, level), same in groupby(zip(kinds, found, strict=True)):
            end = start + len([*same])
            if kind.face is None:
                yield self._repertoire[ord(REPLACEMENT)] * (end - start)
            else:
                for cluster in kind.face.shape(run[start:end], leftwards=level % 2 == 1):
                    key = (kind.face, cluster, level)
                    yield self._clusters.get(key) or self._cluster(*key)
            start = end

    def _cluster(self, face: ShapedFace, cluster: GlyphCluster, level: int) -> str:
        self._parts_left -= len(cluster.parts)
        if len(self._clusters) >= MOST_CLUSTERS or self._parts_left < 0:
            return self._repertoire[ord(REPLACEMENT)] * len(cluster.text)
        first, rest = cluster.text[0], cluster.text[1:]
        # Readers expect a code for each character, in visual order: of several they reverse the
        # letters, or take them for a mark. So the first shows the whole cluster, others nothing.
        shows = [cluster._replace(text=first), *(GlyphCluster(text, (), 0) for text in rest)]
        codes = [self._token(face, one) for one in (shows[::-1] if level % 2 else shows)]
        shown = self._clusters[face, cluster, level] = self._next(level)
        advance = -(-cluster.advance * UNITS_PER_EM // face.units_per_em)
        self._repertoire.advance_of[shown] = max(1, advance)
        self._repertoire.widest = max(self._repertoire.widest, advance)
        self._repertoire.line_token_of[ord(shown)] = b"".join(codes)
        self._sources[ord(shown)] = cluster.text
        return shown

    def _token(self, face: ShapedFace, cluster: GlyphCluster) -> bytes:
        if (token := self._tokens.get((face, cluster))) is None:
            number, subset = self._subsets.get(face) or self._add_subset(face)
            if (code := subset.add(cluster)) is None:
                number, subset = self._add_subset(face)
                code = subset.add(cluster) or b""
            token = self._tokens[face, cluster] = token_start(number) + code
        return token

    def _add_subset(self, face: ShapedFace) -> tuple[int, ClusterSubset]:
        added = self._repertoire.add_composite(lambda name: ClusterSubset(face, name))
        self._subsets[face] = added
        return added
