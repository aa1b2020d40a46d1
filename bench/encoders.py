"""Rows to files, without Kafka: our writers and the others, on the same messages.

Each contender reads the file of messages, decodes them, encodes and writes; a fresh process for
each run, all on one core, in rounds, so that a slow minute of the machine is shared; a run that
others disturbed is repeated. Invariant: every file is judged.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.contests import CONTESTS, COPY, LARGE, Contender, Contest
from bench.figures import MIB, spread, table, thousands
from bench.judging import Judge
from bench.node_packages import why_no_node
from bench.processes import children_on_one_core
from bench.rounds import DISTURBED, TRIES, ProcessRun, least_disturbed, run
from bench.rows import DataSet, MessageFile

_MARK = "*"


class Ground:
    """A directory, and the message files in it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._messages: dict[tuple[DataSet, int], MessageFile] = {}

    def messages(self, contest: Contest, contender: Contender) -> MessageFile:
        """The file that a contender is given, made once."""
        key = contender.data_set or contest.data_set, int(contest.rows * contender.share)
        if key not in self._messages:
            self._messages[key] = MessageFile.write(self._place, *key)
        return self._messages[key]

    def runs(self, contest: Contest, contender: Contender, judge: Judge) -> Iterator[ProcessRun]:
        """Any number of runs, the file of each judged."""
        messages = self.messages(contest, contender)
        path = self._place / f"made.{contest.file_format}"
        while True:
            try:
                done = run(contender.command(messages, path))
                judge.look(path)
            finally:
                path.unlink(missing_ok=True)
            yield done


def measure() -> dict[str, Any]:
    """Every contest, one after the other; the figures by contest."""
    missing = why_no_node()
    with tempfile.TemporaryDirectory() as directory, children_on_one_core():
        ground = Ground(Path(directory))
        contests = [held(ground, contest, node=not missing) for contest in CONTESTS]
        return {"missing": missing, "contests": contests, "large": held(ground, LARGE, node=False)}


def held(ground: Ground, contest: Contest, *, node: bool) -> dict[str, Any]:
    """A contest's figures; without ``node`` by the contenders in Python alone."""
    contenders = [one for one in contest.contenders if node or one.runtime == "python"]
    messages = {one: ground.messages(contest, one) for one in contenders}
    judges = {
        one: Judge(contest.file_format, messages[one], copies=one is COPY) for one in contenders
    }
    runs: dict[Contender, list[ProcessRun]] = {one: [] for one in contenders}
    for number in range(contest.rounds):
        _say(f"{contest.file_format}, {contest.data_set}: round {number + 1}/{contest.rounds}")
        for one in contenders:
            runs[one].append(least_disturbed(ground.runs(contest, one, judges[one])))
    figures = [
        _figures(one.name, messages[one].rows, runs[one], judges[one].words()) for one in contenders
    ]
    return {
        "format": contest.file_format.value,
        "data_set": contest.data_set.value,
        "rounds": contest.rounds,
        "contenders": with_ratios(figures, contest.original, COPY.name),
    }


def _say(progress: str) -> None:
    if sys.stderr.isatty():
        print(progress, file=sys.stderr)


def _figures(name: str, rows: int, runs: Sequence[ProcessRun], judged: str) -> dict[str, Any]:
    return {
        "name": name,
        "rows": rows,
        "rows_per_second": spread([rows / run.seconds for run in runs]),
        "cpu_seconds_per_million_rows": spread([run.cpu_seconds * 1e6 / rows for run in runs]),
        "peak_mib": max(run.peak_bytes for run in runs) / MIB,
        "disturbed": any(run.disturbance > DISTURBED for run in runs),
        "output": judged,
        "runs": [asdict(run) for run in runs],
    }


def with_ratios(figures: list[dict[str, Any]], original: str, copy: str) -> list[dict[str, Any]]:
    """Each with its speed by that of the original and of the copy, where they took part."""
    speeds = {one["name"]: one["rows_per_second"]["median"] for one in figures}
    return [
        one
        | {
            "to_original": _ratio(speeds[one["name"]], speeds.get(original)),
            "copy_to_it": _ratio(speeds[copy], speeds[one["name"]]) if copy in speeds else None,
        }
        for one in figures
    ]


def _ratio(speed: float, measure: float | None) -> float | None:
    return speed / measure if measure else None


def report(result: dict[str, Any]) -> str:
    """The figures as tables for people; below them the large PDF, and what a mark says."""
    parts = [contest_table(contest) for contest in result["contests"]]
    (large,) = result["large"]["contenders"]
    parts.append(
        f"Sluice's PDF of {large['rows']:,} rows: {large['peak_mib']:.0f} MiB at most,"
        f" {_speed(large)} rows/s; {large['output']}"
    )
    if any(f"{_MARK} " in part for part in parts):
        parts.append(
            f"{_MARK} other processes, or a disk: a round took more than {DISTURBED} s by the clock"
            f" for each CPU second, {TRIES} times"
        )
    return "\n\n".join([*parts, *filter(None, [result["missing"]])])


def _speed(figures: dict[str, Any]) -> str:
    mark = _MARK if figures["disturbed"] else ""
    return thousands(figures["rows_per_second"]["median"]) + mark


def contest_table(contest: dict[str, Any]) -> str:
    """The figures of one contest as a table."""
    title = f"{contest['format'].upper()}, {contest['data_set']}"
    headings = (
        *(title, "rows", "rows/s", "CPU s per million rows", "peak MiB"),
        *("to original", "copy to it", "the file, read back"),
    )
    rows = [
        [
            *(one["name"], thousands(one["rows"]), _speed(one)),
            f"{one['cpu_seconds_per_million_rows']['median']:.2f}",
            f"{one['peak_mib']:.0f}",
            f"{one['to_original']:.2f}" if one["to_original"] else "",
            f"{one['copy_to_it']:.0f}" if one["copy_to_it"] else "",
            one["output"],
        ]
        for one in contest["contenders"]
    ]
    return table(headings, rows)
