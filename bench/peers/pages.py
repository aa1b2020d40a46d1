"""What a PDF drawn a call per cell needs from every library: where cells are, and their text."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import orjson

from bench.peers.base import ROWS_PER_PAGE
from schemas.records import Cell

WIDTH, HEIGHT = 841.89, 595.28
"""A4 landscape, in points."""
MARGIN = 36.0
TYPE_SIZE = 7.0
LINE = 9.6
TOP = 60.0


def lefts(widths: Sequence[float]) -> list[float]:
    """Where each column begins."""
    return [MARGIN + left for left in accumulate(widths[:-1], initial=0.0)]


def pages(value: bytes) -> Iterator[list[list[Cell]]]:
    """The rows of a message, a page at a time; messages hold whole pages."""
    rows = orjson.loads(value)["rows"]
    for start in range(0, len(rows), ROWS_PER_PAGE):
        yield rows[start : start + ROWS_PER_PAGE]


def text_of(cell: Cell) -> str:
    """One line of text for a cell."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return " ".join(cell.split()) if isinstance(cell, str) else str(cell)
