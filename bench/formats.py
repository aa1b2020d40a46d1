"""Every format, of rows as arrays and as objects by key, beside the library one would take for it.

As ``bench.encoders``. All are in Python, so CSV is too: what NDJSON and JSON are compared with.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.contests import FORMAT_CONTESTS
from bench.encoders import Ground, contest_table, held
from bench.figures import table
from bench.node_packages import why_no_node
from bench.processes import children_on_one_core
from bench.rows import DataSet
from schemas.vocabulary import Format

_GOALS = (
    (Format.XLSX, Format.XLSX, "XlsxWriter, constant memory", 15.0),
    (Format.XLSX, Format.XLSX, "npm exceljs, streaming writer", 5.0),
    (Format.XML, Format.XML, "lxml.xmlfile", 4.0),
    (Format.NDJSON, Format.CSV, "Sluice, Python alone", 1.0),
    (Format.JSON, Format.CSV, "Sluice, Python alone", 1.0),
)
"""A format, and whose speed it is to reach how many times: of which format, and which contender."""


def measure() -> dict[str, Any]:
    """Every contest, one after the other; the figures by contest."""
    missing = why_no_node()
    with tempfile.TemporaryDirectory() as directory, children_on_one_core():
        ground = Ground(Path(directory))
        contests = [held(ground, contest, node=not missing) for contest in FORMAT_CONTESTS]
    return {"missing": missing, "contests": contests}


def report(result: dict[str, Any]) -> str:
    """What is to be reached, then the figures."""
    headings = ("To reach", "goal", "found", "by CPU", "")
    parts = [table(headings, [*_goals(result)]), *map(contest_table, result["contests"])]
    return "\n\n".join([*parts, *filter(None, [result["missing"]])])


def _goals(result: dict[str, Any]) -> Iterator[list[str]]:
    figures = {
        (contest["format"], contest["data_set"], one["name"]): (
            one["rows_per_second"]["median"],
            one["cpu_seconds_per_million_rows"]["median"],
        )
        for contest in result["contests"]
        for one in contest["contenders"]
    }
    for file_format, against, other, goal in _GOALS:
        for data_set in (DataSet.ORDERS, DataSet.ORDERS_AS_OBJECTS):
            theirs = figures.get((against, data_set, other))
            if theirs is None:
                continue
            speed, cpu_seconds = figures[file_format, data_set, "Sluice"]
            words = other if against is file_format else "CSV in Python alone"
            ratio, by_cpu = speed / theirs[0], theirs[1] / cpu_seconds
            yield [
                f"{file_format.upper()}, {data_set}: speed by {words}",
                f">= {goal:g}",
                f"{ratio:.2f}",
                f"{by_cpu:.2f}",
                "" if ratio >= goal else "missed",
            ]
