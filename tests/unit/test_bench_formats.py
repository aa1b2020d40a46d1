"""Are the formats' files judged, and their goals by the figures?"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bench.encode import run
from bench.format_checks import check_rows
from bench.formats import report
from bench.rows import DataSet, MessageFile
from schemas.vocabulary import Format

ROWS = 300
OF = {Format.XLSX: "xlsxwriter", Format.XML: "lxml"}
"""Peers. XlsxWriter is there once `make bench` was run."""


@pytest.mark.parametrize("data_set", [DataSet.ORDERS, DataSet.ORDERS_AS_OBJECTS])
@pytest.mark.parametrize("file_format", [Format.XLSX, Format.XML, Format.NDJSON, Format.JSON])
def test_a_file_is_right_and_another_rows_file_is_not(
    tmp_path: Path, file_format: Format, data_set: DataSet
) -> None:
    messages = MessageFile.write(tmp_path, data_set, ROWS)
    rows = [*data_set.rows(ROWS)]
    others = [OF[file_format]] if file_format in OF and find_spec("xlsxwriter") else []
    for peer in (f"ours-{file_format}", *others):
        made = tmp_path / "made"
        run(peer, messages.path, data_set, made)
        assert check_rows(file_format, made, data_set.columns, rows).words() == "right"
        other = [*rows[:-2], [7, *rows[-2][1:]]]
        assert check_rows(file_format, made, data_set.columns, other).words() == (
            "300 rows of 299; another cell in 0.04% of cells"
        )


def contest(file_format: str, **speeds: float) -> dict[str, Any]:
    contenders = [
        {
            "name": name.replace("_", " "),
            "rows": 1_000,
            "rows_per_second": {"median": speed},
            "cpu_seconds_per_million_rows": {"median": 1e6 / speed},
            "peak_mib": 1.0,
            "disturbed": False,
            "output": "right",
            "to_original": None,
            "copy_to_it": None,
        }
        for name, speed in speeds.items()
    ]
    return {"format": file_format, "data_set": "orders", "contenders": contenders}


def test_a_goal_that_is_missed_is_shown_so_and_one_that_was_not_measured_is_left_out() -> None:
    contests = [
        contest("csv", **{"Sluice, Python alone": 500.0}),
        contest("ndjson", Sluice=500.0),
        contest("json", Sluice=499.0),
        contest("xml", Sluice=400.0, **{"lxml.xmlfile": 100.0}),
        contest("xlsx", Sluice=140.0, **{"XlsxWriter, constant memory": 10.0}),
    ]
    lines = report({"contests": contests, "missing": None}).split("\n\n")[0].splitlines()[2:]
    assert [[*map(str.strip, line.split("|")[3:6])] for line in lines] == [
        ["14.00", "14.00", "missed"],
        ["4.00", "4.00", ""],
        ["1.00", "1.00", ""],
        ["1.00", "1.00", "missed"],
    ]
