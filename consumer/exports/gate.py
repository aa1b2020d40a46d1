"""Lets any number of threads handle messages at a time, or a single one with a suspect.

When a node dies, every message it was handling becomes a suspect. A message that is already a
suspect is handled alone, so that the next death shows whether it is the cause. Threads wait here
within their turns, between two messages. Invariant: a thread that enters alone finds nobody inside,
and another joins it only after waiting for ``MOST_SECONDS``; no thread waits longer, however many
suspects follow each other, because a hanging message must not keep others from working.
"""

import time
from collections.abc import Callable
from threading import Condition, Lock

MOST_SECONDS = 5.0
"""Longer than any message takes between two storage calls: a turn, plus a row of 16 MiB."""


class Gate:
    """The gate of one node."""

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self._most_seconds = most_seconds
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._inside = 0
        self._alone = False
        self._kept_until = 0.0
        self.wanted = 0
        """How many threads want to be alone; those inside should leave and enter again."""

    def enter(self) -> None:
        """Enter beside others; first wait, for a limited time, for those that are to be alone."""
        with self._lock:  # cheaper than entering the condition
            if self._alone or self.wanted:
                self._wait_until(lambda: not self._alone and not self.wanted)
            self._inside += 1

    def leave(self) -> None:
        """Leave after ``enter``, or after ``enter_alone`` returned False."""
        with self._lock:
            self._inside -= 1
            if self.wanted:
                self._changed.notify_all()

    def enter_alone(self) -> bool:
        """Enter once nobody is inside; False if that took too long and it entered beside others."""
        with self._lock:
            self.wanted += 1
            self._keep()
            is_alone = self._wait_until(lambda: not self._alone and not self._inside)
            self.wanted -= 1
            if is_alone:
                self._alone = True
                # Set it again: from now on the message itself takes the time.
                self._keep()
            else:
                # Enter beside others, then; waiting threads see that nobody wants to be alone.
                self._inside += 1
                self._changed.notify_all()
            return is_alone

    def leave_alone(self) -> None:
        """Leave after ``enter_alone`` returned True."""
        with self._lock:
            self._alone = False
            self._changed.notify_all()

    def _keep(self) -> None:
        self._kept_until = time.monotonic() + self._most_seconds

    def _wait_until(self, free: Callable[[], bool]) -> bool:
        own_until = time.monotonic() + self._most_seconds  # every suspect renews ``_kept_until``
        while not (is_free := free()):
            left = min(self._kept_until, own_until) - time.monotonic()
            if left <= 0:
                break
            self._changed.wait(left)
        return is_free
