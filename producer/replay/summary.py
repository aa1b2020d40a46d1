"""The figures of a replay, as text and as JSON. Pure.

Invariant: each export that was sent is completed, failed, cancelled or unfinished.
"""

from dataclasses import asdict, dataclass

import orjson

from producer.replay.pacing import Percentiles
from producer.replay.survey import LeftOut, in_words


@dataclass(frozen=True, slots=True)
class Summary:
    """The outcome of a replay.

    ``sent`` are ``recorded`` exports times ``copies``. ``failed`` counts by reason; ``unfinished``
    had not ended when the timeout was over. ``seconds`` runs from the first request to the last
    event, ``achieved_per_second`` is of completed exports over it; ``offered_per_second`` is the
    schedule's, None where all were due at once. ``latency`` is of completed exports, from request
    to event; ``lateness`` of all, from when a request was due to when it was sent; in seconds.
    """

    recorded: int
    copies: int
    sent: int
    completed: int
    failed: dict[str, int]
    cancelled: int
    unfinished: int
    seconds: float
    offered_per_second: float | None
    achieved_per_second: float | None
    latency: Percentiles | None
    lateness: Percentiles | None
    left_out: LeftOut

    @property
    def good(self) -> bool:
        """Whether every export completed."""
        return self.completed == self.sent

    def as_json(self) -> bytes:
        """One object; durations are in milliseconds and named so."""
        fields = asdict(self)
        for name in ("latency", "lateness"):
            found = fields.pop(name)
            fields[f"{name}_ms"] = found and {k: round(v * 1000, 3) for k, v in found.items()}
        for name in ("seconds", "offered_per_second", "achieved_per_second"):
            fields[name] = fields[name] and round(fields[name], 3)
        return orjson.dumps(fields)

    def as_text(self) -> str:
        """A few lines, each with a word in front."""
        failures = self.failed | {"cancelled": self.cancelled, "unfinished": self.unfinished}
        lines = {
            "replayed": f"{self.sent} exports: {self.recorded} recorded, {_times(self.copies)}",
            "offered": _rate(self.offered_per_second),
            "achieved": f"{_rate(self.achieved_per_second)}, {self.completed} completed"
            f" in {self.seconds:.2f} s",
            "latency": f"{_durations(self.latency)} (from request to event)",
            "lateness": f"{_durations(self.lateness)} (of requests, after their time)",
            "failures": in_words(failures),
            "left out": str(self.left_out),
        }
        return "\n".join(f"{word:<10}{text}" for word, text in lines.items())


def _times(copies: int) -> str:
    return "once each" if copies == 1 else f"{copies} times each"


def _rate(per_second: float | None) -> str:
    return "all at once" if per_second is None else f"{per_second:.2f} exports/s"


def _durations(found: Percentiles | None) -> str:
    if found is None:
        return "none"
    return ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in asdict(found).items())
