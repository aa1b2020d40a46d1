"""Which files have expired and are due for removal. Pure.

Each expiry is noted in the storage under a *slot*, a period of two minutes, so that due files are
found without listing all others. A note goes into a slot that is not over: the slot of the expiry,
or the current one if that is later. Invariant: a slot's notes are removed only when it has been
over for ``GRACE`` on the remover's clock, so no note added meanwhile is lost.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

SLOT = timedelta(minutes=2)
GRACE = timedelta(minutes=2)
"""How far nodes' clocks may differ: a file stays until it has expired on every clock."""
OTHERS_GRACE = timedelta(minutes=5)
"""After this, any node removes what the partition's owner hasn't."""
UNDECIDED = timedelta(days=1)
"""After this, a note or file without a manifest is abandoned: no attempt lasts a day."""
_FORM = "%Y-%m-%d/%H%M"


class Removed(NamedTuple):
    """What one step removed, or would remove: files or (``manifests``) manifests, by export.

    ``bytes`` are those of files. ``refused`` names what wasn't removed, and why.
    """

    exports: tuple[tuple[str, int], ...] = ()
    refused: tuple[str, ...] = ()
    manifests: bool = False

    @property
    def bytes(self) -> int:
        """The total."""
        return sum(size for _, size in self.exports)


@dataclass(frozen=True, slots=True)
class Due:
    """Which files are due; those of ``partitions`` are due earlier than others."""

    now: datetime
    ours_before: datetime
    others_before: datetime
    partitions: frozenset[int] = field(default_factory=frozenset)

    @classmethod
    def for_owner(cls, now: datetime, partitions: Collection[int]) -> "Due":
        """Due for the node that owns these partitions: complete slots only."""
        ours_before, others_before = _floor(now - GRACE), _floor(now - OTHERS_GRACE)
        return cls(now, ours_before, others_before, frozenset(partitions))

    @classmethod
    def at_once(cls, now: datetime) -> "Due":
        """All that has expired."""
        return cls(now, now, now)

    def before(self, partition: int) -> datetime:
        """Everything that expired before this time."""
        return self.ours_before if partition in self.partitions else self.others_before

    def begun(self, slots: Iterable[str]) -> Iterator[str]:
        """The slots in which something may be due; names that aren't slots are skipped."""
        return (slot for slot in slots if (start := _start(slot)) and start < self.ours_before)

    def begun_days(self, days: Iterable[str]) -> Iterator[str]:
        """Likewise, the days."""
        # Day names sort chronologically.
        return (day for day in sorted(days) if day <= self.ours_before.strftime("%Y-%m-%d"))

    def covers(self, slot: str, partition: int) -> bool:
        """Whether some of a partition's files in a slot may be due."""
        start = _start(slot)
        return start is not None and start < self.before(partition)

    def is_over(self, slot: str) -> bool:
        """Whether a slot gets no more notes."""
        start = _start(slot)
        return start is not None and start + SLOT + GRACE <= self.now


def slot_of(expires_at: datetime, now: datetime) -> str:
    """The slot in which an expiry is noted now, such as ``2026-11-28/0612``."""
    return _floor(max(expires_at, now)).strftime(_FORM)


def _start(slot: str) -> datetime | None:
    try:
        return datetime.strptime(slot, _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def _floor(moment: datetime) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // SLOT * SLOT
