"""What a partition commits: where its next owner resumes, and what was open.

Kafka keeps one offset and up to 4096 characters of metadata for each of the two input partitions:

    requests   offset: the position Q              metadata: offsets of open requests
    records    offset: the resume offset R         metadata: the position P

R is the lowest first-batch offset of an open export, so its file can be made again from there; at
or above P nothing was handled yet. The state grows with open exports, not with traffic. Pure.

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
    """Where to go on. ``open_requests`` are offsets, ascending."""

    requests_position: int
    open_requests: tuple[int, ...]
    records_resume: int
    records_position: int

    def committed_requests(self) -> Committed:
        """What to commit for the partition of the requests topic."""
        return Committed(self.requests_position, encode_ascending(self.open_requests))

    def committed_records(self) -> Committed:
        """What to commit for the partition of the records topic."""
        ahead = self.records_position - self.records_resume
        return Committed(self.records_resume, encode_ascending((ahead,)))


def resume_point(requests: Committed, records: Committed) -> ResumePoint:
    """Read what was committed. Empty metadata, as Kafka's own tools write it, says: none open.

    Raises:
        ValueError: the metadata isn't ours, or of a version that this build doesn't know.
    """
    open_requests = tuple(decode_ascending(requests.metadata))
    if open_requests and open_requests[-1] >= requests.offset:
        raise ValueError("an open request lies at or above the position")
    ahead = tuple(decode_ascending(records.metadata)) or (0,)
    return ResumePoint(requests.offset, open_requests, records.offset, records.offset + ahead[0])


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
