"""PDF exports made at one go, and read back by another library; and a font for any characters."""

import io
import re
import shutil
import struct
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import reportlab
from pypdf import DocumentInformation, PdfReader
from reportlab.pdfbase.ttfonts import TTFontFile, TTFontMaker

from consumer.formats.pdf import FontStack, PdfWriter, load_fonts
from schemas.records import Cell
from schemas.requests import ExportRequested

REQUESTED_AT = datetime(2026, 11, 21, 10, 30, 5, tzinfo=UTC)
FONTS = load_fonts()
VERA = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
"""A small TrueType font with a few signs that Open Sans lacks."""


def pdf_request(
    columns: Sequence[str | dict[str, Any]] = ("a", "b"), title: str | None = None, **options: Any
) -> ExportRequested:
    """A request for a PDF; ``options`` are those of the contract."""
    return ExportRequested.model_validate(
        {
            "export_id": "ord-2026-11",
            "format": "pdf",
            "columns": columns,
            "title": title,
            "options": options,
        }
    )


def new_writer(request: ExportRequested, fonts: FontStack = FONTS) -> PdfWriter:
    """A writer for a request of ``REQUESTED_AT``."""
    return PdfWriter(request, dated_at=REQUESTED_AT, fonts=fonts)


def write_pdf(
    request: ExportRequested, rows: Sequence[Sequence[Cell]], fonts: FontStack = FONTS
) -> bytes:
    """The whole file."""
    writer = new_writer(request, fonts)
    return writer.append(rows) + b"".join(writer.finish())


def reader_of(content: bytes) -> PdfReader:
    """pypdf, which refuses what is not quite right."""
    return PdfReader(io.BytesIO(content), strict=True)


def metadata_of(content: bytes) -> DocumentInformation:
    """What the file says about itself."""
    metadata = reader_of(content).metadata
    assert metadata is not None
    return metadata


def pages_of(content: bytes) -> list[list[str]]:
    """The lines of each page, each run of spaces one space; the last is the page's number and date.

    The number of pages is a form object, which pypdf takes for a line of its own.
    """
    pages = (page.extract_text().split("\n") for page in reader_of(content).pages)
    return [
        [re.sub(" +", " ", line).strip(" ") for line in (*lines[:-2], " ".join(lines[-2:]))]
        for lines in pages
    ]


class Box(NamedTuple):
    """A word, and where it is on its page, in points."""

    left: float
    right: float
    word: str


def boxes_of(path: Path) -> list[Box]:
    """The words of a file by poppler, from the glyphs' own widths and the matrices of its pages."""
    pdftotext = shutil.which("pdftotext")
    if pdftotext is None:
        pytest.skip("pdftotext (poppler-utils) is not installed")
    found = subprocess.run([pdftotext, "-bbox", path, "-"], capture_output=True, check=True)
    boxes = re.findall(
        r'xMin="([\d.]+)" yMin="[\d.]+" xMax="([\d.]+)" yMax="[\d.]+">(.*)</word>',
        found.stdout.decode(),
    )
    return [Box(float(left), float(right), word) for left, right, word in boxes]


def make_font(path: Path, characters: str) -> Path:
    """Write a TrueType font whose glyphs for ``characters`` are those of letters and digits.

    Several characters may have one glyph, as in fonts for Han.
    """
    source = TTFontFile(str(VERA))
    letters = [source.charToGlyph[ord(letter)] for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"]
    groups = [
        struct.pack(">LLL", codepoint, codepoint, letters[codepoint % len(letters)])
        for codepoint in sorted({*map(ord, characters)})
    ]
    table = struct.pack(">HHLLL", 12, 0, 16 + 12 * len(groups), 0, len(groups)) + b"".join(groups)
    maker = TTFontMaker()
    for tag in source.table:
        maker.add(tag, source.get_table(tag))
    maker.add("cmap", struct.pack(">HHHHL", 0, 1, 3, 10, 12) + table)
    path.write_bytes(maker.makeStream())
    return path
