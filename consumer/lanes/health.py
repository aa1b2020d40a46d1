"""Whether a lane makes progress, and if not, why; for /ready and the metrics.

Invariant: only a new takeover of the partition ends ``STOPPED``, whatever fails meanwhile.
"""

from dataclasses import dataclass
from enum import Enum, auto


class HealthKind(Enum):
    """What a lane will do next by itself."""

    WORKING = auto()
    FAILING = auto()
    """It keeps failing or waits for something outside; it recovers by itself."""
    STOPPED = auto()
    """It has stopped until a person acts."""


@dataclass(frozen=True, slots=True)
class Health:
    """``reason`` is a sentence; empty if the lane works."""

    kind: HealthKind
    reason: str = ""

    def failing(self, reason: str) -> "Health":
        """The state after a failure; a lane that had stopped keeps that reason."""
        return self if self.kind is HealthKind.STOPPED else Health(HealthKind.FAILING, reason)

    def taken_over(self) -> "Health":
        """The state after loading; it counts as working only after it has worked for a while."""
        return WORKING if self.kind is HealthKind.STOPPED else self


WORKING = Health(HealthKind.WORKING)
