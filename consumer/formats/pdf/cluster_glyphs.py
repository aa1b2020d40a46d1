"""A TrueType file with a glyph for each cluster: a composite of what HarfBuzz placed.

HarfBuzz makes the subset, of the default instance; composite glyphs are appended to it (OpenType
1.9, ``glyf``, ``loca``, ``hmtx``). Invariant: the same clusters give the same bytes.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import uharfbuzz as hb
from reportlab.pdfbase.ttfonts import TTFontMaker

from consumer.formats.pdf.shaped_face import GlyphCluster, PlacedGlyph, ShapedFace

_KEPT: Final = ("head", "hhea", "maxp")
_HAS_WORDS, _IS_OFFSET, _MORE, _OVERLAPS = 0x0001, 0x0002, 0x0020, 0x0400
_MOST: Final = 0xFFFF


class ClusterGlyphs(NamedTuple):
    """A font's file, and the number of each cluster's glyph in it."""

    file: bytes
    glyphs: Sequence[int]


def cluster_glyphs(face: ShapedFace, clusters: Sequence[GlyphCluster]) -> ClusterGlyphs:
    """Make the font of a document."""
    plan = _subset(face, {part.glyph for cluster in clusters for part in cluster.parts})
    tables = plan.execute()
    glyph_of = dict(plan.old_to_new_glyph_mapping.items())
    outlines = _outlines(tables)
    metrics = _metrics(tables, len(outlines))
    glyphs = []
    for cluster in clusters:
        parts = [part._replace(glyph=glyph_of[part.glyph]) for part in cluster.parts]
        if len(parts) == 1 and parts[0][1:] == (0, 0):
            glyph = parts[0].glyph
            if metrics[glyph][0] == cluster.advance:
                glyphs.append(glyph)
                continue
        outline, left = _composite(parts, outlines)
        glyphs.append(len(outlines))
        outlines.append(outline)
        metrics.append((min(cluster.advance, _MOST), left))
    longest = max((len(cluster.parts) for cluster in clusters), default=1)
    return ClusterGlyphs(_file(tables, outlines, metrics, longest), glyphs)


def _subset(face: ShapedFace, glyphs: set[int]) -> hb.SubsetPlan:
    wanted = hb.SubsetInput()
    wanted.glyph_set.update({0, *glyphs})
    wanted.flags = (
        hb.SubsetFlags.NO_HINTING | hb.SubsetFlags.NO_LAYOUT_CLOSURE | hb.SubsetFlags.NOTDEF_OUTLINE
    )
    wanted.pin_all_axes_to_default(face.parsed)
    for axis, value in face.variations.items():
        wanted.pin_axis_location(face.parsed, axis, value)
    return hb.SubsetPlan(face.parsed, wanted)


def _table(face: hb.Face, tag: str) -> bytes:
    return bytes(face.reference_table(tag).data)


def _outlines(face: hb.Face) -> list[bytes]:
    data, offsets = _table(face, "glyf"), _table(face, "loca")
    (is_long,) = struct.unpack_from(">h", _table(face, "head"), 50)
    count = len(offsets) // (4 if is_long else 2)
    starts = struct.unpack(f">{count}{'L' if is_long else 'H'}", offsets)
    scale = 1 if is_long else 2
    return [data[start * scale : end * scale] for start, end in pairwise(starts)]


def _metrics(face: hb.Face, count: int) -> list[tuple[int, int]]:
    """The advance and the left side bearing of each glyph."""
    data = _table(face, "hmtx")
    (long,) = struct.unpack_from(">H", _table(face, "hhea"), 34)
    metrics = [*struct.iter_unpack(">Hh", data[: 4 * long])]
    last = metrics[-1][0]
    bearings = struct.iter_unpack(">h", data[4 * long : 4 * long + 2 * (count - long)])
    return [*metrics, *((last, bearing) for (bearing,) in bearings)]


def _composite(parts: Sequence[PlacedGlyph], outlines: Sequence[bytes]) -> tuple[bytes, int]:
    """A glyph and its left side bearing; of parts that show nothing, nothing is left."""
    shown = [part for part in parts if outlines[part.glyph]]
    if not shown:
        return b"", 0
    boxes = [[*_box(part, outlines[part.glyph])] for part in shown]
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    box = (min(lefts), min(bottoms), max(rights), max(tops))
    records = [struct.pack(">hhhhh", -1, *map(_word, box))]
    for number, part in enumerate(shown):
        flags = _HAS_WORDS | _IS_OFFSET | (_OVERLAPS if number == 0 else 0)
        flags |= _MORE if number + 1 < len(shown) else 0
        records.append(struct.pack(">HHhh", flags, part.glyph, _word(part.x), _word(part.y)))
    return b"".join(records), _word(box[0])


def _box(part: PlacedGlyph, outline: bytes) -> Iterator[int]:
    box = struct.unpack_from(">hhhh", outline, 2)
    return (corner + shift for corner, shift in zip(box, (part.x, part.y) * 2, strict=True))


def _word(value: int) -> int:
    return max(-0x8000, min(0x7FFF, value))


def _file(
    subset: hb.Face, outlines: Sequence[bytes], metrics: Sequence[tuple[int, int]], longest: int
) -> bytes:
    tables = {tag: bytearray(_table(subset, tag)) for tag in _KEPT}
    padded = [outline + bytes(-len(outline) % 4) for outline in outlines]
    starts = [0]
    for outline in padded:
        starts.append(starts[-1] + len(outline))
    struct.pack_into(">h", tables["head"], 50, 1)
    struct.pack_into(">H", tables["hhea"], 10, max(advance for advance, _ in metrics))
    struct.pack_into(">H", tables["hhea"], 34, len(metrics))
    limits = struct.unpack_from(">HHHH", tables["maxp"], 6)
    points, contours = max(limits[0], limits[2]), max(limits[1], limits[3])
    elements, depth = struct.unpack_from(">HH", tables["maxp"], 28)
    struct.pack_into(">H", tables["maxp"], 4, len(outlines))
    composed = (min(_MOST, points * longest), min(_MOST, contours * longest))
    struct.pack_into(">HH", tables["maxp"], 10, *composed)
    struct.pack_into(">HH", tables["maxp"], 28, max(elements, longest), depth + 1)
    maker = TTFontMaker()
    for tag, data in tables.items():
        maker.add(tag, bytes(data))
    maker.add("hmtx", b"".join(struct.pack(">Hh", *metric) for metric in metrics))
    maker.add("loca", struct.pack(f">{len(starts)}L", *starts))
    maker.add("glyf", b"".join(padded))
    return bytes(maker.makeStream())
