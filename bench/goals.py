"""What a run is to reach, beside what it found, from the results of the other measurements. Pure.

Invariant: a goal that is missed is shown as missed; one that could not be measured is left out.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from bench.contests import ORIGINALS
from bench.end_to_end import ONE_CORE, OURS, TWO_OF_OURS, WATCHED, node_name
from bench.figures import table
from schemas.vocabulary import Format

_MOST_CPU_SECONDS = 2.5
_MOST_GROWTH = 0.10
_MOST_STALL_SECONDS = 0.05
_CPU = "cpu_seconds_per_million_rows"


class Cost(NamedTuple):
    """What a contender needs; CPU seconds are those of a million rows."""

    rows_per_second: float
    cpu_seconds: float


class Goal(NamedTuple):
    """One line: what, the bound and the figure in words, and whether it holds.

    A speed is judged by the clock; beside it is what it is by CPU seconds.
    """

    what: str
    bound: str
    found: str
    reached: bool
    by_cpu: str = ""


def goals(encoders: dict[str, Any], end_to_end: dict[str, Any]) -> Iterator[Goal]:
    """All of them that were measured."""
    nodes = _nodes(end_to_end)
    for file_format, alone, from_kafka in ((Format.CSV, 15, 4), (Format.PDF, 60, 35)):
        for data_set, objects in (("orders", ""), ("orders as objects", ", objects")):
            contest = _contest(encoders, file_format, data_set)
            name = ORIGINALS[file_format]
            if (original := contest.get(name)) is None:
                continue
            by = f"speed by {name}"
            yield _at_least(f"{by}: encoder{objects}", alone, contest["Sluice"], original)
            for case in (f"{ONE_CORE}{objects}", f"{ONE_CORE}, one partition, lz4{objects}"):
                if cost := nodes.get((file_format, case)):
                    what = f"{by} without Kafka: {case.removeprefix('ours, ')}"
                    yield _at_least(what, from_kafka, cost, original)
            alone_in_python = nodes.get((file_format, f"{ONE_CORE}{objects}, Python alone"))
            if alone_in_python and objects and file_format is Format.CSV:
                what = f"{by} without Kafka: Python alone{objects}"
                yield _at_least(what, 1.2, alone_in_python, original)
    if han := _contest(encoders, Format.PDF, "han"):
        latin, dense = han.values()
        yield _at_least("speed on Han by Latin's, PDF: encoder", 1 / 3, dense, latin)
    (large,) = encoders["large"]["contenders"]
    peak = large["peak_mib"] * 1.048576
    rows = f"{large['rows']:,} rows as PDF"
    yield Goal(f"peak of the writer's process, {rows}", "< 80 MB", f"{peak:.0f} MB", peak < 80)
    yield from _node_goals(nodes)
    yield from _stall_goals(end_to_end)


def _node_goals(nodes: dict[tuple[str, str], Cost]) -> Iterator[Goal]:
    spent = nodes[Format.CSV, OURS].cpu_seconds
    most = f"<= {_MOST_CPU_SECONDS} s"
    what = "CPU of a node per million rows as CSV"
    yield Goal(what, most, f"{spent:.2f} s", spent <= _MOST_CPU_SECONDS)
    xlsx = nodes.get((Format.XLSX, ONE_CORE))
    original = nodes.get((Format.XLSX, node_name(Format.XLSX)))
    if xlsx and original:
        yield _at_least("speed by kafkajs and exceljs, streaming: one core", 15, xlsx, original)
    for file_format in ORIGINALS:
        words = file_format.upper()
        one, two = nodes[file_format, OURS], nodes[file_format, TWO_OF_OURS]
        growth = two.cpu_seconds / one.cpu_seconds - 1
        what = f"CPU per row of two nodes by one's, {words}"
        yield Goal(what, f"<= {_MOST_GROWTH:+.0%}", f"{growth:+.1%}", growth <= _MOST_GROWTH)
        what = f"speed of a node on two cores, which Kafka shares, by that on one, {words}"
        yield _at_least(what, 1.7, one, nodes[file_format, ONE_CORE])


def _stall_goals(end_to_end: dict[str, Any]) -> Iterator[Goal]:
    for case in end_to_end["cases"]:
        if (stall := case.get("longest_stall")) is not None:
            what = f"event loop's longest stall{case['name'].removeprefix(WATCHED)}"
            yield Goal(
                f"{what}, {case['format'].upper()}",
                f"<= {_MOST_STALL_SECONDS * 1000:.0f} ms",
                f"{stall * 1000:.0f} ms",
                stall <= _MOST_STALL_SECONDS,
            )


def _at_least(what: str, bound: float, cost: Cost, original: Cost) -> Goal:
    ratio = cost.rows_per_second / original.rows_per_second
    by_cpu = original.cpu_seconds / cost.cpu_seconds
    return Goal(what, f">= {bound:.3g}", f"{ratio:.2f}", ratio >= bound, f"{by_cpu:.2f}")


def _contest(encoders: dict[str, Any], file_format: Format, data_set: str) -> dict[str, Cost]:
    """The medians of a contest, by name; none of one that wasn't held."""
    return {
        one["name"]: Cost(one["rows_per_second"]["median"], one[_CPU]["median"])
        for contest in encoders["contests"]
        if (contest["format"], contest["data_set"]) == (file_format, data_set)
        for one in contest["contenders"]
    }


def _nodes(end_to_end: dict[str, Any]) -> dict[tuple[str, str], Cost]:
    """The medians of a case, by format and name."""
    return {
        (one["format"], one["name"]): Cost(one["rows_per_second"]["median"], one[_CPU]["median"])
        for one in end_to_end["cases"]
    }


def report(encoders: dict[str, Any], end_to_end: dict[str, Any]) -> str:
    """The goals as a table for people."""
    rows = [
        [one.what, one.bound, one.found, one.by_cpu, "" if one.reached else "missed"]
        for one in goals(encoders, end_to_end)
    ]
    return table(("To reach", "goal", "found", "by CPU", ""), rows)
