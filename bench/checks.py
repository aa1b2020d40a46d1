"""Is a contender's file right? Read back by another library, compared with the rows that went in.

What is expected is what the contract says of cells, worked out here anew. Invariant: a contender's
own code has no part in judging it.
"""

import csv
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import ttf_opensans
from pypdf import PdfReader

from bench.peers.base import ROWS_PER_PAGE
from schemas.records import Cell
from schemas.requests import CsvOptions
from tests.support.plain_csv import plain_text

_SAMPLED_PAGES = 20
_CUT = "…"
_LONGEST = 100
"""Characters that a column has room for at most."""
_MARK = "\ufffd"
"""What Sluice shows, and counts, where no font has a character."""


@dataclass(slots=True)
class Findings:
    """How many cells were compared, and how many were wrong in which way; an example of each."""

    cells: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def note(self, kind: str, example: str) -> None:
        """Count a fault."""
        self.wrong[kind] += 1
        self.examples.setdefault(kind, example)

    def words(self) -> str:
        """``right``, or the faults with their share of the cells."""
        if not self.wrong:
            return "right"
        return "; ".join(
            f"{kind} in {_percent(count / self.cells)} of cells"
            for kind, count in self.wrong.most_common()
        )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.2%}"


def check_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]], every: int = 1
) -> Findings:
    """Compare cells, as Python's reader gives them, with the contract's text.

    Rows are all counted, and each one of ``every`` so many is compared.
    """
    findings = Findings()
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        assert tuple(next(reader)) == tuple(columns), "the header is wrong"
        for number, (row, read) in enumerate(zip(rows, reader, strict=True)):
            if number % every:
                continue
            for cell, found in zip(row, read, strict=True):
                findings.cells += 1
                expected = plain_text(cell, CsvOptions())
                if expected != found and not _is_the_number(cell, found):
                    findings.note(_fault(expected, found), f"{expected!r} became {found!r}")
    return findings


def _is_the_number(cell: Cell, found: str) -> bool:
    """Whether a number was written in another form, such as 7 for 7.0."""
    is_number = type(cell) is float and re.fullmatch(r"[0-9.e+-]+", found)
    return bool(is_number) and float(found) == cell


def _fault(expected: str, found: str) -> str:
    return "formula not escaped" if expected == "'" + found else "another text"


def check_pdf(path: Path, rows: Iterable[Sequence[Cell]], row_count: int) -> Findings:
    """Look for every cell of some pages, spread over the file, among the text of its page.

    A cell that is cut counts as right, and so does one whose missing characters show as U+FFFD.
    """
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - only the bench's own environment has it

    findings = Findings()
    reader = PdfReader(path)
    count = -(-row_count // ROWS_PER_PAGE)
    if len(reader.pages) != count:
        findings.note("number of pages", f"{count} became {len(reader.pages)}")
    known = frozenset(TTFont(ttf_opensans.OPENSANS_REGULAR.path).getBestCmap())
    every = max(1, count // _SAMPLED_PAGES)
    for number, page in enumerate(_pages(rows)):
        if number % every == 0:
            text = _squeezed(reader.pages[number].extract_text())
            cuts = _before_cuts(text)
            for cell in chain.from_iterable(page):
                findings.cells += 1
                expected = _squeezed(plain_text(cell, CsvOptions(escape_formulas=False)))
                if not _is_shown(expected, text, cuts, known):
                    findings.note("garbled or missing text", repr(expected))
    return findings


def _pages(rows: Iterable[Sequence[Cell]]) -> Iterator[list[Sequence[Cell]]]:
    waiting = iter(rows)
    while page := list(islice(waiting, ROWS_PER_PAGE)):
        yield page


def _is_shown(expected: str, text: str, cuts: frozenset[str], known: frozenset[int]) -> bool:
    marked = "".join(char if ord(char) in known else _MARK for char in expected)
    return any(
        form in text or any(form[:end] in cuts for end in range(1, min(len(form), _LONGEST) + 1))
        for form in (expected, marked)
    )


def _before_cuts(text: str) -> frozenset[str]:
    """All that may be the beginning of a cell that was cut."""
    *parts, _ = text.split(_CUT)
    return frozenset(part[-length:] for part in parts for length in range(1, _LONGEST + 1))


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
