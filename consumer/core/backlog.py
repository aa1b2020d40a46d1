"""What is accepted and unfinished in one partition, from its requests and its commits.

A commit lists the open requests below its position Q, so what is unfinished is known without
following any completion: requests at or above Q, which nobody has handled yet, and the listed ones.
A request below Q that isn't listed has ended, or was a repeat, or was none. Pure. Invariant: every
request that is held is unfinished by the latest commit that was read.
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
    """What is kept of a request; ``format`` is unknown where a wrong one was sent.

    ``title`` is cut where it is long; the time is in milliseconds since the epoch.
    """

    export_id: str
    user: str
    format: Format | Literal["unknown"]
    title: str | None = None
    requested_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class UnfinishedRequest:
    """An export that was requested and has not ended.

    ``source`` is where its request lies. ``begun``: a committed turn has applied a batch of it.
    """

    export_id: str
    user: str
    format: Format | Literal["unknown"]
    source: Source
    begun: bool


class PartitionBacklog:
    """The unfinished exports of one partition. ``len`` is how many; an id counts once.

    ``point`` is what the partition has committed. Requests are given in the order of their offsets,
    from ``start`` on.
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
        """How many of them are this user's."""
        return self._by_user[user]

    @property
    def start(self) -> int:
        """The first offset that has to be read."""
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
        """All that is held, and whether a committed turn has applied a batch of it."""
        for offset, request in self._requests.items():
            yield request, offset in self._begun_requests

    def wants(self, offset: int) -> bool:
        """Whether a request at this offset is unfinished."""
        return offset >= self._point.requests_position or offset in self._open

    def put(self, offset: int, request: Requested) -> None:
        """A wanted request was read. One whose id is here is a repeat: it will be ignored."""
        if self.wants(offset) and request.export_id not in self._offsets:
            self._requests[offset] = request
            self._offsets[request.export_id] = offset
            self._by_user[request.user] += 1

    def commit(self, point: ResumePoint) -> bool:
        """The partition has committed ``point``: forget what has ended by it.

        Returns False if it went back, as after a reset of the group's offsets; then requests that
        were forgotten are unfinished, and have to be read again.
        """
        if point == self._point:
            return True
        position = self._point.requests_position
        # Open below the former position, and not open before: it was forgotten here.
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
            del self._by_user[request.user]  # users come and go without end

    def _set(self, point: ResumePoint) -> None:
        self._point = point
        self._open = frozenset(point.open_requests)
        self._begun_requests = frozenset(point.begun_requests)

    def _handled(self) -> Iterator[int]:
        """Offsets of held requests below the position: the first ones, as they came in order."""
        for offset in self._requests:
            if offset >= self._point.requests_position:
                return
            yield offset
