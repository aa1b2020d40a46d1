"""``python -m bench.watched_node FILE``: ``sluice serve`` that notes how late its event loop was.

The node's own watch counts what lasts 50 ms and more; here it looks every 5 ms. Each delay of 5 ms
and more is written to FILE when the node ends: a JSON list of pairs, the time of ``time.monotonic``
at its end and its seconds. Invariant: the node does all that it does without.
"""

import json
import sys
import time
from pathlib import Path

from consumer.metrics import Metrics
from sluice import loop_watch
from sluice.commands.serve import serve

_BEAT_SECONDS = 0.005


def main(path: Path) -> int:
    """Run the node; its exit code."""
    stalls: list[tuple[float, float]] = []
    counted = Metrics.loop_stalled

    def noted(metrics: Metrics, seconds: float) -> None:
        stalls.append((time.monotonic(), seconds))
        if seconds >= least_counted:
            counted(metrics, seconds)

    least_counted = loop_watch.STALL_SECONDS
    loop_watch.BEAT_SECONDS = loop_watch.STALL_SECONDS = _BEAT_SECONDS
    Metrics.loop_stalled = noted  # type: ignore[method-assign,assignment]
    try:
        return serve()
    finally:
        path.write_text(json.dumps(stalls), encoding="utf-8")


def longest(path: Path, begun: float, ended: float) -> float:
    """Seconds of the longest delay between two times of ``time.monotonic``; 0: below 5 ms."""
    stalls = json.loads(path.read_text("utf-8"))
    return max((seconds for at, seconds in stalls if begun <= at <= ended), default=0.0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
