"""One pass over the requests topic, from the commits until an inconsistency is found.

Requests go into one ``PartitionBacklog`` per partition and the group's commits prune them. A *look*
fetches end offsets and commits; questions at about the same time share one. Invariant:
``_positions`` advance only once everything below them is in the partitions' backlogs.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition

from clients.bounded_fetch import bounded_getmany
from consumer.cluster import Cluster
from consumer.core.backlog import PartitionBacklog, Requested, UnfinishedRequest
from consumer.core.listing import known_title
from consumer.core.resume import Committed, ResumePoint, resume_point
from consumer.decoding import decoded
from consumer.errors import BacklogUnavailable, RequestsHidden
from consumer.exports.terminal_events import known_format, known_time, known_user
from consumer.unpacking import Consumed, unpacked
from schemas.codec import request_fields
from schemas.errors import Unreadable
from schemas.records import export_id_of
from schemas.times import from_millis, to_millis

_POLL_MS = 100  # a transaction marker moves the position without ending a poll
_POLL_RECORDS = 500
_CALL_SECONDS = 5.0
# The maximum age of an answer that needn't be fresh.
_LOOK_SECONDS = 1.0
# Questions within this time share one look.
_BETWEEN_LOOKS_SECONDS = 0.05
_LOOK_SHARE = 5  # looks take at most this fraction of the time, however much is open
_HIDDEN_SECONDS = 2.0
_READ_AGAIN = "the backlog is being read again"

_CommittedPair: TypeAlias = tuple[Committed | None, Committed | None]
_NOTHING = Committed(0, "")


@dataclass(frozen=True, slots=True)
class Ends:
    """End offsets: ``stable`` of committed messages, ``all`` with those in open transactions."""

    stable: Mapping[TopicPartition, int]
    all: Mapping[TopicPartition, int]


class BacklogReader:
    """Call ``begin``, ``run``, then ``close``. ``consumer`` is already started."""

    def __init__(self, consumer: AIOKafkaConsumer, cluster: Cluster, most_followed: int) -> None:
        self._consumer = consumer
        self._cluster = cluster
        self._most_followed = most_followed
        self._partitions: dict[TopicPartition, PartitionBacklog] = {}
        self._committed: dict[int, _CommittedPair] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._moved = asyncio.Event()
        self._one_look = asyncio.Lock()
        self._next_look: asyncio.Task[Ends] | None = None
        self._looks: set[asyncio.Task[Ends]] = set()
        self._look_due_at = 0.0
        self._whole = False
        self._doubt: BaseException | None = None
        self._closed = False
        self.pieces_read = 0
        """Messages read so far; growth shows that Kafka answers."""

    async def begin(self) -> None:
        """Start from what is committed.

        Raises:
            BacklogUnavailable: not available now; begin again.
            KafkaError, TimeoutError, OSError: Kafka doesn't answer.
            ValueError: the committed metadata can't be parsed.
        """
        partitions = await self._cluster.fetch_request_partitions()
        if not partitions:
            raise BacklogUnavailable("the requests topic is not there")
        self._committed = await self._cluster.fetch_all_committed(
            one.partition for one in partitions
        )
        async with asyncio.timeout(_CALL_SECONDS):
            starts = await self._consumer.beginning_offsets(partitions)
        for one in partitions:
            self._partitions[one] = self._partition_backlog(one)
        self._consumer.assign(partitions)
        for one, backlog in self._partitions.items():
            # Requests below the log's start have been removed by retention.
            self._positions[one] = max(starts[one], backlog.start)
            self._consumer.seek(one, self._positions[one])

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            BacklogUnavailable: an inconsistency was found. Otherwise as ``begin``.
        """
        while self._doubt is None:
            if time.monotonic() >= self._look_due_at + _LOOK_SECONDS:
                await self.look()
            if self._full:
                # Only looks make room, by dropping what has ended.
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                await self._poll()
        raise self._doubt

    async def close(self) -> None:
        """Refuse all pending questions."""
        self._closed = True
        self._tell_moved()
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    async def unfinished(self) -> list[tuple[Requested, bool]]:
        """All unfinished exports, maybe a second old, and whether each has begun. As ``run``."""
        await self.count(fresh=False)
        return [one for backlog in self._partitions.values() for one in backlog.unfinished()]

    async def count(self, *, fresh: bool) -> int:
        """Count the unfinished exports. Raises as ``run``."""
        if fresh or not self._whole:
            await self._read_to((await self.look()).stable)
            self._whole = True
        return self._held

    async def counts(self, user: str) -> tuple[int, int]:
        """A fresh ``count``, in all and for this user. Raises as ``run``."""
        every = await self.count(fresh=True)
        return every, sum(one.count_of(user) for one in self._partitions.values())

    async def find(self, export_id: str, *, accepted: bool) -> UnfinishedRequest | None:
        """The unfinished export of an id. Raises RequestsHidden; else as ``run``."""
        ends = await self.look()
        read = self._find(export_id) is not None or await self._read_to(ends.stable)
        if read and self._find(export_id) is None and not accepted:
            read = await self._read_hidden(ends.all)
        found = self._find(export_id)
        if found is None and not read:
            raise BacklogUnavailable(f"{self._most_followed} exports and more are unfinished")
        return found

    async def look(self) -> Ends:
        """Fetch current end offsets and commits, and drop what has ended. Raises as ``run``."""
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look_in_turn(), name="backlog-look")
            self._looks.add(self._next_look)
            self._next_look.add_done_callback(self._looked)
        look = self._next_look
        await asyncio.wait([look])  # if this call is cancelled, the look continues for the others
        if look.cancelled():
            raise BacklogUnavailable(_READ_AGAIN)
        return look.result()

    def _looked(self, look: asyncio.Task[Ends]) -> None:
        self._looks.discard(look)
        # In a callback, because every caller waiting for this look may have been cancelled.
        if not look.cancelled():
            self._doubt = self._doubt or look.exception()

    async def _look_in_turn(self) -> Ends:
        async with self._one_look:
            if self._doubt:
                raise BacklogUnavailable(_READ_AGAIN)
            await asyncio.sleep(self._look_due_at - time.monotonic())
            self._next_look = None  # later calls need a newer look
            begun = time.monotonic()
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    return await self._look()
            finally:
                busy = (time.monotonic() - begun) * _LOOK_SHARE
                self._look_due_at = begun + min(max(busy, _BETWEEN_LOOKS_SECONDS), _LOOK_SECONDS)

    async def _look(self) -> Ends:
        # Take positions first: they lie below ends fetched later, unless the topic was recreated.
        partitions, before = list(self._partitions), dict(self._positions)
        if len(self._consumer.partitions_for_topic(partitions[0].topic) or ()) > len(partitions):
            raise BacklogUnavailable("the requests topic has more partitions than before")
        # In this order no end of ``all`` can be below one of ``stable``.
        stable = await self._cluster.fetch_stable_ends(partitions)
        ends = Ends(stable, await self._cluster.fetch_ends(partitions))
        if any(before[one] > ends.all[one] for one in partitions):
            raise BacklogUnavailable("the requests topic is shorter than before")
        committed = await self._cluster.fetch_all_committed(one.partition for one in partitions)
        for one, backlog in self._partitions.items():
            await self._prune(one.partition, backlog, committed[one.partition])
        return ends

    async def _prune(
        self,
        partition: int,
        backlog: PartitionBacklog,
        committed: _CommittedPair,
    ) -> None:
        if committed == self._committed[partition]:
            return
        if not backlog.commit(_point(committed)):
            raise BacklogUnavailable("the group's offsets went back")
        self._committed[partition] = committed
        await asyncio.sleep(0)  # one commit may list a thousand open requests

    async def _poll(self) -> None:
        fetched = await bounded_getmany(self._consumer, _POLL_MS, _POLL_RECORDS)
        for one, records in fetched.items():
            async for some in unpacked(records, self._positions[one]):
                await self._put(self._partitions[one], some)
                self.pieces_read += 1
        async with asyncio.timeout(_CALL_SECONDS):  # it may be resetting to the log's start
            # Only now is everything below these positions in the partitions' backlogs.
            for one in self._partitions:
                self._positions[one] = await self._consumer.position(one)
        self._tell_moved()

    async def _put(self, backlog: PartitionBacklog, records: Sequence[Consumed]) -> None:
        wanted = (record for record in records if backlog.wants(record.offset))
        async for record, request in decoded(wanted, _requested):
            if request:
                backlog.put(record.offset, request)

    async def _read_to(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Wait until everything below is read; False if there is no room to continue."""
        while self._is_behind(ends):
            if self._closed:
                raise BacklogUnavailable(_READ_AGAIN)
            if self._full:
                return False
            await self._moved.wait()
        return True

    async def _read_hidden(self, ends: Mapping[TopicPartition, int]) -> bool:
        """As ``_read_to``, but waits for open transactions; most close within moments."""
        try:
            async with asyncio.timeout(_HIDDEN_SECONDS):
                return await self._read_to(ends)
        except TimeoutError:
            raise RequestsHidden("an open transaction holds requests back") from None

    def _tell_moved(self) -> None:
        # A new event per move: later callers wait for the next one.
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _is_behind(self, ends: Mapping[TopicPartition, int]) -> bool:
        return any(self._positions[one] < end for one, end in ends.items())

    def _find(self, export_id: str) -> UnfinishedRequest | None:
        """If an id is wrongly on several partitions, prefer one that has begun."""
        found = [one for p in self._partitions.values() if (one := p.find(export_id))]
        return max(found, key=lambda one: one.begun, default=None)

    def _partition_backlog(self, one: TopicPartition) -> PartitionBacklog:
        return PartitionBacklog(one.topic, one.partition, _point(self._committed[one.partition]))

    @property
    def _held(self) -> int:
        return sum(map(len, self._partitions.values()))

    @property
    def _full(self) -> bool:
        return self._held >= self._most_followed


def requested(
    value: bytes | None, key: bytes | None = None, timestamp_ms: int = 0
) -> Requested | None:
    """Parse a message of the requests topic; None if it opens no export.

    Invalid fields are left to the partition's owner, since every request with a valid id gets a
    terminal event. ``timestamp_ms``, the message's own, replaces a missing ``requested_at``.
    """
    try:
        sent, _ = request_fields(value, key)
        if sent.get("type") != "export.requested":
            return None
        moment = known_time(sent)
        return Requested(
            export_id_of(sent),
            known_user(sent),
            known_format(sent),
            known_title(sent),
            to_millis(moment or from_millis(timestamp_ms)),
        )
    except Unreadable:
        return None


def _requested(record: Consumed) -> Requested | None:
    return requested(record.value, record.key, record.timestamp)


def _point(committed: _CommittedPair) -> ResumePoint:
    requests, records = committed
    return resume_point(requests or _NOTHING, records or _NOTHING)
