"""Six assertions on a node's metrics, as ``sluice check`` makes them.

Pure: takes the text of a scrape, returns findings. Invariant: there is a finding for each
assertion, whatever the text holds, and one that can't be evaluated does not pass.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

CONTRACT_METRICS = (
    "export_requests_total",
    "export_latency_ms",
    "export_bytes_total",
    "export_concurrent_running",
    "export_queue_depth",
    "export_fail_total",
    "export_memory_bytes",
    "export_throughput_ops_per_sec",
    "export_success_rate",
)
"""The contract's nine metrics. Not taken from the catalogue, which is what is being checked."""

# The contract's bounds.
_MOST_LATENCY_MS = 10_000.0
_LEAST_SUCCESS_PERCENT = 95.0
_MOST_RUNNING = 5.0
_MOST_QUEUED = 100.0


@dataclass(frozen=True, slots=True)
class Finding:
    """An assertion, whether it holds, and the evidence."""

    name: str
    holds: bool
    found: str

    def __str__(self) -> str:
        return f"{'ok' if self.holds else 'FAIL':<5}{self.name}: {self.found}"


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: which metrics are declared, and values by sample name."""

    declared: frozenset[str]
    values: dict[str, list[tuple[dict[str, str], float]]]

    def of(self, name: str) -> list[float]:
        """The values of a metric's series."""
        return [value for _, value in self.values.get(name, ())]


def read_scrape(text: str) -> Scrape:
    """Parse Prometheus text; OpenMetrics works too.

    Raises:
        ValueError: it is neither.
    """
    declared: set[str] = set()
    values: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        # The parser takes the suffix off declared counters only.
        declared.add(family.name.removesuffix("_total"))
        for sample in family.samples:
            values[sample.name].append((sample.labels, float(sample.value)))
    return Scrape(frozenset(declared), dict(values))


def assess(scrape: Scrape) -> list[Finding]:
    """The six, in the contract's order."""
    return [
        _present(scrape),
        _latency(scrape),
        _series(
            scrape,
            "export_success_rate",
            min,
            lambda it: it >= _LEAST_SUCCESS_PERCENT,
            "success >= 95 %",
        ),
        _series(
            scrape, "export_concurrent_running", sum, lambda it: it <= _MOST_RUNNING, "running <= 5"
        ),
        _series(scrape, "export_queue_depth", sum, lambda it: it <= _MOST_QUEUED, "queue <= 100"),
        _series(scrape, "export_bytes_total", sum, lambda it: it > 0, "bytes > 0"),
    ]


def _present(scrape: Scrape) -> Finding:
    missing = [
        name for name in CONTRACT_METRICS if name.removesuffix("_total") not in scrape.declared
    ]
    there = f"{len(CONTRACT_METRICS) - len(missing)}/{len(CONTRACT_METRICS)} present"
    found = f"{there}; missing: {', '.join(missing)}" if missing else there
    return Finding("metrics", not missing, found)


def _latency(scrape: Scrape) -> Finding:
    name = "p95 < 10 s"
    milliseconds = quantile(0.95, scrape.values.get("export_latency_ms_bucket", ()))
    if milliseconds is None:
        # A node that has no export yet is healthy.
        return Finding(name, True, "no export has completed yet")
    return Finding(name, milliseconds < _MOST_LATENCY_MS, f"{milliseconds / 1000:.3f} s")


def _series(
    scrape: Scrape,
    metric: str,
    join: Callable[[Iterable[float]], float],
    holds: Callable[[float], bool],
    name: str,
) -> Finding:
    series = scrape.of(metric)
    if not series or any(map(math.isnan, series)):
        return Finding(name, False, f"{metric} has no value")
    joined = join(series)
    return Finding(name, holds(joined), f"{joined:.15g}")


def quantile(wanted: float, buckets: Iterable[tuple[dict[str, str], float]]) -> float | None:
    """A quantile of a histogram over all its labels, as PromQL's ``histogram_quantile`` has it.

    ``buckets`` are the labels and counts of its ``_bucket`` series. Interpolated within a bucket;
    beyond the last bound it is that bound. None where there are no samples.
    """
    counts: dict[float, float] = defaultdict(float)
    for labels, count in buckets:
        counts[float(labels.get("le", "nan"))] += count
    bounds = sorted(bound for bound in counts if not math.isnan(bound))
    total = max((counts[bound] for bound in bounds), default=0.0)
    if not total > 0:
        return None
    rank, below, lower = wanted * total, 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= rank:
            if math.isinf(bound):
                break
            return lower + (bound - lower) * (rank - below) / (counts[bound] - below)
        below, lower = max(below, counts[bound]), bound
    return lower
