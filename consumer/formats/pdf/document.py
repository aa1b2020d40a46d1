"""A PDF written front to back: pages as they come, shared objects at the end.

It replaces reportlab's ``PDFDocument``, which keeps every page until it is saved, and is
independent of a page's content. Streams are compressed by libdeflate, whose bytes, unlike zlib's,
come from one bundled version on every machine. Invariant: bytes are only appended, and of a written
page only the offsets of its two objects are kept.
"""

import codecs
import hashlib
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from deflate import zlib_compress
from reportlab.pdfbase import pdfdoc

from consumer.errors import ExportFailure
from schemas.vocabulary import FailReason

_HEADER = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
_CATALOG, _PAGES, _RESOURCES = 1, 2, 3
_FAN_OUT = 64
_PIECE_BYTES = 256 * 1024
_ENTRIES_AT_ONCE = 4_096
_LAST_OFFSET = 9_999_999_999  # a cross-reference table has ten digits for it
# Any white point is the viewer's white. With that of D65 or D50 poppler makes grey pink or blue.
_GRAY = b"/ColorSpace << /DefaultGray [/CalGray << /WhitePoint [1 1 1] /Gamma 2.2 >>] >>"
"""What shades of grey are, on any device (ISO 19005-2, 6.2.4.3)."""
_STREAM_END = b"endstream\n"
# Inherited resources would do, but not for PDF/A (ISO 19005-2, 6.2.2).
_PAGE = b"%d 0 obj\n<< /Type /Page /Parent %d 0 R /Contents %d 0 R /Resources %d 0 R >>\nendobj\n"
_CONTENT = b"%b%d 0 obj\n<< /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream\nendobj\n"
PAGE_LEVEL = 1  # the work of level 6 halved, for files 7 % larger
_SHARED_LEVEL = 6


class _Node(NamedTuple):
    """A node of the page tree: its object, those of its children, and the pages below it."""

    number: int
    kids: Sequence[int]
    pages: int


class _Deflate:
    """A filter, as reportlab's streams call it."""

    pdfname = "FlateDecode"

    def encode(self, content: bytes) -> bytes:
        """Compress a whole stream."""
        return bytes(zlib_compress(content, _SHARED_LEVEL))


class StreamedDocument:
    """Call ``add_page`` for each page, ``finish`` once; ``take`` what is ready of the pages.

    Object numbers: the fixed ones above; then for each 64 pages a node of the page tree, and two
    for each of its pages; then what the pages share.
    """

    # What reportlab's objects ask of the document that they are formatted for, by its own names.
    compression = False  # reportlab's own, by zlib
    defaultStreamFilters = (_Deflate(),)  # noqa: N815
    encrypt = pdfdoc.NoEncryption()

    def __init__(self, identity: bytes) -> None:
        self.pages = 0
        self.idToObjectNumberAndVersion: dict[str, tuple[int, int]] = {}
        self._shared: list[tuple[int, pdfdoc.PDFObject]] = []
        self._offsets = array("Q", [0] * (_RESOURCES + 1))
        self._leaves: list[int] = []
        # For the file's id: of the request and the bytes alone, without clock or chance.
        self._digest = hashlib.blake2b(identity, digest_size=16)
        self._ready: list[bytes] = []
        self._size = self._taken = 0
        self._append(_HEADER)

    def take(self) -> bytes:
        """The bytes that are ready and haven't been taken yet."""
        ready = b"".join(self._ready)
        self._ready.clear()
        self._taken = self._size
        return ready

    def add_page(self, content: bytes) -> None:
        """Write a page with a content stream.

        Raises:
            ExportFailure: the file has grown beyond what a PDF can hold.
        """
        self.add_compressed(bytes(zlib_compress(content, PAGE_LEVEL)))

    def add_compressed(self, content: bytes) -> None:
        """Write a page with a content stream that libdeflate compressed at ``PAGE_LEVEL``.

        Raises:
            ExportFailure: as ``add_page``.
        """
        if self.pages % _FAN_OUT == 0:
            # Reserved before its pages, which name it as their parent.
            self._leaves.append(self._reserve())
        page = len(self._offsets)
        head = _PAGE % (page, self._leaves[-1], page + 1, _RESOURCES)
        self._offsets.extend((self._size, self._size + len(head)))
        # At one go, as each call here is a share of what a page costs.
        self._append(_CONTENT % (head, page + 1, len(content), content))
        self.pages += 1

    def finish(
        self,
        width: float,
        height: float,
        *,
        fonts: dict[str, pdfdoc.PDFObject],
        forms: dict[str, bytes],
        info: dict[str, str],
        metadata: bytes,
    ) -> Iterator[bytes]:
        """What is ready, what the pages share and the tables; width and height are in points.

        ``forms`` are the contents of form objects (ISO 32000-1, 8.10) by the names that pages show
        them by; each has the fonts, and the size of a page to either side of its origin.
        ``metadata`` is XMP.

        It comes in pieces, as the tables have some 50 bytes a page.

        Raises:
            ExportFailure: as ``add_page``.
        """
        for _ in self._finished((width, height), fonts, forms, info, metadata):
            if self._size - self._taken >= _PIECE_BYTES:
                yield self.take()
        yield self.take()

    def _finished(
        self,
        size: tuple[float, float],
        fonts: dict[str, pdfdoc.PDFObject],
        forms: dict[str, bytes],
        info: dict[str, str],
        metadata: bytes,
    ) -> Iterator[None]:
        """Write it; what is ready may be taken at each step."""
        font_number = self._reserve()
        self._write(font_number, pdfdoc.PDFDictionary(fonts).format(self))
        named = b" ".join(
            b"/%b %d 0 R" % (name.encode(), self._write_form(content, size, font_number))
            for name, content in forms.items()
        )
        resources = b"<< /Font %d 0 R /XObject << %b >> %b >>" % (font_number, named, _GRAY)
        self._write(_RESOURCES, resources)
        info_number = self._reserve()
        entries = {name: pdfdoc.PDFText(_text_string(value)) for name, value in info.items()}
        self._write(info_number, pdfdoc.PDFDictionary(entries).format(self))
        for number, element in self._shared:  # grows, as they refer to others
            self._write(number, _with_line_end(element.format(self)))
            yield
        yield from self._write_page_tree(b"/MediaBox [0 0 %.2f %.2f]" % size)
        described = self._reserve()
        self._write_stream(described, b"/Type /Metadata /Subtype /XML", metadata)
        shown = b"/Lang (und) /ViewerPreferences << /DisplayDocTitle true >>"
        catalog = b"<< /Type /Catalog /Pages %d 0 R /Metadata %d 0 R %b >>"
        self._write(_CATALOG, catalog % (_PAGES, described, shown))
        yield from self._write_cross_references(info_number)

    def _write_form(self, content: bytes, size: tuple[float, float], fonts: int) -> int:
        number = self._reserve()
        box = b"-%.2f -%.2f %.2f %.2f" % (*size, *size)
        entries = b"/BBox [%b] /Resources << /Font %d 0 R %b >>" % (box, fonts, _GRAY)
        self._write_stream(number, b"/Type /XObject /Subtype /Form %b" % entries, content)
        return number

    def _write_stream(self, number: int, entries: bytes, content: bytes) -> None:
        head = b"<< %b /Length %d >>" % (entries, len(content))
        self._write(number, b"%b\nstream\n%b\nendstream" % (head, content))

    def Reference(  # noqa: N802 - the name by which reportlab's objects call it
        self, element: object, name: str | None = None
    ) -> object:
        """Make an indirect object of a reportlab object; leave anything else in place."""
        is_reference = isinstance(element, pdfdoc.PDFObjectReference)
        if is_reference or not isinstance(element, pdfdoc.PDFObject):
            return element
        number = self._reserve()
        name = name or str(number)
        self.idToObjectNumberAndVersion[name] = (number, 0)
        self._shared.append((number, element))
        return pdfdoc.PDFObjectReference(name)

    def _reserve(self) -> int:
        self._offsets.append(0)
        return len(self._offsets) - 1

    def _write(self, number: int, content: bytes) -> None:
        self._offsets[number] = self._size
        self._append(b"%d 0 obj\n%b\nendobj\n" % (number, content))

    def _append(self, ready: bytes) -> None:
        if self._size > _LAST_OFFSET:
            raise ExportFailure(FailReason.TOO_LARGE, "a PDF can't be larger than 10 GB")
        self._size += len(ready)
        self._digest.update(ready)
        self._ready.append(ready)

    def _write_page_tree(self, inherited: bytes) -> Iterator[None]:
        """A balanced tree, so that a viewer finds any page of thousands in a few steps."""
        nodes = [self._leaf(index, number) for index, number in enumerate(self._leaves)]
        while len(nodes) > _FAN_OUT:
            groups = [nodes[start : start + _FAN_OUT] for start in range(0, len(nodes), _FAN_OUT)]
            nodes = []
            for group in groups:
                nodes.append(self._parent(group, self._reserve()))
                yield
        root = self._parent(nodes, _PAGES)
        self._write_node(root, inherited)

    def _leaf(self, index: int, number: int) -> _Node:
        pages = min(_FAN_OUT, self.pages - index * _FAN_OUT)
        return _Node(number, range(number + 1, number + 1 + 2 * pages, 2), pages)

    def _parent(self, children: Sequence[_Node], number: int) -> _Node:
        for child in children:
            self._write_node(child, b"/Parent %d 0 R" % number)
        numbers = [child.number for child in children]
        return _Node(number, numbers, sum(child.pages for child in children))

    def _write_node(self, node: _Node, entries: bytes) -> None:
        kids = b" ".join(b"%d 0 R" % kid for kid in node.kids)
        tail = b"/Count %d %b" % (node.pages, entries)
        self._write(node.number, b"<< /Type /Pages /Kids [%b] %b >>" % (kids, tail))

    def _write_cross_references(self, info: int) -> Iterator[None]:
        start, count = self._size, len(self._offsets)
        self._append(b"xref\n0 %d\n0000000000 65535 f \n" % count)
        for first in range(1, count, _ENTRIES_AT_ONCE):
            offsets = self._offsets[first : first + _ENTRIES_AT_ONCE]
            self._append(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
            yield
        identity = self._digest.hexdigest().encode()
        self._append(
            b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R /ID [<%b> <%b>] >>\n"
            b"startxref\n%d\n%%%%EOF\n" % (count, _CATALOG, info, identity, identity, start)
        )


def _with_line_end(element: bytes) -> bytes:
    """A stream's data end before a line end (ISO 19005-2, 6.1.7.1), which reportlab leaves out."""
    if not element.endswith(_STREAM_END):
        return element
    return b"%b\n%b" % (element.removesuffix(_STREAM_END), _STREAM_END)


def _text_string(text: str) -> bytes:
    """A text string of ISO 32000-1, 7.9.2.2: ASCII as it is, anything else in UTF-16."""
    plain = text.isascii() and text.isprintable()
    return text.encode() if plain else codecs.BOM_UTF16_BE + text.encode("utf-16-be")
