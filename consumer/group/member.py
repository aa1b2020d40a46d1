"""One membership in the consumer group: the consumer, its poller, and a lane per partition.

Facts about aiokafka 0.14 that this relies on: rebalances are eager, so kept partitions come back
without their pause flags and at the committed positions; no heartbeats are sent while
``on_partitions_assigned`` is awaited, so it only records the assignment; a listener's exceptions
are swallowed, so they are passed to ``run``. Invariant: a lane lives as long as its pair of
partitions is assigned, across rebalances too.
"""

import asyncio
import os
import re
import socket
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from clients.aiokafka_private import drop_fetched, look_again
from clients.lenient_records import batches_handed_on, read_leniently
from consumer.cluster import Cluster
from consumer.exports.export_context import ExportContext
from consumer.group.poller import FETCH_WAIT_MS, Poller
from consumer.lanes.feed import Feed, Held
from consumer.lanes.lane import Lane
from consumer.lanes.lane_context import LaneContext, LaneLimits
from consumer.lanes.published_events import PublishedEvents
from consumer.lanes.slots import Slots
from consumer.lanes.transactions import Destination
from consumer.lanes.work import HEARTBEAT_SECONDS

log = structlog.get_logger(__name__)

# For the lanes to end, and again for the consumer, which sends LeaveGroup.
_STOP_SECONDS = 2.0
# No limit on a batch: Kafka returns a larger one all the same (KIP-74).
_PARTITION_FETCH_BYTES = 1024 * 1024
_NAME_CHARACTERS = 100
_FETCH_BYTES = 8 * 1024 * 1024  # over all partitions; doubled while a fetch is split among them


@dataclass(frozen=True, slots=True)
class Membership:
    """The settings of a node's group membership. Times are in seconds.

    ``metadata_age_seconds`` is how often the leader checks for recreated topics and added
    partitions; aiokafka's default is five minutes.
    """

    group_instance_id: str | None
    session_timeout_seconds: float
    drain_timeout_seconds: float
    limits: LaneLimits
    metadata_age_seconds: float = 30.0

    @property
    def client_id(self) -> str:
        """The node's name in the group: what operators and Kafka's tools see of its member."""
        own = f"sluice-{socket.gethostname()[: _NAME_CHARACTERS - 20]}-{os.getpid()}"
        # Kafka makes it part of the names of its metrics.
        return re.sub("[^A-Za-z0-9._-]", "_", self.group_instance_id or own)[:_NAME_CHARACTERS]

    def consumer_options(self) -> dict[str, Any]:
        """Keyword arguments for the consumer."""
        # At most a third of the session, as Kafka advises; one second makes takeovers quick.
        heartbeat = min(HEARTBEAT_SECONDS, self.session_timeout_seconds / 3)
        return {
            "client_id": self.client_id,
            "group_instance_id": self.group_instance_id,
            "session_timeout_ms": int(self.session_timeout_seconds * 1000),
            "heartbeat_interval_ms": int(heartbeat * 1000),
            # The other members wait this long for our revoke, so it must exceed the drain.
            "rebalance_timeout_ms": int((self.drain_timeout_seconds + 10) * 1000),
            # Only the range assignor keeps equal partitions of two topics together, and a second
            # assignor would make each join send two requests.
            "partition_assignment_strategy": (RangePartitionAssignor,),
            # A position that the log doesn't have stops its lane; ``latest``, the default, skips
            # messages.
            "auto_offset_reset": "none",
            # Offsets are committed with the events, in the partition's own transaction.
            "enable_auto_commit": False,
            "isolation_level": "read_committed",
            "fetch_max_wait_ms": FETCH_WAIT_MS,
            "metadata_max_age_ms": int(self.metadata_age_seconds * 1000),
            "max_partition_fetch_bytes": _PARTITION_FETCH_BYTES,
            "fetch_max_bytes": _FETCH_BYTES,
        }


class Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One membership; ``run`` it once, then ``stop`` it."""

    def __init__(
        self,
        membership: Membership,
        cluster: Cluster,
        destination: Destination,
        context: ExportContext,
        slots: Slots,
        threads: Executor,
    ) -> None:
        self._membership = membership
        self._topics = destination.topics
        self._metrics = context.metrics
        read_leniently()
        self._consumer = AIOKafkaConsumer(
            **destination.client_options,
            group_id=destination.group_id,
            **membership.consumer_options(),
        )
        self._around = LaneContext(
            self._consumer,
            cluster,
            PublishedEvents(cluster, destination.client_options),
            destination,
            context,
            slots,
            threads,
            membership.limits,
            Held(partial(look_again, self._consumer)),
        )
        # The listener runs on aiokafka's task; this passes its exceptions to ``run``.
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing: set[asyncio.Task[None]] = set()
        self.lanes: dict[int, Lane] = {}
        self.unpaired: frozenset[int] = frozenset()
        self.settled = False

    async def run(self) -> None:
        """Join the group and work until cancelled.

        Raises:
            Exception: the membership can't continue; stop it and create another.
        """
        poller = Poller(
            self._consumer,
            self._feeds,
            self._around.held,
            self._lost,
            self._around.cluster.contact,
        )
        self._consumer.subscribe([self._topics.requests, self._topics.records], listener=self)
        with batches_handed_on():
            await self._consumer.start()
        polling = asyncio.create_task(poller.run(), name="poller")
        try:
            await asyncio.wait([polling, self._failure], return_when=asyncio.FIRST_COMPLETED)
            # Raise what ended it; both may have failed, so check both.
            for ended in (polling, self._failure):
                if ended.done():
                    ended.result()
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def stop(self) -> None:
        """Drain, commit, leave the group (unless a static member); never raises."""
        # aiokafka calls no ``on_partitions_revoked`` before a stop.
        await self._quiesce_all()
        # 3. Drop the lanes, and wait for those that are being dropped.
        await self._within(
            _STOP_SECONDS, *(lane.close() for lane in self.lanes.values()), *self._closing
        )
        for number in self.lanes:
            self._metrics.forget_partition(number)
        self.lanes.clear()
        # 4. Leave the group, last: others get the partitions at once.
        await self._within(_STOP_SECONDS, self._consumer.stop())
        drop_fetched(self._consumer)

    # Callbacks, on aiokafka's own task.

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """A rebalance begins: bring all lanes to rest within one deadline."""
        self.settled = False
        try:
            await self._quiesce_all()
        except Exception as error:  # noqa: BLE001 - aiokafka would swallow it
            self._fail(error)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """A rebalance has ended: record the assignment, without waiting."""
        try:
            self._assign(frozenset(assigned))
        except Exception as error:  # noqa: BLE001 - aiokafka would swallow it
            self._fail(error)

    def _assign(self, assigned: frozenset[TopicPartition]) -> None:
        for partition in assigned:
            # Seek first: with auto_offset_reset=none a pause alone still raises in the poll.
            self._consumer.seek(partition, 0)
            self._consumer.pause(partition)
        numbers = {
            topic: {p.partition for p in assigned if p.topic == topic}
            for topic in (self._topics.requests, self._topics.records)
        }
        requests, records = numbers.values()
        pairs = requests & records
        self.unpaired = frozenset(requests ^ records)
        for number in self.lanes.keys() - pairs:
            self._close(number)
        for number in sorted(pairs):
            if number in self.lanes:
                self.lanes[number].resume()
            else:
                self.lanes[number] = Lane(number, self._around)
        self.settled = True
        self._metrics.rebalance()
        log.info("partitions assigned", partitions=sorted(pairs))

    def _close(self, number: int) -> None:
        lane = self.lanes.pop(number)
        self._metrics.forget_partition(number)
        log.info("partition lost", partition=number)
        # Not awaited: aiokafka sends no heartbeats until this listener returns.
        closing = asyncio.create_task(lane.close(), name=f"close-{number}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _quiesce_all(self) -> None:
        lanes = list(self.lanes.values())
        # 1. Bring all lanes to rest within one deadline.
        await self._within(
            self._membership.drain_timeout_seconds, *(lane.quiesce() for lane in lanes)
        )
        # 2. Abandon the rest: another owner may handle their messages from now on.
        for lane in lanes:
            if lane.working:
                log.warning("partition did not quiesce in time", partition=lane.partition)
                lane.abandon()

    def _feeds(self) -> list[Feed]:
        return [feed for lane in self.lanes.values() for feed in (lane.requests, lane.records)]

    def _lost(self, partition: TopicPartition, problem: str) -> None:
        lane = self.lanes.get(partition.partition)
        if lane:
            lane.stop(problem)

    def _fail(self, error: Exception) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    async def _within(self, seconds: float, *calls: Any) -> None:  # noqa: ANN401
        """Await all concurrently up to a deadline; cancel what isn't done by then."""
        if not calls:
            return
        tasks = [asyncio.ensure_future(call) for call in calls]
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
