"""Counting over the last so many seconds. Pure: the clock is given."""

from collections import deque
from collections.abc import Callable


class SlidingCount:
    """How many events fell into the last ``window_seconds``, to the second.

    Memory is bounded by the window's seconds, however many events there are: an event is counted
    in the second it fell into and forgotten with it, up to one second early.
    """

    def __init__(self, window_seconds: int, clock: Callable[[], float]) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._seconds: deque[tuple[int, int]] = deque()  # (second, events in it), ascending

    def add(self) -> None:
        """Count one event, now."""
        now = self._forget()
        events = 1
        if self._seconds and self._seconds[-1][0] == now:
            events += self._seconds.pop()[1]
        self._seconds.append((now, events))

    def total(self) -> int:
        """Events in the window that ends now."""
        self._forget()
        return sum(events for _, events in self._seconds)

    def _forget(self) -> int:
        now = int(self._clock())
        while self._seconds and self._seconds[0][0] <= now - self._window_seconds:
            self._seconds.popleft()
        return now
