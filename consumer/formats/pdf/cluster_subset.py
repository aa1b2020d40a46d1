"""A font inside one PDF that has a code for each cluster of a shaped script.

A code shows all of its cluster, moves the pen as far as it must, and stands for its characters when
text is extracted, whatever order their glyphs are drawn in. Invariant: a code keeps its cluster.
"""

from typing import Final

import uharfbuzz as hb
from reportlab.pdfbase import pdfdoc

from consumer.formats.pdf.cluster_glyphs import cluster_glyphs
from consumer.formats.pdf.document import StreamedDocument
from consumer.formats.pdf.shaped_face import GlyphCluster, ShapedFace
from consumer.formats.pdf.subsets import composite_font, subset_name, two_bytes

_SYMBOLIC: Final = 4  # ISO 32000-1, 9.8.2
_USUAL_STEM: Final = 80


class ClusterSubset:
    """Thousands of clusters of one face, two bytes each."""

    CAPACITY: Final = 30_000
    """A font has at most 65,535 glyphs: these, and those that they are made of."""

    def __init__(self, face: ShapedFace, name: str) -> None:
        self.face = face
        self.name = name
        self._clusters: list[GlyphCluster] = []

    def add(self, cluster: GlyphCluster) -> bytes | None:
        """Give a cluster the next code, unless there is none left."""
        if len(self._clusters) >= self.CAPACITY:
            return None
        self._clusters.append(cluster)
        return two_bytes(len(self._clusters) - 1)

    def add_to(self, document: StreamedDocument, number: int) -> pdfdoc.PDFObjectReference:
        """The font as PDF objects; ``number`` tells the document's fonts apart."""
        scale = 1000 / self.face.units_per_em
        made = cluster_glyphs(self.face, self._clusters)
        codes = [int.from_bytes(two_bytes(place), "big") for place in range(len(self._clusters))]
        texts: list[str | None] = [None] * (codes[-1] + 1)
        widths, glyphs = [0.0] * len(texts), [0] * len(texts)
        for code, cluster, glyph in zip(codes, self._clusters, made.glyphs, strict=True):
            texts[code], glyphs[code] = cluster.text, glyph
            widths[code] = round(cluster.advance * scale, 3)
        name = subset_name(self.face.name, number)
        descriptor = document.Reference(self._descriptor(document, name, made.file))
        return composite_font(document, name, descriptor, widths, glyphs, texts)

    def _descriptor(
        self, document: StreamedDocument, name: str, file: bytes
    ) -> pdfdoc.PDFDictionary:
        scale = 1000 / self.face.units_per_em
        extents = hb.Font(self.face.parsed).get_font_extents("ltr")
        ascent, descent = round(extents.ascender * scale), round(extents.descender * scale)
        embedded = pdfdoc.PDFStream(content=file)
        embedded.dictionary["Length1"] = len(file)
        return pdfdoc.PDFDictionary(
            {
                "Type": "/FontDescriptor",
                "FontName": pdfdoc.PDFName(name),
                "Flags": _SYMBOLIC,
                "Ascent": ascent,
                "Descent": descent,
                "CapHeight": ascent,
                "ItalicAngle": 0,
                "StemV": _USUAL_STEM,
                "FontBBox": pdfdoc.PDFArray([-1000, descent, 2000, ascent]),
                "FontFile2": document.Reference(embedded),
            }
        )
