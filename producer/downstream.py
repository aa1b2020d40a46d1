"""Terminal events for a downstream service, in a consumer group of its own: ``completions``.

It is a client of the topics, so it lives beside upstream's; ``CompletionFeed`` is for tools, which
have no group. Invariant: an offset is committed only after the body of the loop has handled its
event. So delivery is at least once: if the body crashes, or the partition is lost before the
commit, the event is delivered again, here or to another member.

    async with completions(topics, "billing", bootstrap_servers="kafka:9092") as events:
        async for event in events:
            ...  # the event counts as handled when the loop fetches the next one
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from clients.errors import ClientError
from clients.lenient_records import read_leniently
from clients.lifecycle import started
from clients.topics import require_topics
from schemas.completions import TerminalEvent, decode_event
from schemas.topics import Topics

log = structlog.get_logger(__name__)

REMEMBERED_EVENTS = 1_000
"""Handled events remembered per partition, to recognise copies."""

_HEARTBEAT_MS = 1_000  # a rebalance begins for a member with its next heartbeat
# Beyond the handling timeout: a member that waited for its event can still join.
_JOIN_MARGIN_SECONDS = 10.0
_MOST_ERRORS = 10  # in a row, a second apart


@asynccontextmanager
async def completions(
    topics: Topics,
    group_id: str,
    *,
    handling_timeout_seconds: float = 30.0,
    session_timeout_seconds: float = 10.0,
    **client_options: Any,  # noqa: ANN401 - aiokafka's own
) -> AsyncIterator["Completions"]:
    """Join ``group_id`` and yield its share of the terminal events; leave the group at the end.

    A new group begins with the oldest event. A rebalance waits up to ``handling_timeout_seconds``
    for the event in hand. A member without heartbeats for ``session_timeout_seconds`` is removed
    from the group; so is one that fetches no event for five minutes. ``client_options`` are
    aiokafka's: bootstrap servers and security. Cancelled, it leaves the group within four seconds.

    Raises:
        ClientError: Kafka can't be reached, or the topic is missing; within ten seconds.
    """
    await require_topics([topics.completions], **client_options)
    read_leniently()
    consumer = AIOKafkaConsumer(
        group_id=group_id,
        isolation_level="read_committed",
        enable_auto_commit=False,
        # An offset that retention has removed is an error, never a silent jump.
        auto_offset_reset="none",
        session_timeout_ms=int(session_timeout_seconds * 1000),
        heartbeat_interval_ms=min(_HEARTBEAT_MS, int(session_timeout_seconds * 1000 / 3)),
        rebalance_timeout_ms=int((handling_timeout_seconds + _JOIN_MARGIN_SECONDS) * 1000),
        **client_options,
    )
    hand = _Hand(handling_timeout_seconds)
    async with started(consumer, client_options):
        # If subscribed before its start, it would wait there for the group's other members.
        consumer.subscribe([topics.completions], listener=hand)
        try:
            yield Completions(consumer, hand)
        finally:
            hand.open()


class Completions:
    """An endless iterator of terminal events, for one task. Made by ``completions``.

    A copy of an event, by its ``ce_id``, is skipped if it is among the latest ``REMEMBERED_EVENTS``
    handled here of its partition. Only this process remembers them: after a restart or a takeover
    the one event whose commit was missing comes again, so the body has to be idempotent, by
    ``event.event_id``.
    """

    def __init__(self, consumer: AIOKafkaConsumer, hand: "_Hand") -> None:
        self.skipped = 0
        """Messages skipped because they are no terminal events; each is logged with its offset."""
        self.repeated = 0
        """Copies of handled events that were skipped."""
        self._consumer = consumer
        self._hand = hand
        self._handled: defaultdict[TopicPartition, RecentIds] = defaultdict(RecentIds)
        self._begins = False

    def __aiter__(self) -> Self:
        """Begin a loop, with the event that the previous loop left unhandled, if there is one."""
        self._begins = True
        return self

    async def __anext__(self) -> TerminalEvent:
        """The next event; the previous one counts as handled now. Waits while the broker is away.

        Raises:
            ClientError: it can't be read or committed, for example because retention removed it.
        """
        begins, self._begins = self._begins, False
        if begins and (unhandled := self._hand.unhandled()):
            return unhandled.event
        await self.commit()
        while True:
            record = await self._fetch()
            place = _PartitionPlace(
                TopicPartition(record.topic, record.partition), record.offset, self._hand.assignment
            )
            event = self._event(record)
            if event and event.event_id not in self._handled[place.partition]:
                self._hand.take(_Delivered(event, place))
                return event
            # Commit skipped messages too, or they would come again after each restart.
            self.repeated += event is not None
            await self._commit(place)

    async def commit(self) -> None:
        """Mark the event in hand as handled, as fetching the next one does.

        Call it before leaving the loop by ``break``; otherwise that event is delivered again.

        Raises:
            ClientError: the offset can't be committed.
        """
        if delivered := self._hand.delivered:
            # Before the commit: if that fails, the event comes again and is recognised.
            self._handled[delivered.place.partition].add(delivered.event.event_id)
            try:
                await self._commit(delivered.place)
            finally:
                self._hand.open()

    def _event(self, record: ConsumerRecord) -> TerminalEvent | None:
        try:
            return decode_event(record.value or b"")
        except ValueError as error:
            self.skipped += 1
            log.warning(
                "no terminal event, skipped",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                error=f"{error!s:.500}",
            )
            return None

    async def _fetch(self) -> ConsumerRecord:
        errors = 0
        while True:
            try:
                return await self._consumer.getone()
            except NoOffsetForPartitionError as error:
                # A new group, or a partition that was added.
                await self._begin(error.args[0])
            except OffsetOutOfRangeError as error:
                raise ClientError(_gone(error.args[0])) from None
            except KafkaError as error:
                errors += 1
                log.warning("poll failed", error=f"{type(error).__name__}: {error}", times=errors)
                if errors == _MOST_ERRORS:
                    raise ClientError(f"completions can't be read: {error}") from None
                await asyncio.sleep(1)

    async def _begin(self, partition: TopicPartition) -> None:
        """Nothing is committed yet: seek to the oldest event."""
        with suppress(IllegalStateError):  # revoked meanwhile
            await self._consumer.seek_to_beginning(partition)

    async def _commit(self, place: "_PartitionPlace") -> None:
        """Commit the offset after a place, unless the partition was reassigned since it was read.

        In that case the next owner begins before it; if that is us, the copy is recognised.
        """
        if place.assignment != self._hand.assignment:
            return
        try:
            await self._consumer.commit({place.partition: place.offset + 1})
        except (CommitFailedError, IllegalStateError):
            log.warning(
                "partition lost before the commit",
                partition=place.partition.partition,
                offset=place.offset,
            )
        except KafkaError as error:
            raise ClientError(f"an offset can't be committed: {error}") from None


class RecentIds:
    """The latest ``REMEMBERED_EVENTS`` ids; older ones are dropped."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._ids

    def add(self, event_id: str) -> None:
        """Remember an id as the latest."""
        self._ids.pop(event_id, None)
        self._ids[event_id] = None
        if len(self._ids) > REMEMBERED_EVENTS:
            del self._ids[next(iter(self._ids))]


@dataclass(frozen=True, slots=True)
class _PartitionPlace:
    """An event's offset, and the group's assignment in which it was read."""

    partition: TopicPartition
    offset: int
    assignment: int


@dataclass(frozen=True, slots=True)
class _Delivered:
    event: TerminalEvent
    place: _PartitionPlace


class _Hand(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Holds the event that the body is handling, and makes rebalances wait for it.

    aiokafka rebalances in a task of its own, at any time, and sends heartbeats while the revoke is
    awaited. Without the wait each rebalance would deliver an event to two members.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self.delivered: _Delivered | None = None
        self.assignment = 0
        """Counts revokes: what was read before one must not be committed after it."""
        self._timeout_seconds = timeout_seconds
        self._empty = asyncio.Event()
        self._empty.set()

    def take(self, delivered: _Delivered) -> None:
        """Hold an event that the body is about to handle."""
        self.delivered = delivered
        self._empty.clear()

    def open(self) -> None:
        """Drop the event: it is handled, or will not be here."""
        self.delivered = None
        self._empty.set()

    def unhandled(self) -> _Delivered | None:
        """The event in hand, unless it is of an earlier assignment: then it is fetched again."""
        if self.delivered and self.delivered.place.assignment != self.assignment:
            self.open()
        return self.delivered

    async def on_partitions_revoked(self, _revoked: Iterable[TopicPartition]) -> None:
        """Wait until the body has handled its event, or the timeout is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_seconds):
                await self._empty.wait()
        # Only after the wait: until here the event in hand may still be committed.
        self.assignment += 1

    async def on_partitions_assigned(self, _assigned: Iterable[TopicPartition]) -> None:
        """Nothing to do: aiokafka continues at the committed offsets."""


def _gone(offsets: dict[TopicPartition, int]) -> str:
    places = ", ".join(f"{p.topic} partition {p.partition} offset {o}" for p, o in offsets.items())
    return (
        f"{places} is gone before it was handled, by retention or with its topic; "
        "commit another offset for the group to go on"
    )
