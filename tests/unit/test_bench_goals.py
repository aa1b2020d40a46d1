"""What a run of the bench is to reach, judged by its results."""

from typing import Any

import pytest

from bench.contests import ORIGINALS
from bench.goals import goals, report
from schemas.vocabulary import Format


def contest(file_format: Format, **speeds: float) -> dict[str, Any]:
    """Ours, and the original unless its speed is 0; each with the CPU seconds of 0.9 cores."""
    names = {"ours": "Sluice", "original": ORIGINALS[file_format]}
    contenders = [
        {
            "name": names[key],
            "rows_per_second": {"median": speed},
            "cpu_seconds_per_million_rows": {"median": 0.9e6 / speed},
        }
        for key, speed in speeds.items()
        if speed
    ]
    return {"format": file_format.value, "data_set": "orders", "contenders": contenders}


def case(file_format: Format, nodes: int, speed: float, cpu_seconds: float) -> dict[str, Any]:
    """Some nodes' figures."""
    return {
        "format": file_format.value,
        "nodes": nodes,
        "rows_per_second": {"median": speed},
        "cpu_seconds_per_million_rows": {"median": cpu_seconds},
    }


def encoders(originals: float = 1.0) -> dict[str, Any]:
    """Ours at 1.6 and 17 times the originals' speeds, and a million rows in 62.9 MB."""
    return {
        "contests": [
            contest(Format.CSV, ours=480e3, original=300e3 * originals),
            contest(Format.PDF, ours=170e3, original=10e3 * originals),
        ],
        "large": {"contenders": [{"rows": 1_000_000, "peak_mib": 60.0}]},
    }


END_TO_END = {
    "cases": [
        case(Format.CSV, 1, 330e3, 2.4),
        case(Format.CSV, 2, 500e3, 2.52),
        case(Format.PDF, 1, 121e3, 8.0),
        case(Format.PDF, 2, 200e3, 9.0),
    ]
}


def test_each_goal_is_judged_by_the_figures() -> None:
    judged = [(one.found, one.reached) for one in goals(encoders(), END_TO_END)]
    assert judged == [
        *(("1.60", True), ("1.10", False), ("17.00", False), ("12.10", True)),
        *(("63 MB", True), ("2.40 s", True), ("+5.0%", True), ("+12.5%", False)),
    ]


def test_a_speed_stands_beside_what_it_is_by_cpu_seconds() -> None:
    beside = [one.by_cpu for one in goals(encoders(), END_TO_END)]
    assert beside == ["1.60", "1.25", "17.00", "11.25", "", "", "", ""]


@pytest.mark.parametrize(
    ("speed", "found", "reached"), [(51e3, "0.34", True), (48e3, "0.32", False)]
)
def test_han_is_judged_by_latin(speed: float, found: str, reached: bool) -> None:
    measured = encoders(originals=0.0)
    dense = contest(Format.PDF, original=150e3, ours=speed) | {"data_set": "han"}
    measured["contests"].append(dense)
    first = next(goals(measured, END_TO_END))
    assert (first.found, first.reached) == (found, reached)


def test_without_the_originals_the_goals_that_need_them_are_left_out() -> None:
    judged = [*goals(encoders(originals=0.0), END_TO_END)]
    assert len(judged) == 4
    assert not any("npm" in one.what for one in judged)


def test_what_is_missed_is_called_so() -> None:
    lines = report(encoders(), END_TO_END).splitlines()
    assert [line for line in lines if "missed" in line] == [lines[index] for index in (3, 4, 9)]
