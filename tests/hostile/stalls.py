"""How long a node's event loop stood still meanwhile, by the node's own count.

The gauge has the longest since the node started, the histogram how many of which length, the log a
line for most of 250 ms and more, with the CPU time of the process meanwhile: where it had little,
the machine was busy. Together they tell the longest since an earlier look, or an upper bound.
"""

from dataclasses import dataclass

import httpx

from sluice.metric_assertions import read_scrape
from tests.support.clients import http_client
from tests.support.nodes import NodeProcess

_GAUGE = "sluice_event_loop_longest_stall_seconds"
_BUCKETS = "sluice_event_loop_stall_seconds_bucket"
_LINE = "event loop stood still"
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Stalls:
    """A node's stalls so far: the longest, how many by upper bound, and those that it logged."""

    longest_seconds: float
    counts: dict[float, float]
    logged_seconds: list[float]

    def longest_since(self, earlier: "Stalls") -> float:
        """Of those that came after an earlier look, in seconds; 0 where none of 50 ms came.

        Where the log has the stalls, what counts of each is the time that the process computed.
        """
        if logged := self.logged_seconds[len(earlier.logged_seconds) :]:
            return max(logged)
        if self.longest_seconds > earlier.longest_seconds:
            return self.longest_seconds
        bounds = sorted(self.counts)
        below = [self.counts[bound] - earlier.counts.get(bound, 0) for bound in bounds]
        total = below[-1] if below else 0
        # Buckets are cumulative: the first that has them all bounds the longest.
        bound = next((one for one, count in zip(bounds, below, strict=True) if count == total), 0.0)
        return min(bound, self.longest_seconds) if total else 0.0


async def stalls_of(node: NodeProcess) -> Stalls | None:
    """What the node says now; None if it doesn't answer."""
    try:
        async with http_client(timeout=_ANSWER_SECONDS) as client:
            answer = await client.get(f"{node.url}/metrics")
    except httpx.HTTPError:
        return None
    scrape = read_scrape(answer.text)
    counts = {float(labels["le"]): value for labels, value in scrape.values[_BUCKETS]}
    lines = [line for line in node.lines() if line.get("event") == _LINE]
    logged = [min(float(line["seconds"]), float(line["cpu_seconds"])) for line in lines]
    return Stalls(sum(scrape.of(_GAUGE)), counts, logged)
