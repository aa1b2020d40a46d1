"""A contender's PDF, read back by pypdf: are the cells of a page among its text, in their order?

A cell is looked for where the one before it ended. It counts as right if all of it is there, or as
much as its column holds, with an ellipsis. Where no font has a glyph for a character, that is
counted by itself: for Sluice, which shows U+FFFD instead, as for those that show nothing.
Invariant: a contender's own code has no part in judging it.
"""

import re
import shutil
import subprocess
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from pypdf import PdfReader

from bench.checks import Findings
from bench.peers.base import ROWS_PER_PAGE
from schemas.options import CsvOptions
from schemas.records import Cell
from tests.support.plain_csv import plain_text

_SAMPLED_PAGES = 20
_CUT = "…"
_LEAST_SHOWN = 8
"""Of a cell that is cut, so many characters are there at least, or all."""
_LONGEST = 100
"""Characters that a column has room for at most."""
_MARK = "\ufffd"
"""What Sluice shows, and counts, where no font has a character."""
_HEADING = 400
"""So many characters of a page may come before its first cell."""
_GARBLED = "garbled or missing text"
_GROWN = 4
"""Garbled text has so many characters for each of its own at most."""


def check_pdf(
    path: Path, rows: Iterable[Sequence[Cell]], row_count: int, fonts: Sequence[Path]
) -> Findings:
    """Compare the cells of some pages, spread over the file, with the text of these pages.

    ``fonts`` are those that the contenders were given; all pages are counted.
    """
    findings = Findings()
    reader = PdfReader(path)
    count = -(-row_count // ROWS_PER_PAGE)
    if len(reader.pages) != count:
        findings.whole.append(f"{len(reader.pages):,} pages of {count:,}")
    known = _characters(fonts)
    every = max(1, count // _SAMPLED_PAGES)
    for number, page in enumerate(islice(_pages(rows), len(reader.pages))):
        if number % every == 0:
            compare_page(findings, page, reader.pages[number].extract_text(), known)
    return findings


def _characters(fonts: Iterable[Path]) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - only the bench's own environment has it

    return frozenset(chain.from_iterable(TTFont(path).getBestCmap() for path in fonts))


def _pages(rows: Iterable[Sequence[Cell]]) -> Iterator[list[Sequence[Cell]]]:
    waiting = iter(rows)
    while page := list(islice(waiting, ROWS_PER_PAGE)):
        yield page


def compare_page(
    findings: Findings, rows: Iterable[Sequence[Cell]], text: str, known: Collection[int]
) -> None:
    """Look for each cell at the end of the one before it, or behind what may stand between.

    Between are the page's heading, and cells that were not found.
    """
    text, place, between = _squeezed(text), 0, _HEADING
    for cell in chain.from_iterable(rows):
        findings.cells += 1
        expected = _squeezed(plain_text(cell, CsvOptions(escape_formulas=False)))
        unknown = {character for character in expected if ord(character) not in known}
        ends = (
            (fault, _end_of(form, text, place, between))
            for fault, form in _forms(expected, unknown)
        )
        fault, end = next((one for one in ends if one[1] is not None), (_GARBLED, None))
        if fault:
            findings.note(fault, repr(expected), () if fault == _GARBLED else unknown)
        place, between = (
            (place, between + _GROWN * len(expected) + _GROWN) if end is None else (end, 0)
        )


def _forms(expected: str, unknown: Collection[str]) -> Iterator[tuple[str, str]]:
    """How a cell may be shown, and what is wrong with it then."""
    yield "", expected
    if unknown:
        pattern = f"[{re.escape(''.join(unknown))}]"
        yield "U+FFFD for", re.sub(pattern, _MARK, expected)
        yield "missing:", re.sub(pattern, "", expected)


def _end_of(form: str, text: str, place: int, between: int) -> int | None:
    """Where a cell ends that begins at ``place``, or at most ``between`` characters later."""
    for begin in range(place, min(place + between, len(text)) + 1):
        if text.startswith(form, begin):
            return begin + len(form)
        cut = text.find(_CUT, begin, begin + _LONGEST + 1)
        if cut - begin >= min(_LEAST_SHOWN, len(form)) and form.startswith(text[begin:cut]):
            return cut + 1
    return None


def _squeezed(text: str) -> str:
    """Without spaces, which readers of PDF guess, and without what is never shown."""
    return re.sub(r"[\s\u200b-\u200f\ufeff\0]", "", unicodedata.normalize("NFC", text))


def qpdf_says(path: Path) -> str | None:
    """What ``qpdf --check`` finds: ``clean``, or its last line; None where there is no qpdf."""
    if not shutil.which("qpdf"):
        return None
    done = subprocess.run(
        ["qpdf", "--check", str(path)],  # noqa: S607 - found on the PATH
        capture_output=True,
        text=True,
        check=False,
    )
    return "clean" if done.returncode == 0 else (done.stdout + done.stderr).splitlines()[-1]
