"""A node's membership in the consumer group over its whole life.

A member that can't continue (expelled, fenced, a poll that keeps failing) is stopped and replaced.
Invariant: at most one member exists at a time.
"""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError

from consumer.cluster import Cluster
from consumer.daemon_threads import DaemonThreads
from consumer.exports.export_context import ExportContext
from consumer.group.member import Member, Membership
from consumer.lanes.health import WORKING
from consumer.lanes.lane import Lane
from consumer.lanes.slots import Slots
from consumer.lanes.transactions import Destination

log = structlog.get_logger(__name__)

# A member that fails at once must not rejoin in a tight loop: each join rebalances the group.
_REJOIN_SECONDS = 1.0
_MOST_THREADS = 256


class ConsumerGroup:
    """Runs members one after the other; provides what the node's status needs."""

    def __init__(
        self,
        membership: Membership,
        cluster: Cluster,
        destination: Destination,
        context: ExportContext,
        capacity: int,
    ) -> None:
        self.name = membership.client_id
        self.slots = Slots(capacity)
        # More than slots: a turn that hangs in the storage gives up its slot but keeps its thread.
        self._threads = DaemonThreads(_MOST_THREADS, "turn")
        self._metrics = context.metrics
        self._contact = cluster.contact
        self._metrics.slots(capacity)
        self._member: Member | None = None
        # A stopped consumer can't be restarted, so each membership has its own.
        self._make: Callable[[], Member] = lambda: Member(
            membership, cluster, destination, context, self.slots, self._threads
        )

    @property
    def lanes(self) -> list[Lane]:
        """The lanes of the currently assigned partitions, in order."""
        member = self._member
        return [member.lanes[number] for number in sorted(member.lanes)] if member else []

    @property
    def settled(self) -> bool:
        """Whether the node is a member and no rebalance is in progress."""
        return self._member is not None and self._member.settled

    def problems(self) -> list[str]:
        """Why the node isn't ready, as far as the group is concerned."""
        if not self.settled or self._member is None:
            return ["not a settled member of the consumer group"]
        found = [
            f"partition {number} is assigned of one input topic only"
            for number in sorted(self._member.unpaired)
        ]
        healths = ((lane.partition, lane.health) for lane in self.lanes)
        found += [f"partition {number}: {it.reason}" for number, it in healths if it != WORKING]
        if self.lanes and not any(lane.working for lane in self.lanes):
            found.append("no partition is taken over yet")
        return found

    async def run(self) -> None:
        """Stay in the group until cancelled; then drain, commit and leave."""
        try:
            while True:
                await self._take_part()
                await asyncio.sleep(_REJOIN_SECONDS)
        finally:
            self._threads.shutdown()

    async def _take_part(self) -> None:
        member = self._member = self._make()
        try:
            await member.run()
        except (KafkaError, OSError) as error:
            say = log.debug if self._contact.explains(error) else log.warning
            say("membership ended", error=f"{type(error).__name__}: {error}")
        except Exception:
            # A bug, too, ends only this membership: the next one joins after a second.
            log.exception("membership ended")
        finally:
            log.info("leaving the group", partitions=[lane.partition for lane in self.lanes])
            await member.stop()
            self._member = None
            log.info("left the group")

    def observe(self) -> None:
        """Update the metrics of each partition."""
        for lane in self.lanes:
            self._metrics.trouble(lane.partition, troubled=lane.health != WORKING)
            feeds = (lane.requests, lane.records)
            for feed, position, lag in zip(feeds, lane.positions, lane.lag, strict=True):
                self._metrics.progress(feed.partition.topic, lane.partition, position, lag)
