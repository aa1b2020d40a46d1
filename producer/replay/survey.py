"""The first pass: finds the recorded exports that can be replayed.

Half an export must never be published, and only its last batch shows that it is whole. Requests are
selected by their Kafka timestamps or their places; their batches are read up to the source's end,
so an export that was requested in time is whole even if it took longer. Of messages only offsets
are kept. Invariant: each request that was read is in the ``ExportCatalogue`` or counted in
``LeftOut``.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Protocol

from aiokafka import ConsumerRecord, TopicPartition

from producer.replay.catalogue import ExportCatalogue
from producer.replay.source import ReplaySource
from schemas.codec import InvalidRequest, decode_request
from schemas.errors import Invalid, Unreadable
from schemas.records import decode_batch
from schemas.requests import CancelRequested

CLOCK_SKEW_MS = 60_000
"""By default timestamps are of upstream's hosts, whose clocks differ by less than this."""


class Chosen(Protocol):
    """Which requests are surveyed.

    ``latest_ms`` is now: a later timestamp is of a wrong clock and counts as now.
    """

    @property
    def latest_ms(self) -> int:
        """In milliseconds since the epoch."""

    async def offsets(self, source: ReplaySource, requests: TopicPartition) -> range:
        """Where they lie in a partition; others may lie among them."""

    def holds(self, request: ConsumerRecord) -> bool:
        """Whether a request among them is one of them."""


@dataclass(frozen=True, slots=True)
class Period:
    """When replayed exports were requested, in milliseconds since the epoch.

    Without ``until_ms`` there is no end. A ``Chosen``.
    """

    since_ms: int
    until_ms: int | None
    latest_ms: int

    async def offsets(self, source: ReplaySource, requests: TopicPartition) -> range:
        """From a minute before to a minute after, as timestamps may be out of order.

        Raises:
            ClientError: Kafka fails to answer.
        """
        beyond_ms = None if self.until_ms is None else self.until_ms + CLOCK_SKEW_MS
        return await source.offsets(requests, self.since_ms, beyond_ms)

    def holds(self, request: ConsumerRecord) -> bool:
        """Whether a request has a timestamp of the period."""
        return bool(
            self.since_ms <= request.timestamp
            and (self.until_ms is None or request.timestamp < self.until_ms)
        )


@dataclass(slots=True)
class LeftOut:
    """Messages and exports that are not replayed, by reason; ``unreadable`` counts both topics."""

    incomplete: int = 0
    invalid_requests: int = 0
    repeated_requests: int = 0
    cancellations: int = 0
    unreadable: int = 0

    def __str__(self) -> str:
        """``3: 2 incomplete, 1 cancellations``, or ``0``."""
        return in_words(asdict(self))


def in_words(counts: dict[str, int]) -> str:
    """``3: 2 sequence_gap, 1 unfinished``: the sum and its parts; or ``0``."""
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{sum(counts.values())}: {found}" if found else "0"


class Survey:
    """Reads partition after partition, requests before batches.

    ``on_message`` is called with the number of messages read so far.
    """

    def __init__(
        self,
        source: ReplaySource,
        chosen: Chosen,
        exports: ExportCatalogue,
        on_message: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._left_out = LeftOut()
        self._messages = 0
        self._source = source
        self._chosen = chosen
        self._exports = exports
        self._on_message = on_message
        self.batches_from: dict[int, int] = {}
        """Offsets from which a partition's batches were read, where any were looked for."""

    async def run(self) -> LeftOut:
        """Fill the catalogue; return what can't be replayed.

        Raises:
            ClientError: the topics can't be read.
        """
        for partition in range(self._source.partitions):
            earliest_ms = await self._read_requests(partition)
            await self._read_batches(partition, earliest_ms)
        requested, whole = self._exports.counts()
        self._left_out.incomplete = requested - whole
        return self._left_out

    async def _read_requests(self, partition: int) -> int:
        """Add the requests of a partition; return the earliest of their timestamps."""
        place = TopicPartition(self._source.topics.requests, partition)
        latest_ms = self._chosen.latest_ms
        at_ms, earliest_ms = 0, latest_ms
        async with self._stream(place, await self._chosen.offsets(self._source, place)) as messages:
            async for message in messages:
                if self._chosen.holds(message):
                    at_ms = max(at_ms, min(message.timestamp, latest_ms))
                    # What a wrong clock wrote into the future says nothing of when it was.
                    is_known = message.timestamp <= latest_ms + CLOCK_SKEW_MS
                    earliest_ms = min(earliest_ms, message.timestamp if is_known else 0)
                    self._note_request(message, at_ms)
        return earliest_ms

    def _note_request(self, message: ConsumerRecord, at_ms: int) -> None:
        self._count()
        try:
            request = decode_request(message.value)
        except Unreadable:
            self._left_out.unreadable += 1
        except InvalidRequest:
            self._left_out.invalid_requests += 1
        else:
            if isinstance(request, CancelRequested):
                self._left_out.cancellations += 1
            elif not self._exports.add_request(
                message.partition, request.export_id, message.offset, at_ms
            ):
                self._left_out.repeated_requests += 1

    async def _read_batches(self, partition: int, earliest_ms: int) -> None:
        if self._exports.settled(partition):
            return
        place = TopicPartition(self._source.topics.records, partition)
        # Batches may bear the time of another host's clock.
        since_ms = max(0, earliest_ms - CLOCK_SKEW_MS)
        offsets = await self._source.offsets(place, since_ms, None)
        self.batches_from[partition] = offsets.start
        async with self._stream(place, offsets) as messages:
            async for message in messages:
                if self._note_batch(message) and self._exports.settled(partition):
                    break

    def _note_batch(self, message: ConsumerRecord) -> bool:
        """Add a batch; return whether the partition may be settled now."""
        self._count()
        try:
            batch = decode_batch(message.value)
        except Unreadable:
            self._left_out.unreadable += 1
            self._exports.add_fault(
                message.partition, (message.key or b"").decode(errors="replace")
            )
        except Invalid as error:
            self._exports.add_fault(message.partition, error.export_id)
        else:
            self._exports.add_batch(message.partition, batch, message.offset)
            return batch.last
        return True

    def _count(self) -> None:
        self._messages += 1
        self._on_message(self._messages)

    @asynccontextmanager
    async def _stream(
        self, place: TopicPartition, offsets: range
    ) -> AsyncIterator[AsyncIterator[ConsumerRecord]]:
        (stream,) = self._source.reader.streams({place: offsets})
        async with aclosing(stream):
            yield stream
