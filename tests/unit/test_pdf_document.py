"""The structure of a PDF file: objects where the tables say, a balanced page tree, its limit."""

import hashlib
import re
import shutil
import subprocess
import tracemalloc
import zlib
from itertools import pairwise
from pathlib import Path

import pytest

from consumer.errors import ExportFailure
from consumer.formats.pdf.document import StreamedDocument
from schemas.vocabulary import FailReason
from tests.support.npm import require_tool
from tests.support.pdf import pdf_request, reader_of, write_pdf

XREF = re.compile(rb"xref\n0 (\d+)\n0000000000 65535 f \n((?:\d{10} 00000 n \n)+)trailer\n")

PAGE_SHA256 = "17083d12e3474a36e70f67f1ff36c1726daf1cd9f9cebdca0aa3033adcad7733"


def document_of(pages: int) -> bytes:
    """A document whose pages have nothing but their number as a comment."""
    document = StreamedDocument(b"")
    pieces = []
    for number in range(pages):
        document.add_page(b"%%%d" % number)
        pieces.append(document.take())
    return b"".join(
        [*pieces, *document.finish(100, 200, fonts={}, forms={}, info={"Title": "t"}, metadata=b"")]
    )


def objects_of(content: bytes) -> list[bytes]:
    """The objects by number, each as long as the way to the next; checks the table on the way."""
    start = int(content.rsplit(b"startxref\n", 1)[1].split()[0])
    table = XREF.match(content, start)
    assert table
    offsets = [int(line.split()[0]) for line in table[2].splitlines()]
    assert len(offsets) + 1 == int(table[1])
    ends = dict(pairwise([*sorted(offsets), start]))
    assert len(ends) == len(offsets)
    objects = [content[offset : ends[offset]] for offset in offsets]
    for number, found in enumerate(objects, start=1):
        assert found.startswith(b"%d 0 obj\n" % number)
        assert found.endswith(b"\nendobj\n")
    return objects


@pytest.mark.parametrize("pages", [1, 2, 64, 65, 200, 4_096, 4_097])
def test_every_page_is_found_in_order_by_few_steps(pages: int) -> None:
    content = document_of(pages)
    nodes = [found for found in objects_of(content) if b"/Type /Pages" in found]
    assert all(0 < node.count(b" 0 R") <= 64 + 2 for node in nodes)  # kids, parent, resources
    assert len(nodes) <= 1 + pages / 64 * 1.1 + 2
    reader = reader_of(content)
    assert reader.get_num_pages() == pages
    for number in {0, 1, 63, 64, pages // 2, pages - 1} & {*range(pages)}:
        contents = reader.pages[number].get_contents()
        assert contents is not None
        assert contents.get_data().strip() == b"%%%d" % number


def test_the_tables_are_right_for_a_document_with_fonts() -> None:
    rows = [[number, chr(0x21 + number % 600)] for number in range(1_000)]
    objects = objects_of(write_pdf(pdf_request(), rows))
    streams = [found for found in objects if b"\nstream\n" in found]
    assert len(streams) > 20
    for found in streams:
        length = re.search(rb"/Length (\d+)", found)
        assert length
        body = found.split(b"\nstream\n", 1)[1]
        assert body[int(length[1]) :].lstrip(b"\n").startswith(b"endstream")


def test_streams_are_those_of_one_libdeflate_on_every_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another version of it may make other bytes: nodes of one group must have the same then."""

    def compress(*_: object, **__: object) -> bytes:
        raise AssertionError("zlib's bytes depend on what Python is linked with")

    monkeypatch.setattr(zlib, "compress", compress)
    content = write_pdf(pdf_request(), [["a", "\u1e29 \u0645\u0631\u062d\u0628\u0627"]] * 100)
    document = StreamedDocument(b"")
    lines = (b"%d %d Td (row %d)Tj" % (number, number * number, number) for number in range(500))
    document.add_page(b"\n".join(lines))
    assert content.count(b"/FlateDecode") > 10
    assert hashlib.sha256(document.take()).hexdigest() == PAGE_SHA256


def test_what_was_taken_is_not_given_again() -> None:
    document = StreamedDocument(b"")
    document.add_page(b"")
    assert document.take().startswith(b"%PDF-1.7\n")
    assert document.take() == b""


def test_what_all_pages_share_comes_in_pieces() -> None:
    """It has some 50 bytes a page: of the largest document that is 100 MB."""
    document = StreamedDocument(b"")
    for _ in range(40_000):
        document.add_page(b"")
    document.take()
    tracemalloc.start()
    try:
        sizes = [
            len(piece)
            for piece in document.finish(100, 200, fonts={}, forms={}, info={}, metadata=b"")
        ]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(sizes) > 2_000_000
    assert max(sizes) < 400_000
    assert peak < 2_000_000


def test_a_file_beyond_what_the_table_can_address_fails_by_its_reason() -> None:
    document = StreamedDocument(b"")
    document._size = 10**10 - 100  # ten gigabytes take too long to write
    document.add_page(b"")
    with pytest.raises(ExportFailure, match="10 GB") as failure:
        document.add_page(b"")
    assert failure.value.reason is FailReason.TOO_LARGE


@pytest.mark.parametrize("pages", [1, 130, pytest.param(4_200, marks=pytest.mark.slow)])
def test_qpdf_has_nothing_to_say_against_it(pages: int, tmp_path: Path) -> None:
    qpdf = shutil.which("qpdf")
    if qpdf is None:
        pytest.skip("qpdf is not installed")
    path = tmp_path / "export.pdf"
    rows = [[number, f"ş(漢\\{chr(0x21 + number % 900)}"] for number in range(pages)]
    path.write_bytes(write_pdf(pdf_request(records_per_page=1), rows))
    check = subprocess.run([qpdf, "--check", path], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


def test_poppler_shows_grey_as_grey(tmp_path: Path) -> None:
    require_tool("pdftoppm")
    path = tmp_path / "export.pdf"
    path.write_bytes(write_pdf(pdf_request(), [["a", number] for number in range(9)]))
    drawn = subprocess.run(["pdftoppm", "-r", "36", path], capture_output=True, check=True).stdout
    head, pixels = drawn[:15], drawn[15:]
    assert head.split()[0] == b"P6"
    shades = {*zip(pixels[::3], pixels[1::3], pixels[2::3], strict=True)}
    assert len(shades) > 10
    assert all(len({*shade}) == 1 for shade in shades)


def test_what_pdf_a_asks_for_is_there() -> None:
    content = write_pdf(pdf_request(["a", "你"]), [["x", "שלום"]] * 60)
    # ISO 19005-2, 6.1.7.1: data end before a line end; 6.2.2: each page has its resources.
    assert content.count(b"\nendstream") == content.count(b"endstream") > 8
    assert all("/Resources" in dict(page.items()) for page in reader_of(content).pages)
    assert b"/DefaultGray" in content
    assert b"<pdfaid:conformance>U</pdfaid:conformance>" in content
