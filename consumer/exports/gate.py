"""Who may have a message in hand beside whom: any number at a time, or one that is suspect, alone.

When a node dies, each message that it has in hand is under suspicion. One that is so already is
handled alone, so that the next death says whether it was this one. Threads wait here within their
turns, between two messages. Invariant: nobody waits for longer than ``MOST_SECONDS``: what hangs
keeps nobody else from working.
"""

import time
from collections.abc import Callable
from threading import Condition, Lock

MOST_SECONDS = 2.0


class Gate:
    """One node's."""

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self._most_seconds = most_seconds
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._inside = 0
        self._alone = 0
        self.wanted = 0
        """How many want to be alone; who is inside should leave, and enter again."""

    def enter(self) -> None:
        """Go in beside others, unless one is alone there, or wants to be."""
        with self._lock:  # less than the condition's own way in
            if self._alone or self.wanted:
                self._wait_until(lambda: not self._alone and not self.wanted)
            self._inside += 1

    def leave(self) -> None:
        """Go out, after ``enter``."""
        with self._lock:
            self._inside -= 1
            if self.wanted:
                self._changed.notify_all()

    def enter_alone(self) -> None:
        """Go in when nobody is inside."""
        with self._lock:
            self.wanted += 1
            self._wait_until(lambda: not self._alone and not self._inside)
            self.wanted -= 1
            self._alone += 1

    def leave_alone(self) -> None:
        """Go out, after ``enter_alone``."""
        with self._lock:
            self._alone -= 1
            self._changed.notify_all()

    def _wait_until(self, free: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._most_seconds
        while not free() and (left := deadline - time.monotonic()) > 0:
            self._changed.wait(left)
