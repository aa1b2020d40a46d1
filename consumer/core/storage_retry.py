"""How long to keep retrying a refusing storage, and when to retry.

Pure: takes monotonic seconds. A partition's budget outlives reloads of its lane; otherwise a
failure that causes reloads would be retried forever.
"""

from collections.abc import Iterable

FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0


class RetryBudget:
    """How long the storage may still refuse."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._refused_since: float | None = None
        self._unsynced_since: dict[str, float] = {}
        self._backoff_seconds = 0.0
        self._retry_at = 0.0

    def refused(self, now: float) -> bool:
        """The storage refused; returns whether it has done so for too long."""
        if self._refused_since is None:
            self._refused_since = now
        longer = max(self._backoff_seconds * 2, FIRST_BACKOFF_SECONDS)
        self._backoff_seconds = min(longer, LONGEST_BACKOFF_SECONDS)
        self._retry_at = now + self._backoff_seconds
        return now - self._refused_since >= self._timeout_seconds

    def served(self) -> None:
        """The storage accepted a write."""
        self._refused_since = None
        self._backoff_seconds = self._retry_at = 0.0

    def wait_seconds(self, now: float) -> float:
        """How long to wait before the next call; 0 except after a refusal."""
        return max(0.0, self._retry_at - now)

    def unsynced(self, export_id: str, now: float) -> None:
        """An export's file could not be synced and has to be remade."""
        # Count from the first failure: each later attempt remakes the whole file.
        self._unsynced_since.setdefault(export_id, now)

    def ended(self, export_ids: Iterable[str]) -> None:
        """These exports have ended; forget their sync failures."""
        for export_id in export_ids:
            self._unsynced_since.pop(export_id, None)

    def given_up(self, now: float) -> frozenset[str]:
        """The exports whose files could not be synced for too long."""
        return frozenset(
            export_id
            for export_id, since in self._unsynced_since.items()
            if now - since >= self._timeout_seconds
        )
