"""Creates the four topics, and checks that they exist.

Invariant: nothing is created when anything is wrong, and a topic that exists stays as it is.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from clients.errors import ClientError
from clients.lifecycle import response_error, started, unusable
from schemas.limits import MOST_FORWARDED_BYTES
from schemas.topics import Topics

_ALREADY_EXISTS = 36  # TOPIC_ALREADY_EXISTS: another process was faster
_POLL_SECONDS = 0.1
# A second for topics that exist already, ten for leaders of those just created.
_SEEN_POLLS = 10
_READY_POLLS = 100
_DEAD_LETTER_BYTES = (
    MOST_FORWARDED_BYTES + 64 * 1024
)  # plus what a record batch and our headers add


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic after ``create_topics``."""

    name: str
    partitions: int
    created: bool


class _Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka ships no types
    """aiokafka's admin client with the stop method that its other clients have."""

    async def stop(self) -> None:
        """Disconnect."""
        await self.close()


@asynccontextmanager
async def _connected(client_options: dict[str, Any]) -> AsyncIterator[_Admin]:
    """An admin client for the block; a broker that it discovers later may still refuse it."""
    async with started(_Admin(**client_options), client_options) as admin:
        try:
            yield admin
        except KafkaError as error:
            raise await unusable(client_options, error) from None


async def partition_counts(names: Iterable[str], **client_options: Any) -> dict[str, int]:  # noqa: ANN401 - aiokafka's own
    """Partition counts of those topics that exist. Never creates one.

    Raises:
        ClientError: Kafka can't be reached.
    """
    async with _connected(client_options) as admin:
        return await _counts(admin, names)


async def require_topics(names: Iterable[str], **client_options: Any) -> dict[str, int]:  # noqa: ANN401 - aiokafka's own
    """Partition counts of topics that have to exist.

    Raises:
        ClientError: Kafka can't be reached, or topics are missing; it names them.
    """
    names = list(names)
    async with _connected(client_options) as admin:
        counts = await _poll_counts(admin, names, polls=_SEEN_POLLS)
    missing = [name for name in names if name not in counts]
    if missing:
        raise ClientError(
            f"no such topic: {', '.join(missing)} (`sluice topics create` creates them)"
        )
    return counts


async def create_topics(
    topics: Topics,
    partitions: int,
    replication_factor: int,
    **client_options: Any,  # noqa: ANN401 - aiokafka's own
) -> list[TopicState]:
    """Create the topics that are missing, and wait until all four can be used.

    Where the input topics exist, the output topics get as many partitions as they have.

    Raises:
        ClientError: Kafka can't be reached or refuses, or the input topics have, or would have,
            unequal partition counts.
    """
    names = [topics.requests, topics.records, topics.completions, topics.dead_letters]
    async with _connected(client_options) as admin:
        existing = await _counts(admin, names)
        check_pair(topics, {topics.requests: partitions, topics.records: partitions} | existing)
        wanted = existing.get(topics.requests, partitions)
        missing = [name for name in names if name not in existing]
        await _create(admin, [_new(topics, name, wanted, replication_factor) for name in missing])
        counts = await _until_ready(admin, names)
    # Check again: another process may have created them meanwhile with another count.
    check_pair(topics, counts)
    return [TopicState(name, counts[name], name in missing) for name in names]


def check_pair(topics: Topics, counts: dict[str, int]) -> None:
    """Check that a request and its batches share a partition number.

    Raises:
        ClientError: the partition counts of the input topics differ.
    """
    requests, records = counts[topics.requests], counts[topics.records]
    if requests != records:
        raise ClientError(
            f"unequal partition counts: {topics.requests} {requests}, {topics.records} {records}; "
            "the two must have the same"
        )


def _new(topics: Topics, name: str, partitions: int, replication_factor: int) -> NewTopic:
    # Compaction would remove the requests and batches of an export that share its key.
    configurations = {
        topics.requests: {"cleanup.policy": "delete"},
        topics.records: {"cleanup.policy": "delete"},
        # Nodes don't compress, as that would hold up their event loop. Every client reads gzip.
        topics.completions: {"compression.type": "gzip"},
        # Not compressed: large ones are the worst to compress, and the broker has other work.
        topics.dead_letters: {"max.message.bytes": str(_DEAD_LETTER_BYTES)},
    }
    return NewTopic(name, partitions, replication_factor, topic_configs=configurations[name])


async def _create(admin: _Admin, topics: list[NewTopic]) -> None:
    if not topics:
        return
    response = await admin.create_topics(topics)
    for name, code, *message in response.topic_errors:
        problem = response_error(code, message[0] if message else None)
        # Another process may be creating the same topics; both then wait for the leaders.
        if problem and code != _ALREADY_EXISTS:
            raise ClientError(f"{name} can't be created: {problem}")


async def _until_ready(admin: _Admin, names: list[str]) -> dict[str, int]:
    """Wait until the broker that answers knows a leader for every partition."""
    counts = await _poll_counts(admin, names, polls=_READY_POLLS, only_led=True)
    late = [name for name in names if name not in counts]
    if late:
        raise ClientError(f"created, but without a leader for each partition: {', '.join(late)}")
    return counts


async def _poll_counts(
    admin: _Admin, names: list[str], *, polls: int, only_led: bool = False
) -> dict[str, int]:
    """Fetch until all exist, at most ``polls`` times: brokers learn of new topics late."""
    counts = await _counts(admin, names, only_led=only_led)
    for _ in range(polls):
        if len(counts) == len(names):
            break
        await asyncio.sleep(_POLL_SECONDS)
        counts = await _counts(admin, names, only_led=only_led)
    return counts


async def _counts(admin: _Admin, names: Iterable[str], *, only_led: bool = False) -> dict[str, int]:
    # Describe all topics: naming one would create it on a broker that auto-creates topics.
    described = {topic["topic"]: topic for topic in await admin.describe_topics()}
    return {
        name: len(described[name]["partitions"])
        for name in names
        if name in described
        and (not only_led or all(part["leader"] >= 0 for part in described[name]["partitions"]))
    }
