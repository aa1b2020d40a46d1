"""Which exports that broke our own code are attempted once more; of one partition. Pure.

An attempt is a reload of the lane, which this outlives: all that is open is made again from its
first batch. Invariant: a request gets one second attempt; a lane begins one a minute at most, and
only where at most ``MOST_READ_AGAIN`` messages are read again, so that faults without end keep no
other export of the partition from its end.
"""

import math
from collections.abc import Callable

INTERVAL_SECONDS = 60.0
MOST_READ_AGAIN = 100
"""At the largest size of a message that is half a minute of work: less than the interval."""


class SecondAttempts:
    """See the module. Requests are known by their offsets, times are monotonic seconds."""

    def __init__(self) -> None:
        self._begun_requests: set[int] = set()
        self._last = -math.inf

    def begin(self, request: int, read_again: int, now: float) -> bool:
        """An export broke our code; whether the partition is loaded again for it."""
        if request in self._begun_requests or read_again > MOST_READ_AGAIN:
            return False
        if now - self._last < INTERVAL_SECONDS:
            return False
        self._begun_requests.add(request)
        self._last = now
        return True

    def has_begun(self, request: int) -> bool:
        """Whether what is made of this request is its second attempt."""
        return request in self._begun_requests

    def keep(self, will_read: Callable[[int], bool]) -> None:
        """Forget the requests that no owner of the partition reads again."""
        self._begun_requests = {request for request in self._begun_requests if will_read(request)}
