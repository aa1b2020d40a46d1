"""Records of the dead-letters topic: parsed, and selected.

Invariant: a letter has the key, value and headers of the original message, or is truncated.
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

    ``reason`` and ``source`` are None where its headers lack them, as in a record that no node
    wrote. ``headers`` are those of the original message.
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
    """Parse a record; missing or malformed headers become None."""
    headers = {name: (text or b"").decode(errors="replace") for name, text in record.headers}
    return DeadLetterRecord(
        place=(record.partition, record.offset),
        timestamp=record.timestamp,
        reason=headers.get("sluice_reason"),
        source=_source(headers),
        truncated=headers.get("sluice_truncated") == "true"
        or isinstance(record.value, UnreadValue),
        key=record.key,
        value=record.value,
        headers=tuple(pair for pair in record.headers if not pair[0].startswith(_OURS)),
    )


def _source(headers: Mapping[str, str]) -> Source | None:
    partition, offset = headers.get("sluice_partition", ""), headers.get("sluice_offset", "")
    if not (
        "sluice_topic" in headers and _NUMBER.fullmatch(partition) and _NUMBER.fullmatch(offset)
    ):
        return None
    return Source(topic=headers["sluice_topic"], partition=int(partition), offset=int(offset))


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects the letters that match each field that is given.

    Times are Kafka timestamps in milliseconds; ``until`` is excluded.
    """

    reasons: Collection[DeadLetterReason] = frozenset()
    since: int | None = None
    until: int | None = None
    places: Collection[Place] | None = None

    def matches(self, letter: DeadLetterRecord) -> bool:
        """Whether a letter is selected."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.since is None or letter.timestamp >= self.since)
            and (self.until is None or letter.timestamp < self.until)
            and (self.places is None or letter.place in self.places)
        )

    def offset_range(self, partition: int) -> tuple[int, int | None] | None:
        """The first offset to read and the one to stop before, if any; None: read nothing."""
        if self.places is None:
            return 0, None
        offsets = [offset for number, offset in self.places if number == partition]
        return (min(offsets), max(offsets) + 1) if offsets else None


async def dead_letters(topic: TopicReader, selection: Selection) -> AsyncIterator[DeadLetterRecord]:
    """The selected letters, by partition and offset.

    Raises:
        ClientError: as ``TopicReader.records``.
    """
    for partition in topic.spans:
        offset_range = selection.offset_range(partition.partition)
        if offset_range is not None:
            first, stop = offset_range
            if selection.since is not None:  # no earlier one is this late
                first = max(first, await topic.first_offset_at(partition, selection.since))
            async for record in topic.records(partition, first, stop):
                letter = parse_dead_letter(record)
                if selection.matches(letter):
                    yield letter


async def newest(topic: TopicReader, selection: Selection, most: int) -> Selection:
    """Narrow a selection to its ``most`` newest letters. Raises as ``dead_letters``."""
    found: list[tuple[int, Place]] = []
    async for letter in dead_letters(topic, selection):
        entry = (letter.timestamp, letter.place)
        # A heap of the newest: memory doesn't grow with the topic.
        if len(found) < most:
            heappush(found, entry)
        else:
            heappushpop(found, entry)
    return Selection(places=frozenset(place for _, place in found))
