"""Nodes' removal of expired files and of old manifests.

Each node removes the files of its own partitions, and overdue ones of others. It needs no lock,
because the manifest alone tells what has expired. Invariant: a storage that refuses or hangs delays
nothing else.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from consumer.core.expiry import Due, Removed
from consumer.daemon_threads import DaemonThreads
from consumer.errors import ConsumerError
from consumer.metrics import Metrics
from consumer.storage.base import GroupStorage

log = structlog.get_logger(__name__)

EXPIRE_SECONDS = 60.0
"""With the slots and graces of ``consumer.core.expiry`` a file goes within nine minutes."""
_MANIFESTS_SHARE = 100
"""Scan manifests for at most a hundredth of the time: there may be millions."""
_LONGEST_PAUSE_SECONDS = 86_400.0
_MANIFESTS_PARTITION = 0


class Expiring:
    """Removes expired files periodically. ``partitions`` are the node's current ones.

    ``manifests_kept`` is how long after their exports' ends; None: forever.
    """

    def __init__(
        self,
        storage: GroupStorage,
        partitions: Callable[[], Collection[int]],
        manifests_kept: timedelta | None,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._storage = storage
        self._partitions = partitions
        self._manifests_kept = manifests_kept
        self._metrics = metrics
        self._now = now

    async def run(self, seconds: float = EXPIRE_SECONDS) -> None:
        """Remove what is due periodically, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._files, seconds), name="expire files")
            if self._manifests_kept is not None:
                removing = self._repeat(self._manifests, seconds, _MANIFESTS_SHARE)
                tasks.create_task(removing, name="expire manifests")

    async def _repeat(
        self, removals: Callable[[], Iterator[Removed]], seconds: float, share: float = 0
    ) -> None:
        """``share``: it pauses for so many times as long as it takes, a day at most."""
        threads, pause = DaemonThreads(1, "storage-expire"), seconds
        try:
            while True:
                await asyncio.sleep(pause)
                began = time.monotonic()
                try:
                    await self._remove(threads, removals())
                except ConsumerError as error:
                    self._refused([str(error)])
                took = time.monotonic() - began
                pause = max(seconds, min(share * took, _LONGEST_PAUSE_SECONDS))
        finally:
            threads.shutdown()

    async def _remove(self, threads: DaemonThreads, removals: Iterator[Removed]) -> None:
        # A step at a time: cancelled, it ends between two of them.
        while removed := await asyncio.wrap_future(threads.submit(next, removals, None)):
            if removed.manifests:
                self._metrics.manifests_expired(len(removed.exports))
            else:
                self._metrics.files_expired(len(removed.exports), removed.bytes)
            if removed.refused:
                self._refused(removed.refused)

    def _files(self) -> Iterator[Removed]:
        return self._storage.expire(Due.for_owner(self._now(), self._partitions()))

    def _manifests(self) -> Iterator[Removed]:
        partitions = self._partitions()
        # It scans all manifests, and nothing waits for it: one node is enough.
        if self._manifests_kept is None or _MANIFESTS_PARTITION not in partitions:
            return iter(())
        due = Due.for_owner(self._now(), partitions)
        return self._storage.expire_manifests(due, self._manifests_kept)

    def _refused(self, errors: Sequence[str]) -> None:
        self._metrics.expiry_refused(len(errors))
        log.warning("expired files are not removed", error=errors[0], count=len(errors))
