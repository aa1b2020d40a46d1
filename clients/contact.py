"""Whether Kafka answers, in a node's own words: lost, still away, back.

Each client connects again by itself, and each lane loads again by itself; a line for each of their
tries says nothing that this doesn't. No I/O here: callers note whether Kafka answered. Invariant:
what is suppressed is in the log at debug, and one line of this module's stands for it.
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
# As many different ones as a warning can name and still be read.
_MOST_ERRORS = 5

# What a broker that is away looks like; what one refuses is something else.
_SIGNS = (*NO_CONNECTION, RequestTimedOutError, NoBrokersAvailable, TimeoutError, ConnectionError)


class Contact:
    """With the brokers at ``servers``. ``clock`` gives monotonic seconds."""

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
        """Whether an error says no more than that Kafka doesn't answer.

        Then it is counted here, and a warning follows if Kafka answers the next call.
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
            # Of calls that failed after this one began nothing is known yet: Kafka may be away.
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
        # The silence explains the calls that failed; a warning of its own would say it twice.
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
