"""One pass over the completions topic: its tail, then new events.

Events have no title, so the requests topic is read too, from the first request of an export that is
kept. Invariant: every step can be repeated, so messages may be read twice.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from clients.bounded_fetch import bounded_getmany
from consumer.core.listing import EndedExports, ExportState, ListedExport, known_title
from consumer.core.tail import Tail
from consumer.decoding import decoded
from consumer.errors import BacklogUnavailable
from consumer.unpacking import Consumed, is_packed, unpacked
from schemas.codec import request_fields
from schemas.completions import ExportCompleted, TerminalEvent, decode_event
from schemas.errors import Unreadable
from schemas.times import to_millis
from schemas.topics import Topics

log = structlog.get_logger(__name__)

_POLL_MS = 200
_POLL_RECORDS = 500
_TAIL_SECONDS = 30.0
# Requests per partition: enough for most exports that are open now.
_OPEN_OFFSETS = 1_000
_MOST_TITLES = 20_000
"""Titles kept for requests whose events haven't been read yet."""

Place: TypeAlias = tuple[int, int]
"""Partition and offset of a request."""


class HistoryReader:
    """Reads into ``ended``, and calls ``on_end`` with each new end. ``consumer`` is started."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topics: Topics,
        ended: EndedExports,
        on_end: Callable[[ListedExport], None],
    ) -> None:
        self._consumer = consumer
        self._topics = topics
        self._ended = ended
        self._on_end = on_end
        self._untitled: OrderedDict[Place, str] = OrderedDict()
        self._titles: OrderedDict[Place, str] = OrderedDict()
        self._positions: dict[TopicPartition, int] = {}
        self._tail: Tail | None = None

    async def load(self, partitions: Mapping[str, int]) -> None:
        """Read the tail; ``partitions`` are the partition numbers by topic.

        Raises:
            KafkaError, TimeoutError, OSError: Kafka doesn't answer.
        """
        # One deadline for both events and titles.
        until = time.monotonic() + _TAIL_SECONDS
        completions = _all_of(self._topics.completions, partitions)
        requests = _all_of(self._topics.requests, partitions)
        starts = await self._consumer.beginning_offsets([*completions, *requests])
        ends = await self._consumer.end_offsets([*completions, *requests])
        await self._load_events(completions, starts, ends, until)
        # Exports that are open now end later, and their requests lie below the current ends.
        firsts = {one: max(starts[one], ends[one] - _OPEN_OFFSETS) for one in requests}
        for number, offset in self._untitled:
            one = TopicPartition(self._topics.requests, number)
            firsts[one] = max(starts[one], min(offset, firsts[one]))
        spans = {one: range(firsts[one], ends[one]) for one in requests if firsts[one] < ends[one]}
        await self._read(spans, until)
        # Messages written meanwhile come next.
        self._positions = {one: ends[one] for one in [*completions, *requests]}
        # These will get no title: everything read from here on lies after their requests.
        self._untitled.clear()
        self._tail = None

    async def follow(self) -> None:
        """Follow new messages until cancelled. As ``load``; BacklogUnavailable: start over."""
        self._seek(self._positions)
        counts = {one.topic: 0 for one in self._positions}
        for one in self._positions:
            counts[one.topic] += 1
        while True:
            await self._poll()
            for topic, count in counts.items():
                if len(self._consumer.partitions_for_topic(topic) or ()) > count:
                    # New partitions would have to be assigned and their tails read: start over
                    # instead.
                    raise BacklogUnavailable(f"{topic} has more partitions than before")

    async def _load_events(
        self,
        completions: list[TopicPartition],
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        until: float,
    ) -> None:
        self._tail = tail = Tail(
            {one.partition: starts[one] for one in completions},
            {one.partition: ends[one] for one in completions},
            self._ended.most,
        )
        while spans := tail.further(self._ended.oldest_ms):
            topic = self._topics.completions
            wanted = {TopicPartition(topic, number): span for number, span in spans.items()}
            if not await self._read(wanted, until):
                log.warning("history is short", read=len(self._ended), wanted=self._ended.most)
                return

    async def _read(self, spans: Mapping[TopicPartition, range], until: float) -> bool:
        """Read the spans; False if time ran out."""
        if not spans:
            return True
        self._seek({one: span.start for one, span in spans.items()})
        left = dict(spans)
        while left:
            if time.monotonic() > until:
                return False
            await self._poll()
            for one in [one for one, span in left.items() if self._positions[one] >= span.stop]:
                # Otherwise aiokafka would keep fetching.
                self._consumer.pause(one)
                del left[one]
        return True

    def _seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(positions)
        self._consumer.assign(list(positions))
        for one, offset in positions.items():
            self._consumer.seek(one, offset)

    async def _poll(self) -> None:
        fetched = await bounded_getmany(self._consumer, _POLL_MS, _POLL_RECORDS)
        for one, records in fetched.items():
            if one.topic == self._topics.requests:
                # Unpacking a heavy batch again for a title would delay callers.
                light = (record for record in records if not is_packed(record))
                async for record, title in decoded(light, _title_of):
                    if title is not None:
                        self._put_title((record.partition, record.offset), title)
                continue
            async for some in unpacked(records, self._positions[one]):
                async for record, event in decoded(some, _event_of):
                    if event:
                        self._put_event(record, event)
        # Fetch positions: transaction markers move them without a record.
        for one in self._positions:
            self._positions[one] = await self._consumer.position(one)

    def _put_event(self, record: Consumed, event: TerminalEvent) -> None:
        place = (event.source.partition, event.source.offset)
        # Requests and events are read concurrently: either of a pair may come first.
        listed = _listed(event, self._titles.pop(place, None))
        if self._ended.put(listed, record.timestamp):
            self._on_end(listed)
        if self._tail:
            self._tail.saw(record.partition, record.timestamp)
        if listed.title is None:
            self._untitled[place] = listed.export_id
            _bound(self._untitled, self._ended.most)

    def _put_title(self, place: Place, title: str) -> None:
        if export_id := self._untitled.pop(place, None):
            self._ended.name(export_id, title)
        else:
            self._titles[place] = title
            _bound(self._titles, _MOST_TITLES)


def _event_of(record: Consumed) -> TerminalEvent | None:
    try:
        return decode_event(record.value or b"")
    except ValueError:  # the topic may hold other messages
        return None


def _title_of(record: Consumed) -> str | None:
    try:
        return known_title(request_fields(record.value, record.key)[0])
    except Unreadable:
        return None


def _listed(event: TerminalEvent, title: str | None) -> ListedExport:
    completed = event if isinstance(event, ExportCompleted) else None
    return ListedExport(
        event.export_id,
        ExportState(event.type.removeprefix("export.")),
        str(event.format),
        event.user,
        title,
        event.rows,
        completed.bytes if completed else None,
        to_millis(event.requested_at),
        to_millis(event.completed_at),
        to_millis(completed.expires_at) if completed and completed.expires_at else None,
    )


def _all_of(topic: str, partitions: Mapping[str, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(partitions[topic])]


def _bound(held: OrderedDict[Place, str], most: int) -> None:
    if len(held) > most:
        # Remove the oldest. A dict would scan past its deleted entries.
        held.popitem(last=False)
