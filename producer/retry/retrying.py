"""Publishes the recorded request and batches of exports again, under the ids of their retries.

Publishing is idempotent: the id is derived, a repeated request is ignored, and repeated batches are
dropped. So two concurrent retries of an export do no harm, and an interrupted one is completed by
the next. For the same reason nothing is cancelled. Invariant: an export that isn't complete in
Kafka is never published.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from producer.publisher import ExportPublisher
from producer.replay.catalogue import ExportCatalogue, export_catalogue
from producer.replay.forwarding import Forwarding
from producer.replay.merge import ReplayMessage, messages_in_order, requested
from producer.replay.rewriting import request_again
from producer.replay.source import ReplaySource, replay_source
from producer.replay.survey import Survey
from schemas.completions import Source
from schemas.retries import RetryAttempt
from schemas.topics import Topics

# These messages were accepted once; the broker decides whether they are too large now.
_MOST_MESSAGE_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Retry:
    """An export to run again as ``attempt``; ``source`` is the place of its request.

    ``begun_at`` is the place of the attempt's request, if Kafka already has it.
    """

    export_id: str
    source: Source
    attempt: RetryAttempt
    begun_at: Source | None = None


class Missing(Enum):
    """Why an export can't be retried."""

    NEVER_WHOLE = auto()
    GONE = auto()


@dataclass(frozen=True, slots=True)
class Left:
    """An export that isn't retried; ``why`` continues a sentence that begins with its id."""

    missing: Missing
    why: str


@dataclass(slots=True)
class Retried:
    """The results by export id. ``published`` retries are now complete in Kafka.

    ``under_way`` are those whose retries were already complete there.
    """

    published: list[str] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)
    left: dict[str, Left] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Places:
    """Requests by where they lie. A ``Chosen``."""

    offsets_of: Mapping[int, frozenset[int]]
    latest_ms: int

    async def offsets(self, source: ReplaySource, requests: TopicPartition) -> range:
        """From the first to the last one that Kafka still has."""
        wanted = self.offsets_of.get(requests.partition)
        if not wanted:
            return range(0)
        span = source.reader.spans[requests]
        return range(max(span.start, min(wanted)), min(span.stop, max(wanted) + 1))

    def holds(self, request: ConsumerRecord) -> bool:
        """Whether it is one of them."""
        return request.offset in self.offsets_of[request.partition]


async def run_again(
    retries: Sequence[Retry],
    topics: Topics,
    *,
    dry_run: bool = False,
    on_progress: Callable[[str, int], None] = lambda _what, _done: None,
    **client_options: Any,  # noqa: ANN401 - aiokafka's own
) -> Retried:
    """Publish retries of complete exports; return when everything is acknowledged.

    ``dry_run``: only find out which. The retries have ids of their own. ``on_progress`` is called
    with a step's name and how much of it is done.

    Raises:
        ClientError: Kafka can't be read or written; calling it again continues.
    """
    done = Retried()
    async with replay_source(topics, **client_options) as source:
        done.under_way = await _find_whole([one for one in retries if one.begun_at], source)
        under_way = set(done.under_way)
        rest = [one for one in retries if one.export_id not in under_way]
        with export_catalogue() as exports:
            survey = Survey(
                source,
                _places(one.source for one in rest),
                exports,
                lambda count: on_progress("messages read", count),
            )
            await survey.run()
            for one in rest:
                if left := _left(one, source, exports, survey.batches_from):
                    done.left[one.export_id] = left
                else:
                    done.published.append(one.export_id)
            if done.published and not dry_run:
                messages = messages_in_order(source, exports, _now_ms())
                async with ExportPublisher(
                    topics, max_message_bytes=_MOST_MESSAGE_BYTES, **client_options
                ) as publisher:
                    forwarding = Forwarding(topics, publisher)
                    await _publish(rest, messages, forwarding, on_progress)
    return done


async def _find_whole(begun: Sequence[Retry], source: ReplaySource) -> list[str]:
    """The exports whose retries are complete in Kafka."""
    places = [(one.export_id, one.attempt.export_id, one.begun_at) for one in begun]
    with export_catalogue() as exports:
        await Survey(source, _places(place for _, _, place in places), exports).run()
        found = [
            (export_id, place and exports.find(place.partition, new_id))
            for export_id, new_id, place in places
        ]
    return [export_id for export_id, one in found if one and one.is_whole]


async def _publish(
    retries: Sequence[Retry],
    messages: AsyncIterator[ReplayMessage],
    forwarding: Forwarding,
    on_progress: Callable[[str, int], None],
) -> None:
    by_place = {(one.source.partition, one.export_id): one for one in retries}
    sent = 0
    async for message in messages:
        one = by_place.get((message.partition, message.export_id))
        if one is None:
            continue  # the topic was recreated: another export is in this one's place
        new_id = one.attempt.export_id
        if not message.is_request:
            await forwarding.batch(new_id, message.partition, message.value, last=message.is_last)
        elif one.begun_at:
            forwarding.begin(new_id)
        else:
            value = request_again(requested(message), one.attempt, message.recorded_ms)
            await forwarding.request(new_id, message.partition, value)
        sent += 1
        on_progress("messages published", sent)
    await forwarding.finish()


def _left(
    one: Retry, source: ReplaySource, exports: ExportCatalogue, batches_from: Mapping[int, int]
) -> Left | None:
    """Why an export can't be retried, if it can't."""
    number = one.source.partition
    found = exports.find(number, one.export_id)
    if found is None:
        return Left(Missing.GONE, "Kafka no longer has its request")
    if found.is_whole:
        return None
    records = source.reader.spans[TopicPartition(source.topics.records, number)]
    # The batches begin at the log's current start: earlier ones may have been removed.
    if found.batches == 0 and 0 < records.start == batches_from.get(number):
        return Left(Missing.GONE, "Kafka no longer has its batches")
    why = f"it never was whole: batch {found.batches} is missing or wrong"
    return Left(Missing.NEVER_WHOLE, why)


def _places(sources: Iterable[Source | None]) -> _Places:
    offsets: dict[int, set[int]] = {}
    for source in sources:
        if source:
            offsets.setdefault(source.partition, set()).add(source.offset)
    return _Places({number: frozenset(some) for number, some in offsets.items()}, _now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
