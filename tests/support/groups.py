"""A node's part in the consumer group, in the test's own process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from consumer.cluster import Cluster
from consumer.errors import NodeRefused
from consumer.exports.export_context import ExportContext
from consumer.formats.registry import Formats
from consumer.group.group import ConsumerGroup
from consumer.group.member import Membership
from consumer.lanes.lane_context import LaneLimits
from consumer.lanes.transactions import Destination
from consumer.metrics import Metrics
from consumer.storage.base import Storage
from schemas.topics import Topics
from tests.support.nodes import settings_for
from tests.support.waiting import until


def context_of(storage: Storage) -> ExportContext:
    """What partitions work with, as ``sluice.node`` composes it."""
    return ExportContext(storage, Formats().writer, Metrics(), 1 << 30)


@asynccontextmanager
async def group_of(
    servers: str,
    topics: Topics,
    context: ExportContext,
    *,
    capacity: int = 5,
    metadata_age_seconds: float = 30,
) -> AsyncIterator[ConsumerGroup]:
    """A settled member, without an HTTP server, as ``sluice.node`` composes it."""
    options = {"bootstrap_servers": servers}
    group_id = settings_for(servers, topics, Path())["SLUICE_GROUP_ID"]
    membership = Membership(None, 6, 1, LaneLimits(800, 300, 300), metadata_age_seconds)
    async with Cluster(topics, group_id, options) as cluster:
        destination = Destination(topics, group_id, options, await checked(cluster))
        group = ConsumerGroup(membership, cluster, destination, context, capacity)
        running = asyncio.create_task(group.run())
        try:
            await until(lambda: not group.problems())
            yield group
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def checked(cluster: Cluster) -> int:
    """``check_topics``, once the broker shows the topics that it has just created."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await cluster.check_topics()
            except NodeRefused:
                await asyncio.sleep(0.1)
