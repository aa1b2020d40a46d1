"""Reads from Kafka what the consumer group does now, at each question; writes nothing.

Any node can answer, whether it is a member at the moment or not. Invariant: at most one read is
under way; concurrent callers share it.
"""

import asyncio
from typing import Self

from consumer.background_read import FORESEEN, in_words
from consumer.cluster import Cluster
from consumer.core.group_overview import GroupOffsets, GroupOverview, overview_of
from consumer.errors import BacklogUnavailable

_READ_SECONDS = 5.0


class GroupReader:
    """Reads the group for the node of this name. An async context manager."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._name = name
        self._reading: asyncio.Task[GroupOverview] | None = None

    async def __aenter__(self) -> Self:
        """Nothing is read yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel a read under way."""
        if self._reading:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def overview(self) -> GroupOverview:
        """The group as of now, or as of the read under way. If cancelled, that continues.

        Raises:
            BacklogUnavailable: Kafka doesn't answer, or the group's commits went back.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="group overview")
        return await asyncio.shield(self._reading)

    async def _read(self) -> GroupOverview:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                return await self._fetch()
        except FORESEEN as error:
            raise BacklogUnavailable(in_words(error)) from error

    async def _fetch(self) -> GroupOverview:
        cluster = self._cluster
        state, nodes = await cluster.fetch_members()
        numbers = range(await cluster.fetch_pair_count())
        # Commits before ends: a record read in between would count as lag below zero.
        committed = await cluster.fetch_all_committed(numbers)
        ends = await cluster.fetch_pair_ends(numbers)
        log_starts = await cluster.fetch_all_log_starts(
            [number for number, pair in committed.items() if None in pair]
        )
        offsets = GroupOffsets(committed, ends, log_starts)
        return overview_of(cluster.group_id, state, nodes, offsets, self._name)
