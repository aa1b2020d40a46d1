"""Whether a series stays level over time. Pure.

The first fifth is warm-up: caches fill, threads start, the allocator finds its size. Of the rest,
the first quarter is held against the last one. Invariant: a series that rises steadily by more than
it may is never called flat, however it jitters about its course.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_WARM_UP = 0.2
_END = 0.2


@dataclass(frozen=True, slots=True)
class Course:
    """A series after its warm-up: medians of its beginning and its end, least, most, slope."""

    name: str
    unit: str
    begin: float
    end: float
    least: float
    most: float
    per_hour: float
    """Slope of the least-squares line."""
    most_rise: float

    @property
    def flat(self) -> bool:
        """Whether its end is no higher above its beginning than it may be."""
        return self.end - self.begin <= self.most_rise

    def __str__(self) -> str:
        verdict = "ok" if self.flat else "FAIL"
        figures = f"{self.begin:.1f} at first, {self.end:.1f} at last"
        between = f"{self.least:.1f} to {self.most:.1f} {self.unit}".rstrip()
        return f"{verdict:<5}{self.name}: {figures}, {between}, {self.per_hour:+.1f} an hour"


def course(
    name: str,
    unit: str,
    points: Sequence[tuple[float, float]],
    most_rise: float,
) -> Course:
    """What became of a series of seconds and values; ``most_rise`` is in its unit.

    Raises:
        ValueError: it has fewer than ten points, too few to judge.
    """
    if len(points) < 10:
        raise ValueError(f"{name}: {len(points)} samples are too few")
    kept = points[int(len(points) * _WARM_UP) :]
    values = [value for _, value in kept]
    tail = max(1, int(len(points) * _END))
    slope = statistics.linear_regression([at for at, _ in kept], values).slope
    return Course(
        name=name,
        unit=unit,
        begin=statistics.median(values[:tail]),
        end=statistics.median(values[-tail:]),
        least=min(values),
        most=max(values),
        per_hour=slope * 3600,
        most_rise=most_rise,
    )
