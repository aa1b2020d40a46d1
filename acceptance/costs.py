"""What an export costs, from measured runs, as tables. Pure.

CPU time is what counts here: on a machine whose cores are shared it holds, exports a second don't.
Invariant: of several runs of a case the one that took the nodes least CPU time stands for it, as
what disturbs a run only ever adds to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bench.figures import table
from producer.seed.scenarios import Scenario

Load: TypeAlias = tuple[Scenario, int]
"""What is exported, and how often."""


@dataclass(frozen=True, slots=True)
class LoadCosts:
    """Of one load on so many nodes. What is not a rate is of one export, over all nodes."""

    scenario: str
    nodes: int
    exports_per_second: float
    node_cpu_seconds: float
    node_system_seconds: float
    """What the kernel took of these for the nodes; most of it for files."""
    kafka_cpu_seconds: float
    turns: float
    transactions: float
    kafka_bytes: float
    file_bytes: float
    follow_cpu_seconds: float
    """What an export costs each node of the group, whichever node runs it."""
    idle_cores: float
    """What each node took of a core before there was any load."""


def least(runs: Sequence[LoadCosts], scenario: str, nodes: int) -> LoadCosts:
    """The run that stands for a case. Raises ValueError if there is none."""
    ours = [run for run in runs if run.scenario == scenario and run.nodes == nodes]
    return min(ours, key=lambda run: run.node_cpu_seconds)


def export_table(runs: Sequence[LoadCosts], loads: Sequence[Load], nodes: Sequence[int]) -> str:
    """A row for each load and number of nodes."""
    headings = [
        *("an export", "nodes", "exports/s", "ms CPU of nodes", "of it the kernel's"),
        *("ms CPU of Kafka", "turns", "transactions", "KB in Kafka", "KB of file"),
    ]
    rows = []
    for scenario, _ in loads:
        for count in nodes:
            run = least(runs, scenario.name, count)
            figures = [
                f"{run.exports_per_second:.0f}",
                f"{run.node_cpu_seconds * 1000:.2f}",
                f"{run.node_system_seconds * 1000:.2f}",
                f"{run.kafka_cpu_seconds * 1000:.2f}",
                f"{run.turns:.2f}",
                f"{run.transactions:.2f}",
                f"{run.kafka_bytes / 1000:.1f}",
                f"{run.file_bytes / 1000:.1f}",
            ]
            rows.append([_named(scenario), str(count), *figures])
    return table(headings, rows)


def million_rows_table(runs: Sequence[LoadCosts], loads: Sequence[Load]) -> str:
    """What a million rows cost in exports of each size, by the runs with one node."""
    headings = [
        *("a million rows in exports of", "exports", "s CPU of nodes", "s CPU of Kafka"),
        *("MB in Kafka", "MB of files"),
    ]
    rows = []
    for scenario, _ in loads:
        run, exports = least(runs, scenario.name, 1), 1_000_000 / scenario.records
        figures = [
            f"{exports:,.0f}",
            f"{run.node_cpu_seconds * exports:.1f}",
            f"{run.kafka_cpu_seconds * exports:.1f}",
            f"{run.kafka_bytes * exports / 1e6:.0f}",
            f"{run.file_bytes * exports / 1e6:.0f}",
        ]
        rows.append([_named(scenario), *figures])
    return table(headings, rows)


def other_lines(runs: Sequence[LoadCosts], syncs_per_second: dict[str, float]) -> str:
    """Beside the tables: knowing of an export, an idle node, and the disk."""
    # Reading has a fixed cost: the run with the most exports has the least of it per export.
    follow = min(run.follow_cpu_seconds for run in runs)
    idle = sorted(run.idle_cores for run in runs)
    disk = ", ".join(f"{rate:.0f} by {writers}" for writers, rate in syncs_per_second.items())
    return "\n".join(
        [
            f"to follow an export takes each node {follow * 1e6:.0f} µs CPU",
            f"an idle node takes {idle[len(idle) // 2] * 100:.1f} % of a core",
            f"files of 1 KB made durable a second, by so many threads: {disk}",
        ]
    )


def _named(scenario: Scenario) -> str:
    return f"{scenario.format.upper()}, {scenario.records:,} rows"
