"""Which of a partition's exports get a second attempt after a bug in our code. Pure.

A second attempt is a reload of the lane, which remakes all open exports from their first batches;
this object outlives it. Invariant: a request gets one second attempt; a lane starts at most one a
minute, and only if at most ``MOST_READ_AGAIN`` messages have to be read again, so that endless
failures don't keep the partition's other exports from ending.
"""

import math
from collections.abc import Callable

INTERVAL_SECONDS = 60.0
MOST_READ_AGAIN = 100
"""With messages of the largest size, half a minute of work: less than the interval."""


class SecondAttempts:
    """Requests are identified by offset; times are monotonic seconds."""

    def __init__(self) -> None:
        self._begun_requests: set[int] = set()
        self._last = -math.inf

    def begin(self, request: int, read_again: int, now: float) -> bool:
        """An export broke our code; returns whether to reload the partition for it."""
        if request in self._begun_requests or read_again > MOST_READ_AGAIN:
            return False
        if now - self._last < INTERVAL_SECONDS:
            return False
        self._begun_requests.add(request)
        self._last = now
        return True

    def has_begun(self, request: int) -> bool:
        """Whether this request is in its second attempt."""
        return request in self._begun_requests

    def keep(self, will_read: Callable[[int], bool]) -> None:
        """Forget the requests that will never be read again."""
        self._begun_requests = {request for request in self._begun_requests if will_read(request)}
