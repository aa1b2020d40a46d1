"""How long a refusing storage is waited for, and when to try again.

Pure: the clock is given, in monotonic seconds. One partition's budget outlives a reload of its
lane, or a fault that makes it reload would be waited for without end.
"""

from collections.abc import Iterable

FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0


class RetryBudget:
    """How long the storage may refuse, as it is used up and renewed."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._refused_since: float | None = None
        self._unsynced_since: dict[str, float] = {}
        self._backoff_seconds = 0.0
        self._retry_at = 0.0

    def refused(self, now: float) -> bool:
        """The storage refused; whether it has done so for too long."""
        if self._refused_since is None:
            self._refused_since = now
        longer = max(self._backoff_seconds * 2, FIRST_BACKOFF_SECONDS)
        self._backoff_seconds = min(longer, LONGEST_BACKOFF_SECONDS)
        self._retry_at = now + self._backoff_seconds
        return now - self._refused_since >= self._timeout_seconds

    def served(self) -> None:
        """The storage took what it was given."""
        self._refused_since = None
        self._backoff_seconds = self._retry_at = 0.0

    def wait_seconds(self, now: float) -> float:
        """How long to wait before it is called again: 0 but after a refusal."""
        return max(0.0, self._retry_at - now)

    def unsynced(self, export_id: str, now: float) -> None:
        """The file of an export could not be brought to the disk, and has to be made again."""
        # Since the first failure: each attempt after it makes the whole file again.
        self._unsynced_since.setdefault(export_id, now)

    def ended(self, export_ids: Iterable[str]) -> None:
        """These exports have ended; whatever their files went through is over."""
        for export_id in export_ids:
            self._unsynced_since.pop(export_id, None)

    def given_up(self, now: float) -> frozenset[str]:
        """The exports whose files could not be brought to the disk for too long."""
        return frozenset(
            export_id
            for export_id, since in self._unsynced_since.items()
            if now - since >= self._timeout_seconds
        )
