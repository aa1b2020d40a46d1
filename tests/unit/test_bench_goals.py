"""What a run of the bench is to reach, judged by its results."""

from typing import Any

import pytest

from bench.contests import ORIGINALS
from bench.end_to_end import ONE_CORE, OURS, TWO_OF_OURS, WATCHED, node_name
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


def case(file_format: Format, name: str, speed: float, cpu_seconds: float) -> dict[str, Any]:
    """Some nodes' figures."""
    return {
        "format": file_format.value,
        "name": name,
        "rows_per_second": {"median": speed},
        "cpu_seconds_per_million_rows": {"median": cpu_seconds},
    }


def encoders(originals: float = 1.0) -> dict[str, Any]:
    """Ours at 16 and 57 times the originals' speeds, and a million rows in 62.9 MB."""
    return {
        "contests": [
            contest(Format.CSV, ours=4800e3, original=300e3 * originals),
            contest(Format.PDF, ours=570e3, original=10e3 * originals),
        ],
        "large": {"contenders": [{"rows": 1_000_000, "peak_mib": 60.0}]},
    }


OBJECTS = f"{ONE_CORE}, objects"
END_TO_END = {
    "cases": [
        case(Format.CSV, OURS, 1_980e3, 2.4),
        case(Format.CSV, TWO_OF_OURS, 2_500e3, 2.52),
        case(Format.CSV, ONE_CORE, 1_100e3, 0.75),
        case(Format.CSV, f"{ONE_CORE}, one partition, lz4", 1_500e3, 0.6),
        case(Format.PDF, OURS, 400e3, 8.0),
        case(Format.PDF, TWO_OF_OURS, 600e3, 9.0),
        case(Format.PDF, ONE_CORE, 360e3, 2.5),
    ]
}


def test_each_goal_is_judged_by_the_figures() -> None:
    judged = [(one.found, one.reached) for one in goals(encoders(), END_TO_END)]
    assert judged == [
        *(("16.00", True), ("3.67", False), ("5.00", True), ("57.00", False), ("36.00", True)),
        *(("63 MB", True), ("2.40 s", True)),
        *(("+5.0%", True), ("1.80", True), ("+12.5%", False), ("1.11", False)),
    ]


def test_objects_and_python_alone_have_goals_of_their_own() -> None:
    measured = encoders()
    objects = contest(Format.CSV, ours=4800e3, original=400e3) | {"data_set": "orders as objects"}
    measured["contests"].append(objects)
    cases = [
        *END_TO_END["cases"],
        case(Format.CSV, OBJECTS, 1_600e3, 0.6),
        case(Format.CSV, f"{OBJECTS}, Python alone", 500e3, 2.0),
    ]
    found = {one.what: one.found for one in goals(measured, {"cases": cases})}
    by = "speed by npm csv-writer"
    assert found[f"{by}: encoder, objects"] == "12.00"
    assert found[f"{by} without Kafka: one core, objects"] == "4.00"
    assert found[f"{by} without Kafka: Python alone, objects"] == "1.25"


def test_xlsx_and_the_event_loop_have_goals_too() -> None:
    cases = [
        *END_TO_END["cases"],
        case(Format.XLSX, ONE_CORE, 480e3, 2.0),
        case(Format.XLSX, node_name(Format.XLSX), 40e3, 30.0),
        case(Format.CSV, WATCHED, 1_980e3, 2.4) | {"longest_stall": 0.031},
        case(Format.CSV, f"{WATCHED}, Python alone", 500e3, 2.4) | {"longest_stall": 0.062},
    ]
    found = {one.what: one for one in goals(encoders(), {"cases": cases})}
    xlsx = found["speed by kafkajs and exceljs, streaming: one core"]
    assert (xlsx.found, xlsx.by_cpu, xlsx.reached) == ("12.00", "15.00", False)
    native = found["event loop's longest stall, CSV"]
    assert (native.found, native.reached) == ("31 ms", True)
    assert not found["event loop's longest stall, Python alone, CSV"].reached


def test_a_speed_stands_beside_what_it_is_by_cpu_seconds() -> None:
    beside = [one.by_cpu for one in goals(encoders(), END_TO_END)]
    assert beside[:5] == ["16.00", "4.00", "5.00", "57.00", "36.00"]


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
    assert len(judged) == 6
    assert not any("npm" in one.what for one in judged)


def test_what_is_missed_is_called_so() -> None:
    lines = report(encoders(), END_TO_END).splitlines()
    missed = [line for line in lines if "missed" in line]
    assert missed == [lines[2 + index] for index in (1, 3, 9, 10)]
