"""reportlab's canvas, a call per cell, with Open Sans embedded."""

import ttf_opensans
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from bench.peers import pages
from bench.peers.base import TITLE, Job, NewEncoder


class ReportlabEncoder:
    """An ``Encoder``."""

    def __init__(self, job: Job) -> None:
        pdfmetrics.registerFont(TTFont("Open Sans", str(ttf_opensans.OPENSANS_REGULAR.path)))
        size = pages.WIDTH, pages.HEIGHT
        self._canvas = Canvas(job.out, pagesize=size, pageCompression=1, invariant=1)
        self._canvas.setTitle(TITLE)
        self._columns = job.columns
        self._lefts = pages.lefts(job.widths)

    def message(self, value: bytes) -> None:
        """Draw each cell of each page."""
        for page in pages.pages(value):
            self._canvas.setFont("Open Sans", pages.TYPE_SIZE)
            for line, row in enumerate([self._columns, *page]):
                y = pages.HEIGHT - pages.TOP - line * pages.LINE
                for left, cell in zip(self._lefts, row, strict=True):
                    self._canvas.drawString(left, y, pages.text_of(cell))
            self._canvas.showPage()

    def finish(self) -> None:
        """Only now anything is written."""
        self._canvas.save()


def prepare() -> NewEncoder:
    """Nothing has to be done once for a process."""
    return ReportlabEncoder
