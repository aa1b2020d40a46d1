"""What the acceptance asserts, on facts of a run. Pure.

Invariant: there is a finding for each assertion, and one that nothing was seen for fails.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from acceptance.phases import (
    BATCH,
    CSV_10K,
    CSV_50K,
    EXPECTED,
    Phase,
    PhaseEnding,
)
from acceptance.sampling import Sample
from producer.replay.pacing import nearest_rank
from sluice.metric_assertions import Finding, Scrape, assess

_MEGABYTE = 1_000_000
_MOST_RUNNING = 5
_MOST_GROWTH_BYTES = 100 * _MEGABYTE
_LEAST_SUCCESS_PERCENT = 95.0
_LEAST_PER_SECOND = 0.05


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of a run. ``check_code`` and ``verify_code`` are their exit codes."""

    phases: Sequence[Phase]
    endings: Sequence[PhaseEnding]
    samples: Sequence[Sample]
    scrape: Scrape
    check_code: int
    verify_code: int
    verified: int
    hashes_agree: bool
    """Whether the files that are there, hashed again, are those of the events and no others."""

    @property
    def seconds(self) -> float:
        """From the beginning of the first phase to the end of the last one."""
        last = self.phases[-1]
        return last.begun_seconds + last.seconds - self.phases[0].begun_seconds


def assertions(facts: Facts) -> list[Finding]:
    """All of them, in the order in which they are shown."""
    present = assess(facts.scrape)[0]
    return [
        _latency("CSV of 10,000 rows: P95 < 10 s", facts, CSV_10K, 10),
        _latency("CSV of 50,000 rows: P95 < 30 s", facts, CSV_50K, 30),
        _batch(facts),
        Finding("all nine metrics are there", present.holds, present.found),
        _success(facts),
        _running(facts),
        _memory(facts),
        _throughput(facts),
        _ended_once(facts),
        Finding(
            "`sluice check` passes on the node", facts.check_code == 0, _exit(facts.check_code)
        ),
        _verified(facts),
    ]


def durations_seconds(endings: Iterable[PhaseEnding], phase: str) -> list[float]:
    """From request to completion, of the completed exports of a phase, ascending."""
    ours = (one for one in endings if one.phase == phase and one.completed)
    return sorted(one.event.duration_ms / 1000 for one in ours)


def p95(ascending: Sequence[float]) -> float:
    """By nearest rank."""
    return ascending[nearest_rank(95, len(ascending)) - 1]


def _latency(name: str, facts: Facts, phase: str, most_seconds: float) -> Finding:
    durations = durations_seconds(facts.endings, phase)
    if not durations:
        return Finding(name, False, "none completed")
    found = f"{p95(durations):.3f} s, the slowest of {len(durations)} {durations[-1]:.3f} s"
    return Finding(name, p95(durations) < most_seconds, found)


def _batch(facts: Facts) -> Finding:
    phase = next(one for one in facts.phases if one.name == BATCH)
    completed = len(durations_seconds(facts.endings, BATCH))
    found = f"{phase.seconds:.2f} s, the whole command; {completed} completed"
    holds = phase.code == 0 and completed == 5 and phase.seconds < 30
    return Finding("`sluice seed --batch`, five exports: < 30 s", holds, found)


def _success(facts: Facts) -> Finding:
    """By the events, and by the metric of each format, of which the least counts."""
    completed = sum(one.completed for one in facts.endings)
    percent = 100 * completed / len(facts.endings) if facts.endings else 0.0
    metric = min(facts.scrape.of("export_success_rate"), default=0.0)
    holds = min(percent, metric) >= _LEAST_SUCCESS_PERCENT
    return Finding("success >= 95 %", holds, f"{percent:.1f} %; export_success_rate {metric:.1f}")


def _running(facts: Facts) -> Finding:
    most = max((one.running for one in facts.samples), default=0.0)
    waiting = max((one.queued for one in facts.samples), default=0.0)
    found = f"{most:.0f} at most in {len(facts.samples)} samples, {waiting:.0f} waited at most"
    return Finding("running at a time <= 5", 0 < most <= _MOST_RUNNING, found)


def _memory(facts: Facts) -> Finding:
    worst = max(facts.phases, key=lambda one: one.growth_bytes)
    found = f"{worst.growth_bytes / _MEGABYTE:.1f} MB over the idle node at most ({worst.name})"
    return Finding("memory < 100 MB an export", worst.growth_bytes < _MOST_GROWTH_BYTES, found)


def _throughput(facts: Facts) -> Finding:
    """Of the whole run, its pauses and starts included, and by the metric at its end."""
    rate = sum(one.completed for one in facts.endings) / facts.seconds
    metric = sum(facts.scrape.of("export_throughput_ops_per_sec"))
    holds = min(rate, metric) >= _LEAST_PER_SECOND
    found = f"{rate:.2f} exports/s over {facts.seconds:.0f} s; the metric {metric:.2f}"
    return Finding("throughput >= 0.05 exports/s", holds, found)


def _ended_once(facts: Facts) -> Finding:
    ids = [one.event.export_id for one in facts.endings]
    holds = len(ids) == len(set(ids)) == EXPECTED
    found = f"{len(ids)} events of {len(set(ids))} exports, {EXPECTED} requested"
    return Finding("each export ended once", holds, found)


def _verified(facts: Facts) -> Finding:
    completed = sum(one.completed for one in facts.endings)
    agree = facts.verify_code == 0 and facts.hashes_agree
    found = f"{facts.verified} files; {_exit(facts.verify_code)}"
    found += "" if facts.hashes_agree else "; not the files of the events"
    return Finding(
        "`sluice verify` passes on every file", agree and facts.verified == completed > 0, found
    )


def _exit(code: int) -> str:
    return f"exit {code}"
