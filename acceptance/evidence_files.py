"""The evidence as files: what was asserted, seen and made, for people and for programs.

Invariant: nothing written names a place of the machine; files are named without their directory.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from acceptance import pictures
from acceptance.assertions import Facts, durations_seconds, p95
from bench.figures import table
from sluice.metric_assertions import Finding

_PAGE = """# Evidence

Written by `make evidence`, of one run from start to end: an embedded Apache Kafka, one node as a
process of its own, exports by `sluice seed`, and downstream reading the completions.
**{held} of {count} assertions hold.**

{assertions}

## The load

{phases}

Latency is the event's `duration_ms`: from the request's timestamp in Kafka to completion. *Seconds*
are those of the whole command, its start and the publishing of rows included; of the backlog, from
the commit of the upstream's transaction that makes it visible. *Memory* is the node's resident peak
in that phase, counted by the kernel from its beginning, minus that of the new, idle node; it is not
divided by the exports that run at a time. `export_concurrent_running` was sampled
{samples} times; the backlog wants twelve slots at one moment.

![Latency of each export](latency.png)

![Exports, rows and slots in use over time](throughput.png)

## What it ran on

{machine}

## Files beside this one

- `results.json`: all figures above.
- `metrics.txt`: the node's metrics at the end.
- `files.sha256`: what was made, each file hashed here and compared with its event; `sluice verify`
  has compared all of them with their manifests. The files themselves are not kept.
"""


def write_evidence(
    into: Path,
    facts: Facts,
    findings: Sequence[Finding],
    machine: Mapping[str, str],
    metrics: str,
    hashes: Mapping[str, str],
) -> None:
    """Write all of it into a directory, over what is there."""
    into.mkdir(parents=True, exist_ok=True)
    _text(into / "README.md", _page(facts, findings, machine))
    _text(into / "results.json", json.dumps(_results(facts, findings, machine), indent=2) + "\n")
    _text(into / "metrics.txt", metrics)
    listed = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items()))
    _text(into / "files.sha256", listed)
    pictures.draw_latency(facts.phases, facts.endings, into / "latency.png")
    pictures.draw_throughput(facts.phases, facts.endings, facts.samples, into / "throughput.png")


def hashed_files(storage: Path) -> dict[str, str]:
    """SHA-256 of each finished file, by name."""
    hashes = {}
    for path in (one for kind in ("*.csv", "*.pdf") for one in storage.glob(kind)):
        with path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def findings_table(findings: Sequence[Finding]) -> str:
    """The assertions as a Markdown table."""
    rows = [[one.name, "pass" if one.holds else "**FAIL**", one.found] for one in findings]
    return table(["assertion", "result", "found"], rows)


def _page(facts: Facts, findings: Sequence[Finding], machine: Mapping[str, str]) -> str:
    return _PAGE.format(
        held=sum(one.holds for one in findings),
        count=len(findings),
        assertions=findings_table(findings),
        phases=_phases_table(facts),
        samples=len(facts.samples),
        machine="\n".join(f"- {name}: {words}" for name, words in machine.items()),
    )


def _phases_table(facts: Facts) -> str:
    rows = []
    for phase in facts.phases:
        seconds = durations_seconds(facts.endings, phase.name)
        shown = [f"{p95(seconds):.3f} s", f"{seconds[-1]:.3f} s"] if seconds else ["", ""]
        memory = f"{phase.growth_bytes / 1e6:+.1f} MB"
        rows.append([phase.name, f"{len(seconds)}", f"{phase.seconds:.2f}", *shown, memory])
    headings = ["phase", "completed", "seconds", "latency P95", "slowest", "memory over idle"]
    return table(headings, rows)


def _results(
    facts: Facts, findings: Sequence[Finding], machine: Mapping[str, str]
) -> dict[str, object]:
    return {
        "passed": all(one.holds for one in findings),
        "assertions": [
            {"name": one.name, "holds": one.holds, "found": one.found} for one in findings
        ],
        "phases": [
            {
                "name": phase.name,
                "seconds": round(phase.seconds, 3),
                "memory_growth_bytes": phase.growth_bytes,
                "latency_seconds": durations_seconds(facts.endings, phase.name),
            }
            for phase in facts.phases
        ],
        "machine": dict(machine),
    }


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
