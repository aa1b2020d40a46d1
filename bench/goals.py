"""What a run is to reach, beside what it found, from the results of the other measurements. Pure.

Invariant: a goal that is missed is shown as missed; one that could not be measured is left out.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from bench.encoders import ORIGINALS
from bench.figures import table
from schemas.vocabulary import Format

_MOST_CPU_SECONDS = 2.5
_MOST_GROWTH = 0.10
_CPU = "cpu_seconds_per_million_rows"


class Goal(NamedTuple):
    """One line: what, the bound and the figure in words, and whether it holds."""

    what: str
    bound: str
    found: str
    reached: bool


def goals(encoders: dict[str, Any], end_to_end: dict[str, Any]) -> Iterator[Goal]:
    """All of them that were measured."""
    speeds, cpu = _nodes(end_to_end, "rows_per_second"), _nodes(end_to_end, _CPU)
    for file_format, alone, from_kafka in ((Format.CSV, 1.5, 1.2), (Format.PDF, 18, 12)):
        contest = _orders(encoders, file_format)
        name = ORIGINALS[file_format]
        if (original := contest.get(name)) is None:
            continue
        by = f"speed by {name}"
        yield _at_least(f"{by}: encoder", alone, contest["Sluice"], original)
        yield _at_least(f"{by} without Kafka: node", from_kafka, speeds[file_format, 1], original)
    (large,) = encoders["large"]["contenders"]
    peak = large["peak_mib"] * 1.048576
    rows = f"{large['rows']:,} rows as PDF"
    yield Goal(f"peak of the writer's process, {rows}", "< 80 MB", f"{peak:.0f} MB", peak < 80)
    spent = cpu[Format.CSV, 1]
    most = f"<= {_MOST_CPU_SECONDS} s"
    what = "CPU of a node per million rows as CSV"
    yield Goal(what, most, f"{spent:.2f} s", spent <= _MOST_CPU_SECONDS)
    for file_format in Format:
        growth = cpu[file_format, 2] / cpu[file_format, 1] - 1
        what = f"CPU per row of two nodes by one's, {file_format.upper()}"
        yield Goal(what, f"<= {_MOST_GROWTH:+.0%}", f"{growth:+.0%}", growth <= _MOST_GROWTH)


def _at_least(what: str, bound: float, speed: float, original: float) -> Goal:
    ratio = speed / original
    return Goal(what, f">= {bound:g}", f"{ratio:.2f}", ratio >= bound)


def _orders(encoders: dict[str, Any], file_format: Format) -> dict[str, float]:
    """The speeds of the contest with the generated orders, by name."""
    (contest,) = (
        one
        for one in encoders["contests"]
        if (one["format"], one["data_set"]) == (file_format, "orders")
    )
    return {one["name"]: one["rows_per_second"]["median"] for one in contest["contenders"]}


def _nodes(end_to_end: dict[str, Any], figure: str) -> dict[tuple[str, int], float]:
    """The medians of a figure, by format and count of nodes; 0 is the service in Node."""
    return {(one["format"], one["nodes"]): one[figure]["median"] for one in end_to_end["cases"]}


def report(encoders: dict[str, Any], end_to_end: dict[str, Any]) -> str:
    """The goals as a table for people."""
    rows = [
        [one.what, one.bound, one.found, "" if one.reached else "missed"]
        for one in goals(encoders, end_to_end)
    ]
    return table(("To reach", "goal", "found", ""), rows)
