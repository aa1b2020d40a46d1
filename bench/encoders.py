"""Rows to files, without Kafka: our writers and the others, on the same messages.

Each contender reads the file of messages, decodes them, encodes and writes; a fresh process for
each run, all on one core, in rounds, so that a slow minute of the machine is shared. Those that
need a multiple of the others' time get fewer rows. Invariant: every file is checked.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ttf_opensans

from bench.checks import Findings, check_csv, check_pdf, qpdf_says
from bench.figures import MIB, spread, table, thousands
from bench.node_packages import NODE_DIRECTORY, why_no_node
from bench.processes import children_on_one_core
from bench.rows import DataSet, MessageFile
from schemas.vocabulary import Format

_MOST_SECONDS = 300
_COMPARED_ROWS = 7
"""Of so many rows of a CSV one is compared cell by cell; all are counted."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to make the file. ``peer`` is its name for ``bench.encode`` or ``encode.js``."""

    name: str
    peer: str
    runtime: str = "python"
    share: float = 1.0
    """Which part of a contest's rows it is given."""
    font: str | None = None
    uncut: bool = False

    def command(self, messages: MessageFile, path: Path) -> list[str]:
        """The command line of one run."""
        data_set = messages.data_set
        if self.runtime == "python":
            module = [sys.executable, "-m", "bench.encode"]
            return [*module, self.peer, str(messages.path), data_set, str(path)]
        job = {"columns": data_set.columns, "widths": data_set.widths}
        extra = json.dumps({**job, "font": self.font, "uncut": self.uncut})
        script = str(NODE_DIRECTORY / "encode.js")
        return ["node", script, self.peer, str(messages.path), str(path), extra]


@dataclass(frozen=True, slots=True)
class Contest:
    """Contenders for files of one format from one data set; the original sets the measure."""

    file_format: Format
    data_set: DataSet
    rows: int
    rounds: int
    contenders: tuple[Contender, ...]


ORIGINALS = {Format.CSV: "npm csv-writer", Format.PDF: "npm pdfkit, Helvetica"}
_COPY = Contender("a plain copy of the messages", "copy")
_OPEN_SANS = str(ttf_opensans.OPENSANS_REGULAR.path)
_CSV = (
    Contender("Sluice", "ours-csv"),
    Contender(ORIGINALS[Format.CSV], "csv-writer", "node"),
    Contender("orjson and csv.writer, guarded", "csv-loop"),
    Contender("polars, guarded", "polars"),
    _COPY,
)
_PDF_PAIR = (
    Contender("Sluice", "ours-pdf"),
    Contender(ORIGINALS[Format.PDF], "pdfkit", "node"),
)
_PDF = (
    *_PDF_PAIR,
    Contender("npm pdfkit, Helvetica, text not cut", "pdfkit", "node", 0.2, uncut=True),
    Contender("npm pdfkit, Open Sans", "pdfkit", "node", 0.2, _OPEN_SANS),
    Contender("reportlab, a call per cell, not cut", "reportlab", share=0.2),
    Contender("fpdf2, a call per cell, not cut", "fpdf2", share=0.2),
    _COPY,
)
CONTESTS = (
    Contest(Format.CSV, DataSet.ORDERS, 500_000, 3, _CSV),
    Contest(Format.CSV, DataSet.CITIES, 1_000_000, 3, _CSV),
    Contest(Format.PDF, DataSet.ORDERS, 100_000, 3, _PDF),
    Contest(Format.PDF, DataSet.CITIES, 20_000, 3, (*_PDF_PAIR, _COPY)),
)
LARGE = Contest(Format.PDF, DataSet.ORDERS, 1_000_000, 1, _PDF_PAIR[:1])


@dataclass(frozen=True, slots=True)
class Run:
    """What one process said of itself."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


class Ground:
    """A directory, and the message files in it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._messages: dict[tuple[DataSet, int], MessageFile] = {}

    def messages(self, data_set: DataSet, rows: int) -> MessageFile:
        """The file of that many rows, made once."""
        key = data_set, rows
        if key not in self._messages:
            self._messages[key] = MessageFile.write(self._place, data_set, rows)
        return self._messages[key]

    def run(self, contest: Contest, contender: Contender, *, check: bool) -> tuple[Run, str]:
        """One run, and what is to be said of its file if that is asked for."""
        messages = self.messages(contest.data_set, int(contest.rows * contender.share))
        path = self._place / f"made.{contest.file_format}"
        try:
            run = _run(contender.command(messages, path))
            judged = _judged(contest.file_format, contender, messages, path) if check else ""
        finally:
            path.unlink(missing_ok=True)
        return run, judged


def _run(command: Sequence[str]) -> Run:
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=_MOST_SECONDS,
    )
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def _judged(file_format: Format, contender: Contender, messages: MessageFile, path: Path) -> str:
    if contender is _COPY:
        return "the messages"
    data_set = messages.data_set
    rows = data_set.rows(messages.rows)
    findings: Findings
    if file_format is Format.CSV:
        findings = check_csv(path, data_set.columns, rows, _COMPARED_ROWS)
        return findings.words()
    findings = check_pdf(path, rows, messages.rows)
    says = qpdf_says(path)
    return findings.words() + (f"; qpdf: {says}" if says else "")


def measure() -> dict[str, Any]:
    """Every contest, one after the other; the figures by contest."""
    missing = why_no_node()
    with tempfile.TemporaryDirectory() as directory, children_on_one_core():
        ground = Ground(Path(directory))
        contests = [_held(ground, contest, node=not missing) for contest in CONTESTS]
        return {"missing": missing, "contests": contests, "large": _held(ground, LARGE, node=False)}


def _held(ground: Ground, contest: Contest, *, node: bool) -> dict[str, Any]:
    contenders = [one for one in contest.contenders if node or one.runtime == "python"]
    runs: dict[str, list[Run]] = {one.name: [] for one in contenders}
    judged: dict[str, str] = {}
    for number in range(contest.rounds):
        _say(f"{contest.file_format}, {contest.data_set}: round {number + 1}/{contest.rounds}")
        for one in contenders:
            run, said = ground.run(contest, one, check=number == 0)
            runs[one.name].append(run)
            judged[one.name] = judged.get(one.name) or said
    counts = {
        one.name: ground.messages(contest.data_set, int(contest.rows * one.share)).rows
        for one in contenders
    }
    figures = [_figures(name, counts[name], runs[name], judged[name]) for name in runs]
    return {
        "format": contest.file_format.value,
        "data_set": contest.data_set.value,
        "rounds": contest.rounds,
        "contenders": with_ratios(figures, ORIGINALS[contest.file_format], _COPY.name),
    }


def _say(progress: str) -> None:
    if sys.stderr.isatty():
        print(progress, file=sys.stderr)


def _figures(name: str, rows: int, runs: Sequence[Run], judged: str) -> dict[str, Any]:
    return {
        "name": name,
        "rows": rows,
        "rows_per_second": spread([rows / run.seconds for run in runs]),
        "cpu_seconds_per_million_rows": spread([run.cpu_seconds * 1e6 / rows for run in runs]),
        "peak_mib": max(run.peak_bytes for run in runs) / MIB,
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
    """The figures as tables for people; the last line is the large PDF."""
    parts = [_table(contest) for contest in result["contests"]]
    (large,) = result["large"]["contenders"]
    parts.append(
        f"Sluice's PDF of {large['rows']:,} rows: {large['peak_mib']:.0f} MiB at most,"
        f" {thousands(large['rows_per_second']['median'])} rows/s; {large['output']}"
    )
    return "\n\n".join([*parts, *filter(None, [result["missing"]])])


def _table(contest: dict[str, Any]) -> str:
    title = f"{contest['format'].upper()}, {contest['data_set']}"
    headings = (
        *(title, "rows", "rows/s", "CPU s per million rows", "peak MiB"),
        *("to original", "copy to it", "the file, read back"),
    )
    rows = [
        [
            *(one["name"], thousands(one["rows"]), thousands(one["rows_per_second"]["median"])),
            f"{one['cpu_seconds_per_million_rows']['median']:.2f}",
            f"{one['peak_mib']:.0f}",
            f"{one['to_original']:.2f}" if one["to_original"] else "",
            f"{one['copy_to_it']:.0f}" if one["copy_to_it"] else "",
            one["output"],
        ]
        for one in contest["contenders"]
    ]
    return table(headings, rows)
