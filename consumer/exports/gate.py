"""Which threads have a message in hand at a time: any number, or a single one, with a suspect.

When a node dies, each message that it has in hand is under suspicion. One that is a suspect already
is handled alone, so that the next death shows whether it was this one. Threads wait here within
their turns, between two messages. Invariant: a thread that goes in alone finds nobody inside, and
is followed only by one that has waited for ``MOST_SECONDS``; no thread waits longer, however many
suspects come one after the other, as a message that hangs must not keep others from work.
"""

import time
from collections.abc import Callable
from threading import Condition, Lock

MOST_SECONDS = 5.0
"""More than a message is in hand between two storage calls: a turn, and a row of 16 MiB."""


class Gate:
    """One node's."""

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self._most_seconds = most_seconds
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._inside = 0
        self._alone = False
        self._kept_until = 0.0
        self.wanted = 0
        """How many want to be alone; threads inside should leave, and enter again."""

    def enter(self) -> None:
        """Go in beside others, unless one is alone there, or wants to be, not for too long yet."""
        with self._lock:  # less than the condition's own way in
            if self._alone or self.wanted:
                self._wait_until(lambda: not self._alone and not self.wanted)
            self._inside += 1

    def leave(self) -> None:
        """Go out, after ``enter``, or an ``enter_alone`` that returned False."""
        with self._lock:
            self._inside -= 1
            if self.wanted:
                self._changed.notify_all()

    def enter_alone(self) -> bool:
        """Go in when nobody is inside; False: someone is for so long that it is beside others."""
        with self._lock:
            self.wanted += 1
            self._keep()
            is_alone = self._wait_until(lambda: not self._alone and not self._inside)
            self.wanted -= 1
            if is_alone:
                self._alone = True
                # Once more: from now on it is the message itself that takes time.
                self._keep()
            else:
                # Beside others, then; those who wait see that nobody wants to be alone.
                self._inside += 1
                self._changed.notify_all()
            return is_alone

    def leave_alone(self) -> None:
        """Go out, after ``enter_alone``."""
        with self._lock:
            self._alone = False
            self._changed.notify_all()

    def _keep(self) -> None:
        self._kept_until = time.monotonic() + self._most_seconds

    def _wait_until(self, free: Callable[[], bool]) -> bool:
        own_until = time.monotonic() + self._most_seconds  # each suspect renews ``_kept_until``
        while not (is_free := free()):
            left = min(self._kept_until, own_until) - time.monotonic()
            if left <= 0:
                break
            self._changed.wait(left)
        return is_free
