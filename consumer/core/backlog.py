"""One partition's accepted and unfinished exports, derived from its requests and commits.

A commit lists the open requests below its position Q. So the unfinished exports are known without
reading any completion: the requests at or above Q, which nobody has handled yet, and the listed
ones. A request below Q that isn't listed has ended, was a repeat, or was invalid. Pure. Invariant:
every request held is unfinished according to the latest commit read.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from consumer.core.resume import ResumePoint
from schemas.completions import Source
from schemas.vocabulary import Format


@dataclass(frozen=True, slots=True)
class Requested:
    """What is kept of a request; ``format`` is ``unknown`` if an invalid one was sent.

    A long ``title`` is cut; the time is in milliseconds since the epoch.
    """

    export_id: str
    user: str
    format: Format | Literal["unknown"]
    title: str | None = None
    requested_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class UnfinishedRequest:
    """An export that was requested and has not ended.

    ``source`` is the request's place in Kafka. ``begun``: a committed turn has applied a batch.
    """

    export_id: str
    user: str
    format: Format | Literal["unknown"]
    source: Source
    begun: bool


class PartitionBacklog:
    """The unfinished exports of one partition. ``len`` counts them; a repeated id counts once.

    ``point`` is what the partition has committed. Pass requests in offset order, from ``start`` on.
    """

    def __init__(self, topic: str, partition: int, point: ResumePoint) -> None:
        self._topic = topic
        self._partition = partition
        self._requests: dict[int, Requested] = {}
        self._offsets: dict[str, int] = {}
        self._by_user: Counter[str] = Counter()
        self._set(point)

    def __len__(self) -> int:
        return len(self._requests)

    def count_of(self, user: str) -> int:
        """How many are this user's."""
        return self._by_user[user]

    @property
    def start(self) -> int:
        """The first offset to read."""
        return min((self._point.requests_position, *self._point.open_requests))

    def find(self, export_id: str) -> UnfinishedRequest | None:
        """The unfinished export of this id."""
        offset = self._offsets.get(export_id)
        if offset is None:
            return None
        request = self._requests[offset]
        source = Source(topic=self._topic, partition=self._partition, offset=offset)
        begun = offset in self._begun_requests
        return UnfinishedRequest(export_id, request.user, request.format, source, begun)

    def unfinished(self) -> Iterator[tuple[Requested, bool]]:
        """All unfinished exports, and whether each has begun."""
        for offset, request in self._requests.items():
            yield request, offset in self._begun_requests

    def wants(self, offset: int) -> bool:
        """Whether a request at this offset is unfinished."""
        return offset >= self._point.requests_position or offset in self._open

    def put(self, offset: int, request: Requested) -> None:
        """Add a wanted request. One whose id is already here is a repeat and will be ignored."""
        if self.wants(offset) and request.export_id not in self._offsets:
            self._requests[offset] = request
            self._offsets[request.export_id] = offset
            self._by_user[request.user] += 1

    def commit(self, point: ResumePoint) -> bool:
        """The partition has committed ``point``: drop what has ended since.

        Returns False if the commit went back, as after a reset of the group's offsets. Then
        requests dropped earlier are unfinished again and have to be read again.
        """
        if point == self._point:
            return True
        position = self._point.requests_position
        # Open below the former position but not held: it was dropped here.
        reopened = any(offset < position for offset in {*point.open_requests} - self._open)
        if reopened or point.requests_position < position:
            return False
        self._set(point)
        for offset in [offset for offset in self._handled() if offset not in self._open]:
            self._forget(self._requests.pop(offset))
        return True

    def _forget(self, request: Requested) -> None:
        del self._offsets[request.export_id]
        self._by_user[request.user] -= 1
        if not self._by_user[request.user]:
            del self._by_user[request.user]  # or the dict would grow with every user ever seen

    def _set(self, point: ResumePoint) -> None:
        self._point = point
        self._open = frozenset(point.open_requests)
        self._begun_requests = frozenset(point.begun_requests)

    def _handled(self) -> Iterator[int]:
        """Offsets of held requests below the position; requests arrive in offset order."""
        for offset in self._requests:
            if offset >= self._point.requests_position:
                return
            yield offset
