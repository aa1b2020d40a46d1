"""What a node counts and times, and how it is shown."""

from consumer.metrics.catalogue import Dropped
from consumer.metrics.recorder import Metrics

__all__ = ["Dropped", "Metrics"]
