"""Which attempt at an export comes next.

Invariant: the next attempt depends only on the state of earlier ones, so retrying an export while
its retry is running, or after it completed, leads to that same retry.
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
"""An export that failed for one of these would fail again."""
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
    """The next attempt. ``begun_at``: the place of its request, if it already has one."""

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
    """The first attempt after this one that has not failed. Also raises as ``find``.

    Skips exports that have the id of an attempt but belong to another original.

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
