"""A verdict on the files that contenders make.

Invariant: every file is judged: read back, or found to have the same bytes as one that was.
"""

import hashlib
from pathlib import Path

from bench.checks import check_csv
from bench.fonts import OPEN_SANS, cjk_font
from bench.format_checks import check_rows
from bench.pdf_check import check_pdf, qpdf_says
from bench.rows import DataSet, MessageFile, read_messages
from schemas.vocabulary import Format

_COMPARED_ROWS = 7
"""Of so many rows of a CSV one is compared cell by cell; all are counted."""


class Judge:
    """Looks at all files of one contender."""

    def __init__(self, file_format: Format, messages: MessageFile, *, copies: bool = False) -> None:
        self._format = file_format
        self._messages = messages
        self._copies = copies
        self._verdicts: dict[bytes, str] = {}

    def look(self, path: Path) -> None:
        """Read a file back, unless one of the same bytes was."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        if digest not in self._verdicts:
            verdict = _compared(self._messages, path) if self._copies else self._judged(path)
            self._verdicts[digest] = verdict

    def words(self) -> str:
        """What was found, of each kind of file once."""
        return "; or ".join(dict.fromkeys(self._verdicts.values()))

    def _judged(self, path: Path) -> str:
        return judged(self._format, self._messages, path)


def judged(file_format: Format, messages: MessageFile, path: Path) -> str:
    """Read a file back: ``right``, or its faults; and what qpdf says of a PDF."""
    data_set = messages.data_set
    rows = data_set.rows(messages.rows)
    if file_format is Format.CSV:
        return check_csv(path, data_set.columns, rows, _COMPARED_ROWS).words()
    if file_format is not Format.PDF:
        return check_rows(file_format, path, data_set.columns, rows).words()
    fonts = [OPEN_SANS, *([cjk_font()] if data_set is DataSet.HAN else [])]
    findings = check_pdf(path, rows, messages.rows, fonts)
    says = qpdf_says(path)
    return findings.words() + (f"; qpdf: {says}" if says else "")


def _compared(messages: MessageFile, path: Path) -> str:
    with messages.path.open("rb") as given, path.open("rb") as made:
        same = all(made.read(len(message)) == message for message in read_messages(given))
        return "the messages" if same and not made.read(1) else "other bytes"
