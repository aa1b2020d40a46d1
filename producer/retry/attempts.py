"""Which attempt at an export comes next.

Invariant: it follows from how the earlier attempts stand, so who retries an export while its retry
is under way, or after it completed, comes to that same retry.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from producer.errors import ProducerError
from schemas.completions import ExportCompleted, ExportFailed, Source, TerminalEvent
from schemas.retries import MOST_RETRIES, RetryAttempt, attempt_of
from schemas.vocabulary import FailReason

CANCELLED = "cancelled"
WRONG_INPUT = frozenset(
    {
        FailReason.INVALID_REQUEST,
        FailReason.INVALID_BATCH,
        FailReason.SEQUENCE_GAP,
        FailReason.ROW_COUNT_MISMATCH,
    }
)
"""To run these again is to fail again."""
RETRIED = (*(reason for reason in FailReason if reason not in WRONG_INPUT), CANCELLED)
"""How exports ended that may run again."""


@dataclass(frozen=True, slots=True)
class KnownAttempt:
    """An export of some id. ``outcome`` is None until it ends; ``source``: its request."""

    source: Source | None
    retry_of: str | None
    outcome: str | None


FindExport: TypeAlias = Callable[[str], Awaitable[KnownAttempt | None]]


@dataclass(frozen=True, slots=True)
class Next:
    """The attempt that a retry makes. ``begun_at``: where its request lies, if there is one."""

    attempt: RetryAttempt
    begun_at: Source | None = None
    is_completed: bool = False


class RetriedTooOftenError(ProducerError):
    """An export has been retried as often as it may be."""


def outcome_of(event: TerminalEvent) -> str:
    """``completed``, ``cancelled`` or the reason why it failed."""
    if isinstance(event, ExportFailed):
        return event.reason.value
    return "completed" if isinstance(event, ExportCompleted) else CANCELLED


async def next_attempt(export_id: str, retry_of: str | None, find: FindExport) -> Next:
    """The first attempt after this one that has not failed; raises as ``find``, too.

    An export that has the id of an attempt, and is none of this original, is passed over.

    Raises:
        RetriedTooOftenError: there is none.
    """
    original, number = attempt_of(export_id, retry_of)
    for following in range(number + 1, MOST_RETRIES + 1):
        attempt = RetryAttempt(original, following)
        known = await find(attempt.export_id)
        if known is None:
            return Next(attempt)
        if known.retry_of != original:
            continue
        if known.outcome is None:
            return Next(attempt, known.source)
        if known.outcome == "completed":
            return Next(attempt, known.source, is_completed=True)
    raise RetriedTooOftenError(f"{original} has been retried {MOST_RETRIES} times")
