"""The table of a storm, as JSON and as markdown."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.faults import Kill
from tests.chaos.node import Side, Step


@dataclass(slots=True)
class Report:
    """What a storm was and did."""

    seed: int
    nodes: int
    seconds: float
    struck: Mapping[str, int]
    missed: Mapping[str, int]
    skipped: Mapping[str, int]
    step_kills: Mapping[str, int]
    kills_of_holders: int
    processes: int
    refused_starts: int
    exports: int
    outcomes: Mapping[str, int]
    sends_repeated: int
    settle_seconds: float
    recovery_seconds: Mapping[str, float]
    broker_restart_seconds: Mapping[str, float]
    stop_seconds: Mapping[str, float]
    violations: Mapping[str, int]
    details: Sequence[str] = ()
    unexpected: Sequence[str] = field(default_factory=list)


def recoveries(
    kills: Sequence[Kill], taken: Mapping[int, Sequence[float]], strikes: Sequence[float]
) -> list[float]:
    """Seconds from a kill until the last of the node's partitions was taken over by another.

    Only where nothing else struck meanwhile. ``taken`` are the times at which each partition was;
    all times are seconds since the epoch.
    """
    found = []
    for kill in kills:
        after = [
            min((at for at in taken.get(number, ()) if at > kill.at), default=None)
            for number in kill.held
        ]
        if after and None not in after:
            last = max(at for at in after if at is not None)
            if not any(kill.at + 0.2 < strike < last for strike in strikes):
                found.append(last - kill.at)
    return found


def count_steps(step_kills: Sequence[str], points: Sequence[tuple[Side, Step]]) -> dict[str, int]:
    """How many nodes died at each of the points; those where none did are 0."""
    died = Counter(point.rpartition(":")[0] for point in step_kills)
    return {name: died[name] for name in (f"{side}-{step}" for side, step in points)}


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """How many, and their median, 95th percentile and maximum."""
    if not seconds:
        return {"count": 0}
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[math.ceil(0.95 * len(ordered)) - 1], 2),
        "max": round(ordered[-1], 2),
    }


def markdown(report: Report) -> str:
    """The report as a table."""
    rows: list[tuple[str, Any]] = [
        ("seed", report.seed),
        ("nodes", report.nodes),
        ("seconds of faults", round(report.seconds)),
        *((f"struck: {kind}", count) for kind, count in report.struck.items()),
        *((f"tried and not seen: {kind}", count) for kind, count in report.missed.items()),
        *((f"not possible here: {kind}", count) for kind, count in report.skipped.items()),
        *((f"died at a step: {point}", count) for point, count in report.step_kills.items()),
        ("kills of nodes that held partitions", report.kills_of_holders),
        ("node processes", report.processes),
        ("starts refused while broker or disk were away", report.refused_starts),
        ("exports", report.exports),
        *((f"exports: {outcome}", count) for outcome, count in report.outcomes.items()),
        ("sends repeated by the upstream", report.sends_repeated),
        ("seconds until all had ended after the last fault", round(report.settle_seconds, 1)),
        ("seconds until a killed node's partitions were taken over", report.recovery_seconds),
        ("seconds until a killed broker was ready again", report.broker_restart_seconds),
        ("seconds of a stop by SIGTERM", report.stop_seconds),
        *((f"violations: {fault}", count) for fault, count in report.violations.items()),
        ("violations", sum(report.violations.values())),
    ]
    lines = [f"| {name} | {_shown(value)} |" for name, value in rows]
    return (
        "\n".join(["| | |", "|---|---|", *lines, "", *(f"- {it}" for it in report.details)]) + "\n"
    )


def write(report: Report, directory: Path) -> None:
    """Write ``storm.json`` and ``storm.md``."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n"
    (directory / "storm.json").write_text(text, encoding="utf-8")
    (directory / "storm.md").write_text(markdown(report), encoding="utf-8")


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return str(value)
