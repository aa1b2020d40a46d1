"""``python -m acceptance.soak --seconds N``: one node under a steady load, for long.

Some hundred generated exports, from 10 rows to 50,000, are published once; then ``sluice replay``
publishes them again and again at an even rate. Meanwhile the node is sampled. Fails unless every
export completed and memory, descriptors, threads and lag stayed level. Writes bench/results/soak.*
and the figures in docs/scaling.md. Needs Linux.
"""

import argparse
import asyncio
import csv
import itertools
import json
import sys
import tempfile
import time
from dataclasses import asdict, astuple, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acceptance import pictures
from acceptance.bed import Bed, laid_bed
from acceptance.flatness import Course, course
from acceptance.sampling import Sample, sampled
from bench.document import with_figures
from bench.figures import MIB
from producer.publisher import ExportPublisher
from producer.seed.scenarios import FIVE_SCENARIOS, Scenario, publish
from schemas.vocabulary import Format

RESULTS = Path(__file__).parents[1] / "results"
PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
_ROUNDS, _SMALL = 8, Scenario(Format.CSV, 10)
_SMALL_EACH = 40
_EXPORTS_PER_SECOND = 6
_EVERY_SECONDS = 2.0


def main() -> int:
    """Soak, print, write; 1 unless all stayed level and every export completed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="sluice-soak-") as directory:
        samples, replays = asyncio.run(_soak(Path(directory), seconds))
    courses = _courses(samples)
    result = _result(samples, replays, courses)
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=2) + "\n"
    (RESULTS / "soak.json").write_text(text, encoding="utf-8")
    _write_samples(samples, RESULTS / "soak.csv")
    pictures.draw_soak(samples, RESULTS / "soak.png")
    shown = report(result)
    print(shown)
    PAGE.write_text(with_figures(PAGE.read_text("utf-8"), "soak", shown), encoding="utf-8")
    return 0 if result["completed"] == result["sent"] and all(one.flat for one in courses) else 1


async def _soak(place: Path, seconds: float) -> tuple[list[Sample], list[dict[str, Any]]]:
    async with laid_bed(place) as bed:
        begun = datetime.now(UTC)
        await _record(bed)
        ended = datetime.now(UTC)
        async with sampled(bed.node, _EVERY_SECONDS) as samples:
            replays = await _replays(bed, begun, ended, seconds)
        return samples, replays


async def _record(bed: Bed) -> None:
    """The load, published once: the five scenarios with small ones in between."""
    scenarios = [one for big in FIVE_SCENARIOS for one in (big, *[_SMALL] * (_SMALL_EACH // 5))]
    async with ExportPublisher(bed.topics, bootstrap_servers=bed.servers) as publisher:
        for number, scenario in itertools.product(range(_ROUNDS), scenarios):
            await publish(publisher, scenario, index=number)


async def _replays(
    bed: Bed, begun: datetime, ended: datetime, seconds: float
) -> list[dict[str, Any]]:
    deadline, replays = time.monotonic() + seconds, []
    period = ("--from", _rfc3339(begun), "--to", _rfc3339(ended))
    while time.monotonic() < deadline:
        ran = await bed.sluice("replay", *period, "--rate", _EXPORTS_PER_SECOND, "--json")
        if not ran.lines:
            raise SystemExit(ran.code or 1)
        replays.append(json.loads(ran.lines[-1]))
    return replays


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _courses(samples: list[Sample]) -> list[Course]:
    """What has to stay level, and by how much it may rise nevertheless."""

    def of(field: str, by: float = 1.0) -> list[tuple[float, float]]:
        return [(sample.at_seconds, getattr(sample, field) / by) for sample in samples]

    # In flight at any moment may be the records of a large export, and as many exports as slots.
    return [
        course("resident memory", "MiB", of("resident_bytes", MIB), most_rise=5),
        course("file descriptors", "", of("descriptors"), most_rise=2),
        course("threads", "", of("threads"), most_rise=1),
        course("lag", "records", of("lag_records"), most_rise=50),
        course("open exports", "", of("open_exports"), most_rise=5),
    ]


def _result(
    samples: list[Sample], replays: list[dict[str, Any]], courses: list[Course]
) -> dict[str, Any]:
    return {
        "seconds": samples[-1].at_seconds,
        "replays": len(replays),
        "sent": sum(one["sent"] for one in replays),
        "completed": sum(one["completed"] for one in replays),
        "latency_p95_ms": {
            "first": replays[0]["latency_ms"]["p95"],
            "last": replays[-1]["latency_ms"]["p95"],
            "most": max(one["latency_ms"]["p95"] for one in replays),
        },
        "lag_at_the_end": samples[-1].lag_records,
        "courses": [asdict(one) | {"flat": one.flat} for one in courses],
        "lines": [str(one) for one in courses],
    }


def _write_samples(samples: list[Sample], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(one.name for one in fields(Sample))
        rows.writerows(astuple(sample) for sample in samples)


def report(result: dict[str, Any]) -> str:
    """The figures for people."""
    p95 = result["latency_p95_ms"]
    head = (
        f"{result['seconds'] / 60:.0f} minutes, {result['replays']} replays: "
        f"{result['completed']} of {result['sent']} exports completed\n"
        f"latency P95 {p95['first']:.0f} ms in the first replay, {p95['last']:.0f} ms in the last,"
        f" {p95['most']:.0f} ms at most\nlag at the end {result['lag_at_the_end']:.0f} records"
    )
    return "\n".join([head, *result["lines"]])


if __name__ == "__main__":
    sys.exit(main())
