"""Dead letters: what they are, which ones are meant, and how they go back where they came from.

Invariant: a letter goes back as it was sent, to the very partition it was read from, or not at all.
"""

import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from heapq import heappush, heappushpop
from typing import TypeAlias

from aiokafka import ConsumerRecord

from clients.topic_reader import TopicReader
from schemas.completions import Source
from schemas.unread_value import UnreadValue
from schemas.vocabulary import DeadLetterReason

Place: TypeAlias = tuple[int, int]
"""A partition of the dead-letters topic, and an offset there."""

_OURS = "sluice_"
_NUMBER = re.compile("[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A record of the dead-letters topic.

    ``reason`` and ``source`` are None where its headers don't say, as in a record that no node
    wrote. ``headers`` are those of the message itself.
    """

    place: Place
    timestamp: int
    """Kafka's, in milliseconds since the epoch: when it was written there."""
    reason: str | None
    source: Source | None
    truncated: bool
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def parse_dead_letter(record: ConsumerRecord) -> DeadLetterRecord:
    """A record as a dead letter."""
    said = {name: (text or b"").decode(errors="replace") for name, text in record.headers}
    return DeadLetterRecord(
        place=(record.partition, record.offset),
        timestamp=record.timestamp,
        reason=said.get("sluice_reason"),
        source=_source(said),
        truncated=said.get("sluice_truncated") == "true" or isinstance(record.value, UnreadValue),
        key=record.key,
        value=record.value,
        headers=tuple(pair for pair in record.headers if not pair[0].startswith(_OURS)),
    )


def _source(said: Mapping[str, str]) -> Source | None:
    partition, offset = said.get("sluice_partition", ""), said.get("sluice_offset", "")
    if not ("sluice_topic" in said and _NUMBER.fullmatch(partition) and _NUMBER.fullmatch(offset)):
        return None
    return Source(topic=said["sluice_topic"], partition=int(partition), offset=int(offset))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: all for which each field that is given holds.

    Times are Kafka timestamps in milliseconds; ``until`` itself is not in it.
    """

    reasons: Collection[DeadLetterReason] = frozenset()
    since: int | None = None
    until: int | None = None
    places: Collection[Place] | None = None

    def matches(self, letter: DeadLetterRecord) -> bool:
        """Whether it is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.since is None or letter.timestamp >= self.since)
            and (self.until is None or letter.timestamp < self.until)
            and (self.places is None or letter.place in self.places)
        )

    def offset_range(self, partition: int) -> tuple[int, int | None] | None:
        """The offsets to look at, from the first to below the last; None: none at all."""
        if self.places is None:
            return 0, None
        offsets = [offset for number, offset in self.places if number == partition]
        return (min(offsets), max(offsets) + 1) if offsets else None


async def dead_letters(topic: TopicReader, choice: Selection) -> AsyncIterator[DeadLetterRecord]:
    """The letters that are meant, by partition and offset.

    Raises:
        ClientError: as ``TopicReader.records``.
    """
    for partition in topic.spans:
        offset_range = choice.offset_range(partition.partition)
        if offset_range is not None:
            async for record in topic.records(partition, *offset_range):
                letter = parse_dead_letter(record)
                if choice.matches(letter):
                    yield letter


async def newest(topic: TopicReader, choice: Selection, most: int) -> Selection:
    """A choice of the ``most`` newest of those that are meant. Raises as ``dead_letters``."""
    found: list[tuple[int, Place]] = []
    async for letter in dead_letters(topic, choice):
        entry = (letter.timestamp, letter.place)
        if len(found) < most:
            heappush(found, entry)
        else:
            heappushpop(found, entry)
    return Selection(places=frozenset(place for _, place in found))
