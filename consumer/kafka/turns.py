"""Turns of one partition: a slot, a thread, and patience with the storage.

Encoding is CPU work and writing blocks, so a turn runs on a thread and heartbeats go on. A thread
can't be cancelled: whoever cancels ``run`` waits for the turn's end, and the turn decides nothing
any more. Invariant: no slot is held while the storage is waited for.
"""

import asyncio
import time
from concurrent.futures import Executor

import structlog

from consumer.errors import StorageUnavailable
from consumer.exports.partition import PartitionExports, TurnEnd
from consumer.kafka.slots import Slots
from consumer.metrics import Metrics

log = structlog.get_logger(__name__)

_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0


class Turns:
    """Runs the turns of one partition's exports, one at a time."""

    def __init__(
        self,
        exports: PartitionExports,
        slots: Slots,
        threads: Executor,
        metrics: Metrics,
        storage_timeout_seconds: float,
    ) -> None:
        self._exports = exports
        self._slots = slots
        self._threads = threads
        self._metrics = metrics
        self._storage_timeout_seconds = storage_timeout_seconds
        self._refused_since: float | None = None
        self._retry_at = 0.0
        self._backoff_seconds = _FIRST_BACKOFF_SECONDS

    @property
    def backoff_seconds(self) -> float:
        """How long to wait before the next turn makes sense: 0 but after a refusal."""
        return max(0.0, self._retry_at - time.monotonic())

    async def run(self) -> TurnEnd | None:
        """Take one turn; None: the storage refused, and it is to be tried again.

        Raises:
            PartLost, LaneStopped: as ``PartitionExports.turn``.
        """
        try:
            end = await self._in_slot()
        except StorageUnavailable as error:
            self._refused(error)
            return None
        self._refused_since = None
        self._backoff_seconds = _FIRST_BACKOFF_SECONDS
        return end

    async def _in_slot(self) -> TurnEnd:
        async with self._slots.turn():
            begun = time.monotonic()
            turn = asyncio.get_running_loop().run_in_executor(self._threads, self._exports.turn)
            try:
                return await asyncio.shield(turn)
            except asyncio.CancelledError:
                self._exports.abandon()
                await asyncio.wait([turn])
                raise
            finally:
                self._metrics.turn(time.monotonic() - begun, self._exports.take_formats())

    def _refused(self, error: StorageUnavailable) -> None:
        now = time.monotonic()
        self._metrics.storage_retried()
        if self._refused_since is None:
            self._refused_since = now
            log.warning("storage refuses", partition=self._exports.partition, error=str(error))
        elif now - self._refused_since >= self._storage_timeout_seconds:
            log.error("storage given up", partition=self._exports.partition, error=str(error))
            self._exports.give_up(str(error))
        self._retry_at = now + self._backoff_seconds
        self._backoff_seconds = min(self._backoff_seconds * 2, _LONGEST_BACKOFF_SECONDS)
