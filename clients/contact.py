"""Logs whether Kafka answers, once per change: lost, still unreachable, back.

Every client reconnects and every lane reloads by itself; a line for each attempt would add nothing.
No I/O here: callers note whether Kafka answered. Invariant: every suppressed line is logged at
debug, and one line of this module represents it.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from aiokafka.errors import NoBrokersAvailable, RequestTimedOutError

from clients.diagnosis import NO_CONNECTION
from schemas.times import format_time

log = structlog.get_logger(__name__)

REMINDER_SECONDS = 30.0
# The most distinct errors that a readable warning can name.
_MOST_ERRORS = 5

# Errors of an unreachable broker, as opposed to one that refuses.
_SIGNS = (*NO_CONNECTION, RequestTimedOutError, NoBrokersAvailable, TimeoutError, ConnectionError)


class Contact:
    """Tracks contact with the brokers at ``servers``. ``clock`` returns monotonic seconds."""

    def __init__(self, servers: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._servers = servers
        self._clock = clock
        self._answered_at = clock()
        self._answered_time = datetime.now(UTC)
        self._warned_at: float | None = None
        self._failed_calls = 0
        self._failed_at = 0.0
        self._errors: set[str] = set()
        self.on_answer: Callable[[bool, float], None] = lambda *_: None
        """Called as ``note`` is: whether there was an answer, and how long ago the call began."""

    @property
    def away(self) -> bool:
        """Whether Kafka gave no answer to the latest call."""
        return self._warned_at is not None

    def note(self, answers: bool, call_seconds: float) -> None:
        """Note a call to Kafka that began ``call_seconds`` ago, and whether it was answered."""
        now = self._clock()
        if answers:
            self._note_answer(now, now - call_seconds)
        else:
            self._note_silence(now)
        self.on_answer(answers, call_seconds)

    def explains(self, error: BaseException) -> bool:
        """Whether an error means only that Kafka doesn't answer.

        If so it is counted here, and a warning follows if Kafka does answer the next call.
        """
        if not isinstance(error, _SIGNS):
            return False
        self._failed_calls += 1
        self._failed_at = self._clock()
        if len(self._errors) < _MOST_ERRORS:
            self._errors.add(f"{type(error).__name__}: {error}")
        return True

    def _note_answer(self, now: float, called_at: float) -> None:
        if self.away:
            away_seconds = round(now - self._answered_at, 1)
            log.info("Kafka answers again", servers=self._servers, away_seconds=away_seconds)
        elif self._failed_calls and self._failed_at < called_at:
            # Calls that failed after this one began prove nothing yet: Kafka may be unreachable.
            log.warning(
                "calls to Kafka failed, and are retried: Kafka answers",
                servers=self._servers,
                times=self._failed_calls,
                errors=sorted(self._errors),
            )
        if self.away or self._failed_at < called_at:
            self._failed_calls, self._errors = 0, set()
        self._warned_at = None
        self._answered_at, self._answered_time = now, datetime.now(UTC)

    def _note_silence(self, now: float) -> None:
        # The silence explains the failed calls; another warning would repeat it.
        self._failed_calls, self._errors = 0, set()
        if self._warned_at is not None and now - self._warned_at < REMINDER_SECONDS:
            return
        log.warning(
            "Kafka still does not answer" if self.away else "Kafka does not answer",
            servers=self._servers,
            since=format_time(self._answered_time),
            away_seconds=round(now - self._answered_at, 1),
        )
        self._warned_at = now
