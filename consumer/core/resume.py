"""What a partition commits: where its next owner resumes, and what was open.

Kafka keeps one offset and up to 4096 characters of metadata for each of the two input partitions:

    requests   offset: the position Q              metadata: offsets of open requests
    records    offset: the resume offset R         metadata: the position P, and which are begun

R is the lowest first-batch offset of an open export, so its file can be made again from there; at
or above P nothing was handled yet. An open export is begun when a batch of it was applied; nothing
depends on that but what a node tells of it. The state grows with open exports, not with traffic.
Pure.

Invariant: Q is above every open request's offset, and R is at most P.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

METADATA_LIMIT = 4096
"""Characters that a broker takes (offset.metadata.max.bytes); one more kills the producer."""

_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Committed:
    """One partition's committed offset and metadata, as Kafka keeps them."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where to go on. ``open_requests`` are offsets, ascending; ``begun_requests`` some of them."""

    requests_position: int
    open_requests: tuple[int, ...]
    records_resume: int
    records_position: int
    begun_requests: tuple[int, ...] = ()

    def committed_requests(self) -> Committed:
        """What to commit for the partition of the requests topic."""
        return Committed(self.requests_position, encode_ascending(self.open_requests))

    def committed_records(self) -> Committed:
        """What to commit for the partition of the records topic.

        After the distance to P, each number marks a begun export: by its place among the open
        requests, as their offsets written twice may pass the limit. A build that reads the first
        number alone knows all that a lane needs, so the version is the same.
        """
        ahead, begun = self.records_position - self.records_resume, frozenset(self.begun_requests)
        places = (place for place, offset in enumerate(self.open_requests, 1) if offset in begun)
        numbers = (ahead, *(ahead + place for place in places))
        return Committed(self.records_resume, encode_ascending(numbers))


def resume_point(requests: Committed, records: Committed) -> ResumePoint:
    """Read what was committed. Empty metadata, as Kafka's own tools write it, says: none open.

    Raises:
        ValueError: the metadata isn't ours, or of a version that this build doesn't know.
    """
    open_requests = tuple(decode_ascending(requests.metadata))
    if open_requests and open_requests[-1] >= requests.offset:
        raise ValueError("an open request lies at or above the position")
    ahead, *marks = tuple(decode_ascending(records.metadata)) or (0,)
    begun = _marked(open_requests, ahead, marks)
    return ResumePoint(
        requests.offset, open_requests, records.offset, records.offset + ahead, begun
    )


def _marked(open_requests: tuple[int, ...], ahead: int, marks: list[int]) -> tuple[int, ...]:
    """The requests that are marked as begun; a mark of nothing that is open says nothing."""
    begun = frozenset(marks)
    return tuple(offset for place, offset in enumerate(open_requests, 1) if ahead + place in begun)


def encode_ascending(numbers: Iterable[int]) -> str:
    """Ascending numbers as text: a version, then base64 of varints, each the gap to the last.

    A thousand open requests fit the limit while no gap between them passes two million offsets;
    who admits requests has to look at the length.
    """
    packed = bytearray()
    before = 0
    for number in numbers:
        gap, before = number - before, number
        while gap > 0x7F:
            packed.append(gap & 0x7F | 0x80)
            gap >>= 7
        packed.append(gap)
    return _VERSION + base64.b64encode(packed).decode()


def decode_ascending(text: str) -> Iterator[int]:
    """The numbers of ``encode_ascending``. Raises ValueError as ``resume_point``."""
    if not text:
        return
    if not text.startswith(_VERSION):
        raise ValueError(f"metadata of an unknown version: {text:.20}")
    try:
        packed = base64.b64decode(text[1:], validate=True)
    except binascii.Error:
        raise ValueError(f"metadata that is not ours: {text:.20}") from None
    number = gap = shift = 0
    for byte in packed:
        gap |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            number += gap
            yield number
            gap = shift = 0
    if shift:
        raise ValueError(f"metadata that is cut off: {text:.20}")
