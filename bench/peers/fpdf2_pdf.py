"""fpdf2, a call per cell, with Open Sans embedded."""

from datetime import UTC, datetime

import ttf_opensans
from fpdf import FPDF

from bench.peers import pages
from bench.peers.base import TITLE, Job, NewEncoder

_CREATED = datetime(2026, 11, 21, tzinfo=UTC)
"""The same bytes each time."""


class Fpdf2Encoder:
    """An ``Encoder``."""

    def __init__(self, job: Job) -> None:
        self._pdf = FPDF(orientation="landscape", unit="pt", format="A4")
        self._pdf.set_title(TITLE)
        self._pdf.set_creation_date(_CREATED)
        self._pdf.set_auto_page_break(auto=False)
        self._pdf.add_font("Open Sans", fname=str(ttf_opensans.OPENSANS_REGULAR.path))
        self._pdf.set_font("Open Sans", size=pages.TYPE_SIZE)
        self._out = job.out
        self._columns = job.columns
        self._lefts = pages.lefts(job.widths)

    def message(self, value: bytes) -> None:
        """Draw each cell of each page."""
        for page in pages.pages(value):
            self._pdf.add_page()
            for line, row in enumerate([self._columns, *page]):
                y = pages.TOP + line * pages.LINE
                for left, cell in zip(self._lefts, row, strict=True):
                    self._pdf.text(left, y, pages.text_of(cell))

    def finish(self) -> None:
        """Only now anything is written."""
        self._out.write(self._pdf.output())


def prepare() -> NewEncoder:
    """Nothing has to be done once for a process."""
    return Fpdf2Encoder
