"""How far back to read a topic for its last messages, without reading all of it.

Offsets have gaps: transactions leave markers, and retention removes records; and one partition may
have all recent messages. So reading goes back step by step, twice as far each time, in those
partitions that may still hold one of the last. Pure. Invariant: each offset is in at most one span.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_FIRST_SHARE = 2  # a transaction of one event is two offsets


@dataclass(slots=True)
class _Reached:
    start: int
    step: int
    oldest_ms: int | None = None


class Tail:
    """The spans to read; ``starts`` and ``ends`` are each partition's offsets.

    The last ``most`` messages of all partitions together are wanted.
    """

    def __init__(self, starts: Mapping[int, int], ends: Mapping[int, int], most: int) -> None:
        self._starts = starts
        step = max(1, _FIRST_SHARE * most // max(1, len(ends)))
        self._reached = {one: _Reached(end, step) for one, end in ends.items()}

    def saw(self, partition: int, published_at_ms: int) -> None:
        """Note a message that was read."""
        reached = self._reached[partition]
        if reached.oldest_ms is None or published_at_ms < reached.oldest_ms:
            reached.oldest_ms = published_at_ms

    def further(self, oldest_ms: int | None) -> dict[int, range]:
        """The offsets to read next, by partition; empty once no more are needed.

        ``oldest_ms`` is the time of the oldest message kept; None if there is room for more.
        """
        spans: dict[int, range] = {}
        for one, reached in self._reached.items():
            if reached.start <= self._starts[one] or self._is_enough(reached, oldest_ms):
                continue
            start = max(self._starts[one], reached.start - reached.step)
            spans[one] = range(start, reached.start)
            reached.start, reached.step = start, reached.step * 2
        return spans

    @staticmethod
    def _is_enough(reached: _Reached, oldest_ms: int | None) -> bool:
        # Strictly older: messages of the same millisecond may still be needed.
        return (
            oldest_ms is not None
            and reached.oldest_ms is not None
            and reached.oldest_ms < oldest_ms
        )
