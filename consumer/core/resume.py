"""What a partition commits: where its next owner resumes, and which exports were open.

Kafka keeps one offset and up to 4096 characters of metadata for each of the two input partitions:

    requests   offset: the position Q              metadata: offsets of open requests
    records    offset: the resume offset R         metadata: the position P, and first batches

R is the lowest first-batch offset of an open export, so that its file can be remade from there;
nothing at or above P was handled yet. An open export is *begun* once a batch of it was applied:
batches sent before the request were orphans and stay orphans in a replay. The state grows with open
exports, not with traffic. The messages that nodes died on, if any, come last; older builds skip
them. Pure.

Invariant: Q is above every open request's offset, and R is at most P.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from consumer.core.suspects import Mark, MessagePlace, Suspect, with_marks

METADATA_LIMIT = 4096
"""The broker's limit in characters (offset.metadata.max.bytes); one more kills the producer."""

# The second if open exports have different first batches; older builds read only the first.
_VERSION = "1"
_WITH_FIRST_BATCHES = "2"


@dataclass(frozen=True, slots=True)
class Committed:
    """One partition's committed offset and metadata, as Kafka keeps them."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where to resume. ``open_requests`` are ascending offsets.

    ``first_batches`` maps the request offset of each begun export to that of its first batch,
    ascending. ``suspects`` are messages that nodes died on, by place, all of them still to be read
    again.
    """

    requests_position: int
    open_requests: tuple[int, ...]
    records_resume: int
    records_position: int
    first_batches: tuple[tuple[int, int], ...] = ()
    suspects: tuple[Suspect, ...] = ()

    @property
    def begun_requests(self) -> tuple[int, ...]:
        """The offsets of open requests that are begun, ascending."""
        return tuple(request for request, _ in self.first_batches)

    @property
    def first_request(self) -> int:
        """The first request offset that is needed."""
        return min((self.requests_position, *self.open_requests))

    def will_read(self, place: MessagePlace) -> bool:
        """Whether the next owner will read the message at this place."""
        if place.is_batch:
            return place.offset >= self.records_resume
        return place.offset >= self.requests_position or place.offset in self.open_requests

    def suspecting(self, marks: Iterable[Mark]) -> "ResumePoint":
        """This point with those suspects that will be read again."""
        due = [mark for mark in marks if mark.place and self.will_read(mark.place)]
        return replace(self, suspects=with_marks(self.suspects, due))

    def committed_requests(self) -> Committed:
        """What to commit for the partition of the requests topic."""
        return Committed(self.requests_position, encode_ascending(self.open_requests))

    def committed_records(self, most_characters: int = METADATA_LIMIT) -> Committed:
        """What to commit for the partition of the records topic.

        The metadata begins with the distance to P, then one ascending number per begun request: the
        distance to P plus its place among the open requests. That is complete if every begun export
        began with the batch at R, or none is open, and older builds can read it. Otherwise one
        number follows per open request: 0 if it isn't begun, else the distance of its first batch
        from the previous one's, which is small if exports begin in the order of their requests.
        This second part is left out if it passes the limit.

        Suspects follow; in the first form, after a place that no open request has.
        """
        ahead, firsts = self.records_position - self.records_resume, dict(self.first_batches)
        places = [at for at, offset in enumerate(self.open_requests, 1) if offset in firsts]
        if self.suspects:
            # Builds that don't know suspects stop at a place that no open request has.
            places.append(len(self.open_requests) + 1)
        suspects = list(self._packed_suspects())
        text = _VERSION + _packed([ahead, *_gaps(places), *suspects])
        if any(first != self.records_resume for first in firsts.values()):
            longer = _WITH_FIRST_BATCHES + _packed([*self._steps(ahead, firsts), *suspects])
            # Metadata that is too long would kill the producer. With the shorter form, a replay may
            # take an orphan for the export's first batch.
            text = longer if len(longer) <= most_characters else text
        return Committed(self.records_resume, text)

    def _packed_suspects(self) -> Iterator[int]:
        """Each as its distance, two bits for topic and deaths, and the mark of a first death."""
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
    """Parse a commit. Empty metadata, as written by Kafka's own tools, means none open.

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
    """Where to resume, for requests and records logs that begin at ``log_starts``.

    A log without a commit resumes at its start.

    Raises:
        ValueError: as ``resume_point``, or needed messages were removed.
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
    """The begun requests, and what follows the first place that no open request has."""
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
    """The reverse of ``ResumePoint._packed_suspects``; a truncated entry is dropped."""
    rest = iter(numbers)
    for number in rest:
        is_batch, twice = bool(number & 2), bool(number & 1)
        origin = records_resume if is_batch else requests_position
        mark = None if twice else next(rest, None)
        if twice or mark is not None:
            yield Suspect(MessagePlace(is_batch, origin + _unfolded(number >> 2)), mark)


def encode_ascending(numbers: Iterable[int]) -> str:
    """Ascending numbers as text: a version, then each number's gap to the one before.

    A thousand open requests fit the limit if no gap between them exceeds two million offsets; the
    caller that admits requests has to check the length.
    """
    return _VERSION + _packed(_gaps(numbers))


def decode_ascending(text: str) -> Iterator[int]:
    """The reverse of ``encode_ascending``. Raises ValueError as ``resume_point``."""
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
    """Encode as base64 of varints."""
    packed = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:
            packed.append(rest & 0x7F | 0x80)
            rest >>= 7
        packed.append(rest)
    return base64.b64encode(packed).decode()


def _unpacked(text: str) -> Iterator[int]:
    """Decode the numbers that follow the one-character version."""
    try:
        # Strict: the default skips invalid characters and would accept foreign metadata.
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
    """Zigzag: map small integers of either sign to small non-negative ones."""
    return number * 2 if number >= 0 else -number * 2 - 1


def _unfolded(number: int) -> int:
    return -(number + 1) // 2 if number % 2 else number // 2
