"""What has expired and is to be removed now. Pure.

What will expire is noted in the storage under a *slot*, two minutes of a day, so that what is due
is found without a look at what isn't. A note is made in a slot that is not over: that of the
expiry, or of now where this is later. Invariant: notes of a slot are removed only once it is over
by ``GRACE`` on the clock of who does, so none is lost that is made in it meanwhile.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

SLOT = timedelta(minutes=2)
GRACE = timedelta(minutes=2)
"""Clocks of nodes may differ by so much: a file is there for as long as any of them shows it."""
OTHERS_GRACE = timedelta(minutes=5)
"""What the partition's owner hasn't removed by then, any node does."""
UNDECIDED = timedelta(days=1)
"""A note, or a file, whose export has no manifest for so long: no attempt lasts for a day."""
_FORM = "%Y-%m-%d/%H%M"


class Removed(NamedTuple):
    """What was removed at a time, or would be: files or (``manifests``) manifests, by export.

    Bytes are those of files. ``refused`` says what wasn't removed, and why.
    """

    exports: tuple[tuple[str, int], ...] = ()
    refused: tuple[str, ...] = ()
    manifests: bool = False

    @property
    def bytes(self) -> int:
        """Of all together."""
        return sum(size for _, size in self.exports)


@dataclass(frozen=True, slots=True)
class Due:
    """Which files are due: of ``partitions`` before one time, of others before another."""

    now: datetime
    ours_before: datetime
    others_before: datetime
    partitions: frozenset[int] = field(default_factory=frozenset)

    @classmethod
    def for_owner(cls, now: datetime, partitions: Collection[int]) -> "Due":
        """For the node that owns these partitions: whole slots only."""
        ours_before, others_before = _floor(now - GRACE), _floor(now - OTHERS_GRACE)
        return cls(now, ours_before, others_before, frozenset(partitions))

    @classmethod
    def at_once(cls, now: datetime) -> "Due":
        """All that has expired."""
        return cls(now, now, now)

    def before(self, partition: int) -> datetime:
        """What expired before is due."""
        return self.ours_before if partition in self.partitions else self.others_before

    def begun(self, slots: Iterable[str]) -> Iterator[str]:
        """Those of which something may be due; names that are none of slots are passed over."""
        return (slot for slot in slots if (start := _start(slot)) and start < self.ours_before)

    def begun_days(self, days: Iterable[str]) -> Iterator[str]:
        """Likewise of days."""
        # Names of days sort as the days do.
        return (day for day in sorted(days) if day <= self.ours_before.strftime("%Y-%m-%d"))

    def covers(self, slot: str, partition: int) -> bool:
        """Whether a partition's files in a slot are due, or some of them may be."""
        start = _start(slot)
        return start is not None and start < self.before(partition)

    def is_over(self, slot: str) -> bool:
        """Whether no more notes are made in a slot."""
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
