"""Idle exports of one partition, failed without wronging any that an outage kept waiting.

Invariant: what fails was idle for the timeout when an end of the records was fetched, and the
partition has been read to that end since: nothing that its upstream had sent was on its way. It
may take a while until that end is reached; nothing waits for it.
"""

import time
from dataclasses import dataclass

from aiokafka import TopicPartition

from consumer.cluster import Cluster
from consumer.exports.partition import PartitionExports


@dataclass(frozen=True, slots=True)
class _Look:
    """Once the records were read to ``records_end``, what was not active since is idle."""

    records_end: int
    active_before: float


class IdleWatch:
    """Watches over one partition's exports, for a lane that asks between turns."""

    def __init__(
        self,
        exports: PartitionExports,
        cluster: Cluster,
        records: TopicPartition,
        timeout_seconds: float,
    ) -> None:
        self._exports = exports
        self._cluster = cluster
        self._records = records
        self._timeout_seconds = timeout_seconds
        self._look: _Look | None = None

    async def expire(self) -> None:
        """Fail what is idle, or begin to find out.

        Raises:
            LaneStopped: as ``PartitionExports.expire``.
            KafkaError, TimeoutError: the end can't be fetched.
        """
        if self._look is None:
            self._look = await self._begun()
        elif self._exports.next_offsets[1] >= self._look.records_end:
            look, self._look = self._look, None
            self._exports.expire(look.active_before)

    async def _begun(self) -> _Look | None:
        now, since = time.monotonic(), self._exports.idle_since()
        if since is None or now - since < self._timeout_seconds:
            return None
        return _Look(await self._cluster.end(self._records), now - self._timeout_seconds)
