"""What a partition commits: where its next owner resumes, and what was open.

Kafka keeps one offset and up to 4096 characters of metadata for each of the two input partitions:

    requests   offset: the position Q              metadata: offsets of open requests
    records    offset: the resume offset R         metadata: the position P, and first batches

R is the lowest first-batch offset of an open export, so its file can be made again from there; at
or above P nothing was handled yet. An open export is begun when a batch of it was applied: what its
upstream had sent before its request was an orphan, and stays one in a replay. The state grows with
open exports, not with traffic. Behind all that stand the messages that nodes died on, if there are
such; builds that don't know of them read past. Pure.

Invariant: Q is above every open request's offset, and R is at most P.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from consumer.core.suspects import Mark, MessagePlace, Suspect, with_marks

METADATA_LIMIT = 4096
"""Characters that a broker takes (offset.metadata.max.bytes); one more kills the producer."""

# The second where open exports have different first batches; older builds read only the first.
_VERSION = "1"
_WITH_FIRST_BATCHES = "2"


@dataclass(frozen=True, slots=True)
class Committed:
    """One partition's committed offset and metadata, as Kafka keeps them."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where to go on. ``open_requests`` are offsets, ascending.

    ``first_batches`` are, of those open exports that are begun, the offsets of the request and of
    the first batch, by ascending request. ``suspects`` are messages that nodes died on, by place,
    none of them below what will be read again.
    """

    requests_position: int
    open_requests: tuple[int, ...]
    records_resume: int
    records_position: int
    first_batches: tuple[tuple[int, int], ...] = ()
    suspects: tuple[Suspect, ...] = ()

    @property
    def begun_requests(self) -> tuple[int, ...]:
        """The offsets of those open requests that are begun, ascending."""
        return tuple(request for request, _ in self.first_batches)

    @property
    def first_request(self) -> int:
        """The first offset of the requests that is needed."""
        return min((self.requests_position, *self.open_requests))

    def will_read(self, place: MessagePlace) -> bool:
        """Whether who resumes here reads the message at this place."""
        if place.is_batch:
            return place.offset >= self.records_resume
        return place.offset >= self.requests_position or place.offset in self.open_requests

    def suspecting(self, marks: Iterable[Mark]) -> "ResumePoint":
        """The same, with those messages that will be read and that owners died on."""
        due = [mark for mark in marks if mark.place and self.will_read(mark.place)]
        return replace(self, suspects=with_marks(self.suspects, due))

    def committed_requests(self) -> Committed:
        """What to commit for the partition of the requests topic."""
        return Committed(self.requests_position, encode_ascending(self.open_requests))

    def committed_records(self, most_characters: int = METADATA_LIMIT) -> Committed:
        """What to commit for the partition of the records topic.

        The distance to P, then who of the open requests is begun: by an ascending number each, the
        distance to P plus its place among them. That says all where each was begun by the batch at
        R, or none is open, and an older build reads it. Where not, for each in order: 0 while it
        isn't begun, else how far its first batch lies from that of the one before, which is little
        for exports that begin in the order of their requests; unless that passes the limit.

        Suspects follow; in the former way after a place that nothing open has.
        """
        ahead, firsts = self.records_position - self.records_resume, dict(self.first_batches)
        places = [at for at, offset in enumerate(self.open_requests, 1) if offset in firsts]
        if self.suspects:
            # Builds that know no suspects stop at a place that no open request has.
            places.append(len(self.open_requests) + 1)
        suspects = list(self._packed_suspects())
        text = _VERSION + _packed([ahead, *_gaps(places), *suspects])
        if any(first != self.records_resume for first in firsts.values()):
            longer = _WITH_FIRST_BATCHES + _packed([*self._steps(ahead, firsts), *suspects])
            # One that is too long would kill the producer. After the shorter one a replay may take
            # an orphan for the export's first batch.
            text = longer if len(longer) <= most_characters else text
        return Committed(self.records_resume, text)

    def _packed_suspects(self) -> Iterator[int]:
        """Each as its distance, two bits for its topic and its deaths, and the mark of the one."""
        for suspect in self.suspects:
            place = suspect.place
            origin = self.records_resume if place.is_batch else self.requests_position
            bits = place.is_batch << 1 | suspect.died_on_twice
            yield _folded(place.offset - origin) << 2 | bits
            if suspect.mark is not None:
                yield suspect.mark

    def _steps(self, ahead: int, firsts: dict[int, int]) -> Iterator[int]:
        yield ahead
        before = self.records_resume
        for first in map(firsts.get, self.open_requests):
            yield 0 if first is None else 1 + _folded(first - before)
            before = before if first is None else first


def resume_point(requests: Committed, records: Committed) -> ResumePoint:
    """Read what was committed. Empty metadata, as Kafka's own tools write it, says: none open.

    Raises:
        ValueError: the metadata isn't ours, or of a version that this build doesn't know.
    """
    open_requests = tuple(decode_ascending(requests.metadata))
    if open_requests and open_requests[-1] >= requests.offset:
        raise ValueError("an open request lies at or above the position")
    # Without metadata P is R.
    ahead, *numbers = tuple(_unpacked(_known(records.metadata))) or (0,)
    if records.metadata.startswith(_WITH_FIRST_BATCHES):
        steps, rest = numbers[: len(open_requests)], numbers[len(open_requests) :]
        firsts = _first_batches(open_requests, steps, records.offset)
    else:
        begun, rest = _divide(open_requests, numbers)
        firsts = tuple((request, records.offset) for request in begun)
    return ResumePoint(
        requests.offset,
        open_requests,
        records.offset,
        records.offset + ahead,
        firsts,
        tuple(_suspects(rest, requests.offset, records.offset)),
    )


def whole_resume_point(
    committed: tuple[Committed | None, Committed | None], log_starts: tuple[int, int]
) -> ResumePoint:
    """Where to go on in two logs, of requests and records, that begin at ``log_starts``.

    What was never committed resumes at its log's start.

    Raises:
        ValueError: as ``resume_point``, or messages that are needed are gone.
    """
    requests = committed[0] or Committed(log_starts[0], "")
    records = committed[1] or Committed(log_starts[1], "")
    point = resume_point(requests, records)
    needed = point.first_request, point.records_resume
    for name, offset, start in zip(("requests", "records"), needed, log_starts, strict=True):
        if offset < start:
            raise ValueError(
                f"{name}: resumes at {offset}, but the log starts at {start}: "
                "retention was shorter than the outage; messages are lost"
            )
    return point


def _first_batches(
    open_requests: tuple[int, ...], steps: list[int], before: int
) -> tuple[tuple[int, int], ...]:
    firsts = []
    for request, step in zip(open_requests, steps, strict=False):
        if step:
            before += _unfolded(step - 1)
            firsts.append((request, before))
    return tuple(firsts)


def _divide(open_requests: tuple[int, ...], gaps: list[int]) -> tuple[tuple[int, ...], list[int]]:
    """The requests that are begun, and what follows the first place that nothing open has."""
    begun: list[int] = []
    at = 0
    for count, gap in enumerate(gaps, 1):
        at += gap
        if at > len(open_requests):
            return tuple(begun), gaps[count:]
        if gap:
            begun.append(open_requests[at - 1])
    return tuple(begun), []


def _suspects(numbers: list[int], requests_position: int, records_resume: int) -> Iterator[Suspect]:
    """The reverse of ``ResumePoint._packed_suspects``; one that is cut off says nothing."""
    rest = iter(numbers)
    for number in rest:
        is_batch, twice = bool(number & 2), bool(number & 1)
        origin = records_resume if is_batch else requests_position
        mark = None if twice else next(rest, None)
        if twice or mark is not None:
            yield Suspect(MessagePlace(is_batch, origin + _unfolded(number >> 2)), mark)


def encode_ascending(numbers: Iterable[int]) -> str:
    """Ascending numbers as text: a version, then the gap of each to the last.

    A thousand open requests fit the limit while no gap between them passes two million offsets;
    who admits requests has to look at the length.
    """
    return _VERSION + _packed(_gaps(numbers))


def decode_ascending(text: str) -> Iterator[int]:
    """The numbers of ``encode_ascending``. Raises ValueError as ``resume_point``."""
    if text.startswith(_WITH_FIRST_BATCHES):
        raise ValueError(f"metadata of the records: {text:.20}")
    yield from accumulate(_unpacked(_known(text)))


def _known(text: str) -> str:
    if text and text[0] not in (_VERSION, _WITH_FIRST_BATCHES):
        raise ValueError(f"metadata of an unknown version, it may be of a newer build: {text:.20}")
    return text


def _gaps(ascending: Iterable[int]) -> Iterator[int]:
    return (number - before for before, number in pairwise((0, *ascending)))


def _packed(numbers: Iterable[int]) -> str:
    """Base64 of varints."""
    packed = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:
            packed.append(rest & 0x7F | 0x80)
            rest >>= 7
        packed.append(rest)
    return base64.b64encode(packed).decode()


def _unpacked(text: str) -> Iterator[int]:
    """The numbers that were packed after a version of one character."""
    try:
        # Strictly: the default skips what isn't base64, and would take foreign metadata for ours.
        packed = base64.b64decode(text[1:], validate=True)
    except binascii.Error:
        raise ValueError(f"metadata that is not ours: {text:.20}") from None
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError(f"metadata that is cut off: {text:.20}")


def _folded(number: int) -> int:
    """Small whole numbers of either sign as small ones without (zigzag)."""
    return number * 2 if number >= 0 else -number * 2 - 1


def _unfolded(number: int) -> int:
    return -(number + 1) // 2 if number % 2 else number // 2
