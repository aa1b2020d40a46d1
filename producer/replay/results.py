"""The replayed copies, and how each of them ended.

Invariant: an export ends once; a repeated terminal event changes nothing. Times are seconds on one
clock of this process, so latencies need no other host's clock.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from producer.replay.pacing import Percentiles, nearest_rank
from producer.replay.scratch import scratch_database

COMPLETED = "completed"
CANCELLED = "cancelled"
_SENT = """
CREATE TABLE sent (
    id TEXT PRIMARY KEY, late REAL NOT NULL, sent_at REAL NOT NULL, ended_at REAL, outcome TEXT
) WITHOUT ROWID"""
_LATENCIES = "SELECT ended_at - sent_at FROM sent WHERE outcome = 'completed' ORDER BY 1"
_LATENESSES = "SELECT late FROM sent ORDER BY 1"


class ReplayResults:
    """Exports by their new ids; ``sent`` counts all, ``waiting`` those that have not ended."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.sent = 0
        self.waiting = 0
        self._database = database

    def add(self, export_id: str, due_at: float, sent_at: float) -> None:
        """Add an export whose request was sent."""
        row = (export_id, max(0.0, sent_at - due_at), sent_at)
        self._database.execute("INSERT INTO sent (id, late, sent_at) VALUES (?, ?, ?)", row)
        self.sent += 1
        self.waiting += 1

    def waits_for(self, export_id: str) -> bool:
        """Whether the export was sent and has not ended."""
        found = self._database.execute(
            "SELECT 1 FROM sent WHERE id = ? AND outcome IS NULL", (export_id,)
        )
        return found.fetchone() is not None

    def end(self, export_id: str, outcome: str, ended_at: float) -> None:
        """Set its outcome: ``COMPLETED``, ``CANCELLED`` or the reason of its failure."""
        changed = self._database.execute(
            "UPDATE sent SET outcome = ?, ended_at = ? WHERE id = ? AND outcome IS NULL",
            (outcome, ended_at, export_id),
        )
        self.waiting -= changed.rowcount

    def outcomes(self) -> dict[str, int]:
        """Exports by outcome, the most frequent first."""
        found = self._database.execute(
            "SELECT outcome, count(*) FROM sent WHERE outcome IS NOT NULL"
            " GROUP BY outcome ORDER BY 2 DESC, 1"
        )
        return dict(found.fetchall())

    def seconds(self) -> float:
        """Seconds from the first request to the last end; 0 if none has ended."""
        found = self._database.execute("SELECT max(ended_at) - min(sent_at) FROM sent")
        return found.fetchone()[0] or 0.0

    def latencies(self) -> Percentiles | None:
        """Seconds from request to event of completed exports; None if there is none."""
        return self._percentiles(_LATENCIES, self.outcomes().get(COMPLETED, 0))

    def lateness(self) -> Percentiles | None:
        """Seconds by which requests were late; None if none was sent."""
        return self._percentiles(_LATENESSES, self.sent)

    def _percentiles(self, ascending: str, count: int) -> Percentiles | None:
        def value(percent: float) -> float:
            place = nearest_rank(percent, count) - 1
            # The statement is one of the two above.
            found = self._database.execute(f"{ascending} LIMIT 1 OFFSET ?", (place,))
            return float(found.fetchone()[0])

        return Percentiles(value(50), value(95), value(99), value(100)) if count else None


@contextmanager
def replay_results() -> Iterator[ReplayResults]:
    """Empty results, for the block."""
    with scratch_database(_SENT) as database:
        yield ReplayResults(database)
