"""Costs of an export from measured runs: which run stands for a case, and the arithmetic."""

from dataclasses import replace

import pytest

from acceptance.costs import LoadCosts, export_table, least, million_rows_table, other_lines
from bench.figures import table
from producer.seed.scenarios import Scenario
from schemas.vocabulary import Format

SMALL, LARGE = Scenario(Format.CSV, 10), Scenario(Format.PDF, 1_000)
LOADS = [(SMALL, 4_000), (LARGE, 480)]
RUN = LoadCosts(
    scenario=SMALL.name,
    nodes=1,
    exports_per_second=1_400,
    node_cpu_seconds=0.0008,
    node_system_seconds=0.0003,
    kafka_cpu_seconds=0.0004,
    turns=0.02,
    transactions=0.01,
    kafka_bytes=2_200,
    file_bytes=1_050,
    follow_cpu_seconds=0.00001,
    idle_cores=0.025,
)
BIG = replace(RUN, scenario=LARGE.name, node_cpu_seconds=0.02, follow_cpu_seconds=0.00004)
RUNS = [
    replace(one, nodes=nodes, node_cpu_seconds=one.node_cpu_seconds * slower)
    for one in (RUN, BIG)
    for nodes in (1, 2)
    for slower in (1.5, 1.0, 2.0)
]


def test_the_run_that_was_disturbed_least_stands_for_a_case() -> None:
    assert least(RUNS, SMALL.name, 2) == replace(RUN, nodes=2)
    assert least(RUNS, LARGE.name, 1) == BIG


def test_a_case_that_was_not_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        least(RUNS, SMALL.name, 3)


def test_an_export_has_a_row_for_each_number_of_nodes() -> None:
    lines = export_table(RUNS, LOADS, (1, 2)).splitlines()
    assert len(lines) == 2 + 4
    figures = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    assert figures[:6] == ["CSV, 10 rows", "1", "1400", "0.80", "0.30", "0.40"]
    assert figures[6:] == ["0.02", "0.01", "2.2", "1.1"]


def test_a_million_rows_are_so_many_exports_of_a_size() -> None:
    headings = [
        *("a million rows in exports of", "exports", "s CPU of nodes", "s CPU of Kafka"),
        *("MB in Kafka", "MB of files"),
    ]
    assert million_rows_table(RUNS, LOADS) == table(
        headings,
        [
            ["CSV, 10 rows", "100,000", "80.0", "40.0", "220", "105"],
            ["PDF, 1,000 rows", "1,000", "20.0", "0.4", "2", "1"],
        ],
    )


def test_to_follow_an_export_costs_what_the_longest_reading_says() -> None:
    assert other_lines(RUNS, {"1": 2_961.4, "5": 6_251.0}).splitlines() == [
        "to follow an export takes each node 10 µs CPU",
        "an idle node takes 2.5 % of a core",
        "files of 1 KB made durable a second, by so many threads: 2961 by 1, 6251 by 5",
    ]
