"""What the acceptance asserts: each assertion fails alone when what it is about is not so."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from acceptance.assertions import Facts, assertions, p95
from acceptance.evidence_files import findings_table, hashed_files
from acceptance.phases import (
    BACKLOG,
    BATCH,
    CSV_10K,
    CSV_50K,
    EXPORTS,
    PDF_10K,
    Phase,
    PhaseEnding,
)
from acceptance.sampling import Sample, per_second
from schemas.completions import decode_event
from sluice.metric_assertions import CONTRACT_METRICS, read_scrape

SAMPLE = Sample(0.0, 80_000_000, 39, 7, running=5, queued=7, open_exports=12, lag_records=3,
                succeeded=0)  # fmt: skip
PHASES = [Phase(name, 10.0 * n, 5.0, 0, 20_000_000) for n, name in enumerate(EXPORTS)]
_COMPLETED: dict[str, Any] = {"location": "a.csv", "sha256": "0" * 64, "bytes": 1, "pages": None}
_FAILED: dict[str, Any] = {"type": "export.failed", "reason": "timed_out", "message": "idle"}


def ending(
    phase: str, number: int, duration_ms: int = 500, *, completed: bool = True
) -> PhaseEnding:
    event = {
        "type": "export.completed",
        "export_id": f"{phase}-{number}".replace(" ", "-").replace(",", ""),
        "format": "csv",
        "user": "seed",
        "rows": 10,
        "requested_at": "2026-11-21T10:00:00.000Z",
        "started_at": None,
        "completed_at": "2026-11-21T10:00:01.000Z",
        "duration_ms": duration_ms,
        "source": {"topic": "export.requests", "partition": 0, "offset": 0},
    }
    event |= _COMPLETED if completed else _FAILED
    return PhaseEnding(phase, 1.0, decode_event(json.dumps(event).encode()))


ENDINGS = [ending(phase, n) for phase, count in EXPORTS.items() for n in range(count)]


def metrics(left_out: str = "", success: float = 100, throughput: float = 0.5) -> str:
    """A scrape with the nine, but for one, if so wanted."""
    values = {"export_success_rate": success, "export_throughput_ops_per_sec": throughput}
    names = [name for name in CONTRACT_METRICS if name != left_out]
    return "".join(f"# TYPE {name} gauge\n{name} {values.get(name, 1)}\n" for name in names)


GOOD = Facts(
    phases=PHASES,
    endings=ENDINGS,
    samples=[SAMPLE],
    scrape=read_scrape(metrics()),
    check_code=0,
    verify_code=0,
    verified=len(ENDINGS),
    hashes_agree=True,
)


def failed(facts: Facts) -> list[str]:
    return [one.name for one in assertions(facts) if not one.holds]


def slow(phase: str, count: int, duration_ms: int) -> list[PhaseEnding]:
    """The endings, of which the last ones of a phase took so long."""
    others = [one for one in ENDINGS if one.phase != phase]
    ours = [one for one in ENDINGS if one.phase == phase]
    return others + ours[:-count] + [ending(phase, n, duration_ms) for n in range(-count, 0)]


def phases_with(name: str, **fields: Any) -> list[Phase]:
    return [replace(one, **fields) if one.name == name else one for one in PHASES]


def test_a_good_run_passes() -> None:
    assert failed(GOOD) == []
    assert len(assertions(GOOD)) == 11


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"endings": slow(CSV_10K, 2, 10_000)}, "CSV of 10,000 rows: P95 < 10 s"),
        ({"endings": slow(CSV_50K, 1, 30_000)}, "CSV of 50,000 rows: P95 < 30 s"),
        (
            {"phases": phases_with(BATCH, seconds=30.0)},
            "`sluice seed --batch`, five exports: < 30 s",
        ),
        ({"phases": phases_with(BATCH, code=1)}, "`sluice seed --batch`, five exports: < 30 s"),
        (
            {"scrape": read_scrape(metrics(left_out="export_queue_depth"))},
            "all nine metrics are there",
        ),
        ({"scrape": read_scrape(metrics(success=94.9))}, "success >= 95 %"),
        ({"samples": [SAMPLE, replace(SAMPLE, running=6)]}, "running at a time <= 5"),
        ({"samples": [replace(SAMPLE, running=0)]}, "running at a time <= 5"),
        ({"phases": phases_with(PDF_10K, growth_bytes=100_000_000)}, "memory < 100 MB an export"),
        ({"scrape": read_scrape(metrics(throughput=0.049))}, "throughput >= 0.05 exports/s"),
        ({"phases": phases_with(BACKLOG, seconds=2_000.0)}, "throughput >= 0.05 exports/s"),
        ({"endings": [*ENDINGS, ENDINGS[0]], "verified": 48}, "each export ended once"),
        ({"check_code": 1}, "`sluice check` passes on the node"),
        ({"verify_code": 1}, "`sluice verify` passes on every file"),
        ({"verified": 46}, "`sluice verify` passes on every file"),
        ({"hashes_agree": False}, "`sluice verify` passes on every file"),
    ],
)
def test_each_assertion_fails_alone(changed: dict[str, Any], name: str) -> None:
    assert failed(replace(GOOD, **changed)) == [name]


def test_the_slowest_of_twenty_may_be_slower() -> None:
    assert failed(replace(GOOD, endings=slow(CSV_10K, 1, 60_000))) == []


def test_nothing_seen_passes_nothing_that_needs_it() -> None:
    names = failed(replace(GOOD, endings=[], samples=[], scrape=read_scrape(""), verified=0))
    assert len(names) == 9  # memory and `sluice check` are known


def test_a_failed_export_is_no_success() -> None:
    bad = [ending(CSV_10K, n, completed=False) for n in range(3)]
    facts = replace(GOOD, endings=bad + ENDINGS[3:], verified=len(ENDINGS) - 3)
    assert failed(facts) == ["success >= 95 %"]


@pytest.mark.parametrize(
    ("values", "found"), [([1.0], 1.0), (list(range(1, 21)), 19), (list(range(1, 101)), 95)]
)
def test_p95_is_by_nearest_rank(values: Sequence[float], found: float) -> None:
    assert p95(values) == found


def test_the_table_says_pass_or_fail() -> None:
    lines = findings_table(assertions(replace(GOOD, check_code=1))).splitlines()
    assert sum(" pass |" in line for line in lines) == 10
    assert sum(" **FAIL** |" in line for line in lines) == 1


def test_files_are_named_without_their_directory(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "a.manifest.json").write_bytes(b"{}")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert hashed_files(tmp_path) == {"a.csv": empty}


def test_rates_are_of_what_was_done_between_samples() -> None:
    samples = [replace(SAMPLE, at_seconds=2.0 * n, succeeded=12.0 * n) for n in range(11)]
    assert per_second(samples, 10) == [(5.0, 6.0), (15.0, 6.0)]
