"""Is a contender's file right? Read back by another library, compared with the rows that went in.

What is found, and how a CSV is read; ``bench.pdf_check`` reads PDFs. What is expected is what the
contract says of cells, worked out here once more. Invariant: a contender's own code has no part in
judging it.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from schemas.options import CsvOptions
from schemas.records import Cell
from tests.support.plain_csv import plain_text

_MOST_NAMED = 3


@dataclass(slots=True)
class Findings:
    """How many cells were compared, and how many were wrong in which way; an example of each."""

    cells: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    lost: dict[str, set[str]] = field(default_factory=dict)
    """Characters that aren't shown, by the fault."""
    whole: list[str] = field(default_factory=list)
    """What is wrong with the file besides its cells."""

    def note(self, fault: str, example: str, lost: Iterable[str] = ()) -> None:
        """Count a cell that is wrong; ``lost`` are the characters that it lacks for that."""
        self.wrong[fault] += 1
        self.examples.setdefault(fault, example)
        if lost:
            self.lost.setdefault(fault, set()).update(lost)

    def words(self) -> str:
        """``right``, or the faults with their share of the cells."""
        shares = [
            f"{fault}{self._lost(fault)} in {_percent(count / self.cells)} of cells"
            for fault, count in self.wrong.most_common()
        ]
        return "; ".join([*self.whole, *shares]) or "right"

    def _lost(self, fault: str) -> str:
        lost = self.lost.get(fault, set())
        if len(lost) > _MOST_NAMED:
            return f" {len(lost):,} characters"
        return "".join(f" {character}" for character in sorted(lost))


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.2%}"


def check_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]], every: int = 1
) -> Findings:
    """Compare cells, as Python's reader gives them, with the contract's text.

    Rows are all counted, and each one of ``every`` so many is compared.
    """
    findings = Findings()
    counts: Counter[str] = Counter()
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        if next(reader, None) != [*columns]:
            findings.whole.append("another header")
        for number, (row, read) in enumerate(zip_longest(rows, reader)):
            counts.update(given=row is not None, found=read is not None)
            if row is not None and read is not None and number % every == 0:
                _compare_row(findings, row, read)
    if counts["given"] != counts["found"]:
        findings.whole.append(f"{counts['found']:,} rows of {counts['given']:,}")
    return findings


def _compare_row(findings: Findings, row: Sequence[Cell], read: Sequence[str]) -> None:
    for cell, found in zip_longest(row, read, fillvalue=""):
        findings.cells += 1
        expected = plain_text(cell, CsvOptions())
        if expected != found and not _is_the_number(cell, found):
            findings.note(_fault(expected, found), f"{expected!r} became {found!r}")


def _is_the_number(cell: Cell, found: str) -> bool:
    """Whether a number was written in another form, such as 7 for 7.0."""
    is_number = type(cell) is float and re.fullmatch(r"[0-9.e+-]+", found)
    return bool(is_number) and float(found) == cell


def _fault(expected: str, found: str) -> str:
    return "formula not escaped" if expected == "'" + found else "another text"
