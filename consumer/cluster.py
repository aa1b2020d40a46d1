"""What the service reads from the cluster: topics, members, committed offsets, ends of logs.

Read-only. Invariant: offsets fetched after a partition's producer has started are final, because
that start waits for the predecessor's transaction to end; and no offset is older than one returned
earlier.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, for_code

from clients.contact import Contact
from clients.diagnosis import NO_CONNECTION, why_unreachable
from consumer.core.group_overview import CommittedPair, GroupNode, Pair
from consumer.core.resume import Committed
from consumer.errors import NodeRefused, NoKafka
from schemas.topics import Topics

_CALL_SECONDS = 10.0
_PING_SECONDS = 5.0
_RETRY_SECONDS = 0.1
# How long to disbelieve commits that went back. Shorter than the 5 s of a backlog query, so that
# the query's error can name the reason.
_BACK_SECONDS = 2.0
_Found = TypeVar("_Found")


class CommitsWentBack(KafkaError):  # type: ignore[misc]  # noqa: N818 - aiokafka has no types
    """The coordinator returned an older commit than before; resuming there would repeat events."""


class Cluster:
    """An admin client and consumers without a group. Use it as an async context manager."""

    def __init__(self, topics: Topics, group_id: str, client_options: Mapping[str, Any]) -> None:
        self.group_id = group_id
        self._topics = topics
        self._options = client_options
        self.contact = Contact(client_options["bootstrap_servers"])
        self._admin = AIOKafkaAdminClient(**client_options)
        # read_uncommitted: read_committed ends at the last stable offset, and a batch can be
        # visible before its request, if that is in an open transaction.
        self._ends = AIOKafkaConsumer(
            **client_options, isolation_level="read_uncommitted", enable_auto_commit=False
        )
        self._stable_ends = AIOKafkaConsumer(
            **client_options, isolation_level="read_committed", enable_auto_commit=False
        )
        self._newest: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            NodeRefused: no broker answers, or the brokers refuse the connection.
        """
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._admin.start()
                await self._ends.start()
                await self._stable_ends.start()
        except (KafkaError, OSError) as error:
            # ``__aexit__`` isn't called if ``__aenter__`` fails.
            await self.__aexit__()
            raise await self._unusable(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
        await self._ends.stop()
        await self._stable_ends.stop()

    async def check_topics(self) -> int:
        """Check that the topics are usable; returns the largest dead letter in bytes.

        Raises:
            NodeRefused: a topic is missing, partition counts differ, an input is compacted, or a
                broker can't be used.
        """
        try:
            return await self._check_topics()
        except (KafkaError, OSError) as error:
            raise await self._unusable(error) from error

    async def _check_topics(self) -> int:
        topics = self._topics
        counts = await self.fetch_partition_counts()
        missing = [name for name, count in counts.items() if not count]
        if missing:
            raise NodeRefused(
                f"missing topics: {', '.join(missing)}; `sluice topics create` creates them"
            )
        if counts[topics.requests] != counts[topics.records]:
            raise NodeRefused(
                f"{topics.requests} has {counts[topics.requests]} partitions, {topics.records} has "
                f"{counts[topics.records]}: an export's request and batches must share a number"
            )
        configs = await self._fetch_configs(list(counts))
        for name in (topics.requests, topics.records):
            if "compact" in configs[name].get("cleanup.policy", ""):
                raise NodeRefused(f"{name} is compacted: set its cleanup.policy to delete")
        # Kafka's default, if the broker doesn't report it.
        return int(configs[topics.dead_letters].get("max.message.bytes", 1_048_588))

    async def ping(self) -> bool:
        """Whether a broker answers; reports the result to ``contact``."""
        called_at = time.monotonic()
        try:
            async with asyncio.timeout(_PING_SECONDS):
                # Ask for no topics: describing the cluster would return every one.
                await self._admin.describe_topics([])
        except (KafkaError, OSError):
            answers = False
        else:
            answers = True
        self.contact.note(answers, time.monotonic() - called_at)
        return answers

    async def fetch_members(self) -> tuple[str, list[GroupNode]]:
        """Fetch the group's state, in Kafka's word, and its members with their partitions.

        In the middle of a rebalance members have none.
        """
        async with asyncio.timeout(_CALL_SECONDS):
            while True:
                try:
                    return await self._describe_group()
                except KafkaError as error:
                    # The coordinator may be unknown, loading, or another broker by now.
                    if not error.retriable:
                        raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def _describe_group(self) -> tuple[str, list[GroupNode]]:
        (answer,) = await self._admin.describe_consumer_groups([self.group_id])
        ((code, _, state, _, _, members, *_),) = answer.groups
        if code:
            raise for_code(code)(f"the group {self.group_id} can't be described")
        nodes = [
            # Kafka writes an address as Java does: ``host/10.0.0.1``, mostly without the host.
            GroupNode(name, host.rpartition("/")[2], self._assigned_requests(assignment))
            for _, name, host, _, assignment, *_ in members
        ]
        return state, nodes

    def _assigned_requests(self, assignment: bytes) -> list[int]:
        """The partitions of requests in an assignment of the consumer protocol."""
        if not assignment:
            return []
        try:
            assigned = ConsumerProtocolMemberAssignment.decode(assignment).partitions()
        except ValueError:  # another program's, in the same group
            return []
        return sorted(one.partition for one in assigned if one.topic == self._topics.requests)

    async def fetch_committed(self, partition: int) -> CommittedPair:
        """Fetch the group's commits for requests and records; None where there is no commit.

        Raises:
            CommitsWentBack: they have been older than those returned before for some seconds.
            KafkaError, TimeoutError: Kafka doesn't answer.
        """
        return (await self.fetch_all_committed([partition]))[partition]

    async def fetch_all_committed(self, partitions: Iterable[int]) -> dict[int, CommittedPair]:
        """``fetch_committed`` for several partitions."""
        async with asyncio.timeout(_CALL_SECONDS):
            found = await self._fetch_pairs(partitions, self._fetch_unmoved)
        return {number: (_committed(one), _committed(two)) for number, (one, two) in found.items()}

    async def has_worked(self) -> bool:
        """Whether the group has committed anything. Raises as ``fetch_committed``."""
        partitions = [one.partition for one in await self.fetch_request_partitions()]
        committed = await self.fetch_all_committed(partitions)
        return any(one for pair in committed.values() for one in pair)

    async def fetch_log_starts(self, partition: int) -> Pair:
        """Fetch the first available offsets of requests and records."""
        return (await self.fetch_all_log_starts([partition]))[partition]

    async def fetch_all_log_starts(self, partitions: Iterable[int]) -> dict[int, Pair]:
        """``fetch_log_starts`` for several partitions."""
        async with asyncio.timeout(_CALL_SECONDS):
            return await self._fetch_pairs(partitions, self._ends.beginning_offsets)

    async def fetch_pair_ends(self, partitions: Iterable[int]) -> dict[int, Pair]:
        """Fetch the offsets after the last messages of requests and records, committed or not."""
        return await self._fetch_pairs(partitions, self.fetch_ends)

    async def fetch_pair_count(self) -> int:
        """Fetch how many partitions have both requests and records."""
        counts = await self.fetch_partition_counts()
        return min(counts[self._topics.requests], counts[self._topics.records])

    async def fetch_end(self, partition: TopicPartition) -> int:
        """Fetch the offset after the last message, committed or not."""
        return (await self.fetch_ends([partition]))[partition]

    async def fetch_ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Fetch the offsets after the last messages, committed or not."""
        async with asyncio.timeout(_CALL_SECONDS):
            ends: dict[TopicPartition, int] = await self._ends.end_offsets(partitions)
        return ends

    async def fetch_stable_ends(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Fetch the last stable offsets, below which no transaction is open."""
        async with asyncio.timeout(_CALL_SECONDS):
            ends: dict[TopicPartition, int] = await self._stable_ends.end_offsets(partitions)
        return ends

    async def fetch_request_partitions(self) -> list[TopicPartition]:
        """Fetch the partition numbers of the requests topic."""
        return await self._fetch_partitions(self._topics.requests)

    async def fetch_completions_since(self, millis: int) -> dict[TopicPartition, tuple[int, int]]:
        """Fetch first and end offsets of completions at or after a time, committed or not."""
        partitions = await self._fetch_partitions(self._topics.completions)
        ends = await self.fetch_ends(partitions)
        async with asyncio.timeout(_CALL_SECONDS):
            firsts = await self._ends.offsets_for_times(dict.fromkeys(partitions, millis))
        begins = {one: firsts[one].offset if firsts[one] else ends[one] for one in partitions}
        return {one: (begins[one], ends[one]) for one in partitions if begins[one] < ends[one]}

    async def _fetch_partitions(self, topic: str) -> list[TopicPartition]:
        count = (await self.fetch_partition_counts())[topic]
        return [TopicPartition(topic, number) for number in range(count)]

    async def _fetch_pairs(
        self,
        partitions: Iterable[int],
        fetch: Callable[[list[TopicPartition]], Awaitable[Mapping[TopicPartition, _Found]]],
    ) -> dict[int, tuple[_Found, _Found]]:
        """Fetch something of requests and records of several partitions, in one call."""
        pairs = {partition: self._pair(partition) for partition in partitions}
        found = await fetch([one for pair in pairs.values() for one in pair])
        return {number: (found[one], found[two]) for number, (one, two) in pairs.items()}

    def _pair(self, partition: int) -> tuple[TopicPartition, TopicPartition]:
        topics = self._topics
        return TopicPartition(topics.requests, partition), TopicPartition(topics.records, partition)

    async def _fetch_unmoved(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Any]:
        """Fetch commits, none older than before: restarted coordinators have returned such."""
        deadline = time.monotonic() + _BACK_SECONDS
        while True:
            found = await self._fetch_committed(partitions)
            # A partition without a commit has -1, below any commit, so expired commits are noticed
            # too.
            back = [one for one in partitions if found[one].offset < self._newest.get(one, -1)]
            if back:
                ends = await self.fetch_ends(back)
                # If the log ends before the commit, the topic was recreated under the same name.
                back = [one for one in back if ends[one] >= self._newest[one]]
            if not back:
                self._newest.update((one, found[one].offset) for one in partitions)
                return found
            if time.monotonic() > deadline:
                first = back[0]
                raise CommitsWentBack(
                    f"the group's commits went back, of {first.topic} {first.partition} from "
                    f"{self._newest[first]} to {found[first].offset}: Kafka has lost some, or "
                    "someone reset them; nodes that start now begin there"
                )
            await asyncio.sleep(_RETRY_SECONDS)

    async def _fetch_committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Any]:
        while True:
            try:
                found: dict[TopicPartition, Any] = await self._admin.list_consumer_group_offsets(
                    self.group_id, partitions=partitions
                )
            except KafkaError as error:
                # A new cluster has no group coordinator until a client looks for one.
                if not error.retriable:
                    raise
            else:
                # aiokafka ignores the response's top-level error, such as a loading coordinator.
                # The response then has no partitions, which would look like nothing committed.
                if found.keys() >= {*partitions}:
                    return found
            await asyncio.sleep(_RETRY_SECONDS)

    async def fetch_partition_counts(self) -> dict[str, int]:
        """Fetch the partition counts of the four topics; 0 if a topic is missing."""
        topics = self._topics
        names = [topics.requests, topics.records, topics.completions, topics.dead_letters]
        async with asyncio.timeout(_CALL_SECONDS):
            # Ask for all topics: naming one would create it on brokers that auto-create.
            found = {topic["topic"]: topic for topic in await self._admin.describe_topics()}
        return {name: len(found.get(name, {}).get("partitions", ())) for name in names}

    async def _fetch_configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        async with asyncio.timeout(_CALL_SECONDS):
            responses = await self._admin.describe_configs(resources)
        return {
            name: {entry[0]: entry[1] or "" for entry in entries}
            for response in responses
            for _, _, _, name, entries in response.resources
        }

    async def _unusable(self, error: Exception) -> NodeRefused:
        why = await why_unreachable(self._options) or str(error) or "it doesn't answer"
        kind = NoKafka if isinstance(error, (*NO_CONNECTION, OSError)) else NodeRefused
        return kind(f"Kafka at {self._options['bootstrap_servers']} can't be used: {why}")


def _committed(found: Any) -> Committed | None:  # noqa: ANN401 - aiokafka has no types
    if found is None or found.offset < 0:
        return None
    return Committed(found.offset, found.metadata or "")
