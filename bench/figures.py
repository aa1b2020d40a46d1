"""Small arithmetic and words for figures. Pure."""

import statistics
from collections.abc import Sequence

MIB = 1024 * 1024


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most of some rounds."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def thousands(value: float) -> str:
    """Such as ``301k``, or ``8.2k`` below ten thousand."""
    return f"{value / 1000:.1f}k" if value < 10_000 else f"{value / 1000:.0f}k"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column holds names, the others figures.

    A column is three characters wide at least: a shorter rule is none to some readers.
    """
    widths = [max(3, *map(len, column)) for column in zip(headings, *rows, strict=True)]
    rule = [
        "-" * width if index == 0 else "-" * (width - 1) + ":" for index, width in enumerate(widths)
    ]
    padded = [
        [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in (headings, rule, *rows)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)
