"""Whether a lane makes progress, and if not, why: what /ready and the metrics show of it.

Invariant: only taking the partition over again ends ``STOPPED``, whatever fails meanwhile.
"""

from dataclasses import dataclass
from enum import Enum, auto


class HealthKind(Enum):
    """What to expect of a lane."""

    WORKING = auto()
    FAILING = auto()
    """It keeps failing, or waits for something outside; it goes on by itself when that passes."""
    STOPPED = auto()
    """It stands still until a person has acted."""


@dataclass(frozen=True, slots=True)
class Health:
    """``reason`` is a sentence; empty where the lane works."""

    kind: HealthKind
    reason: str = ""

    def failing(self, reason: str) -> "Health":
        """After a failure, which doesn't hide why the lane stopped."""
        return self if self.kind is HealthKind.STOPPED else Health(HealthKind.FAILING, reason)

    def taken_over(self) -> "Health":
        """After the lane has loaded; it has to work for a while before it counts as working."""
        return WORKING if self.kind is HealthKind.STOPPED else self


WORKING = Health(HealthKind.WORKING)
