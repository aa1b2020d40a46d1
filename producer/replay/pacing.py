"""When replayed messages are due, and statistics of the schedule and its outcome. Pure.

Open loop: the schedule depends only on the recording, never on how fast Sluice is. A load that
waits for the system under test hides how slow it is. Times are seconds from the start of the
replay. Invariant: due times of requests never go down.
"""

import math
from dataclasses import dataclass
from typing import Protocol


class ReplayPace(Protocol):
    """When to send. ``recorded_seconds`` counts from the first recorded request."""

    def request_due(self, exports_before: int, recorded_seconds: float) -> float:
        """When a request is due that follows this many exports, copies included."""

    def batch_due(self, recorded_seconds: float) -> float:
        """When a batch is due; in any case it follows everything recorded before it."""


@dataclass(frozen=True, slots=True)
class AtSpeed:
    """Every message at its recorded time, ``factor`` times as fast."""

    factor: float = 1.0

    def request_due(self, _exports_before: int, recorded_seconds: float) -> float:
        """At its recorded time."""
        return recorded_seconds / self.factor

    def batch_due(self, recorded_seconds: float) -> float:
        """At its recorded time."""
        return recorded_seconds / self.factor


@dataclass(frozen=True, slots=True)
class AtRate:
    """Requests evenly, ``exports_per_second`` with all copies; batches in between at once."""

    exports_per_second: float

    def request_due(self, exports_before: int, _recorded_seconds: float) -> float:
        """After as many seconds as the rate allows for the exports before."""
        return exports_before / self.exports_per_second

    def batch_due(self, _recorded_seconds: float) -> float:
        """At once."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of durations, in seconds."""

    p50: float
    p95: float
    p99: float
    max: float


def nearest_rank(percent: float, count: int) -> int:
    """Which of ``count`` values in ascending order, counted from 1, is the percentile.

    The nearest-rank definition: the least value that at least so many percent don't exceed.
    """
    return max(1, math.ceil(count * percent / 100))


def offered_rate(exports: int, together: int, last_due_seconds: float) -> float | None:
    """The exports per second of a schedule; None if all are due at once.

    ``together`` of them are due at each time: the last ones end the span, they don't fill it.
    """
    return (exports - together) / last_due_seconds if last_due_seconds > 0 else None
