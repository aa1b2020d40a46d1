"""Results as lines on a terminal, as a table of Markdown, and as JSON. Pure."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from consumer.metrics.catalogue import STALL_BUCKETS_SECONDS
from tests.hostile.bounds import MIB
from tests.hostile.running import Result

_HEAD = (
    "kind",
    "peak MiB",
    "longest stall ms",
    "/health ms",
    "good CSV s",
    "good PDF s",
    "what came of it",
)


def line(result: Result) -> str:
    """One kind, on a terminal."""
    kind, peak, stall, health, csv, pdf, outcome = cells(result)
    figures = f"{peak:>6} MiB  stall {stall:>7} ms  health {health:>6} ms  csv {csv} s  pdf {pdf} s"
    words = [f"{'BAD' if result.broken else 'ok '} {kind:<46} {figures}  {outcome}"]
    return "\n".join([*words, *(f"      ! {finding}" for finding in result.broken)])


def markdown(results: Sequence[Result]) -> str:
    """All kinds as a table."""
    rows = [_HEAD, ("---",) + ("---:",) * 5 + ("---",), *map(cells, results)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_json(results: Sequence[Result]) -> str:
    """All there is."""
    return json.dumps([_fields(result) for result in results], indent=1)


def _fields(result: Result) -> dict[str, Any]:
    # asdict takes a Counter apart into pairs.
    counts = {"ends": dict(result.ends), "answers": dict(result.answers)}
    return {
        "kind": result.name,
        "measured": asdict(result.measured),
        **counts,
        "findings": result.broken,
    }


def cells(result: Result) -> tuple[str, ...]:
    """The cells of a row, as the head names them."""
    found = result.measured
    stall = "?" if found.stall_seconds is None else f"{found.stall_seconds * 1000:.0f}"
    if found.stall_seconds in STALL_BUCKETS_SECONDS:  # known no closer
        stall = f"<= {stall}"
    figures = (
        f"{found.peak_bytes / MIB:.0f}",
        stall,
        f"{found.own_health_seconds * 1000:.0f}",
        f"{found.csv_seconds:.1f}",
        f"{found.pdf_seconds:.1f}",
    )
    return (result.name, *figures, _counted(result.ends + result.answers))


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} x {what}" for what, count in counts.most_common(6)) or "-"
