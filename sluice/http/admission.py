"""Admission of new exports, bounded by the number of unfinished exports of the group.

Invariant: each export admitted by this node is counted from its admission on: in memory, until a
count of the backlog that began after its request was in Kafka has included it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from schemas.requests import ExportRequested
from sluice.http.problems import Refusal
from sluice.http.view import BacklogView


class Ticket:
    """An admission. ``accepted``: the request is in Kafka, so the next count includes it."""

    __slots__ = ("accepted", "request")

    def __init__(self, request: ExportRequested) -> None:
        self.request = request
        self.accepted = False


class Admission:
    """Admits exports while the group has fewer than ``limit`` unfinished ones.

    Nodes that admit at the same moment may exceed the limit by one each.
    """

    def __init__(self, backlog: BacklogView, limit: int) -> None:
        self._backlog = backlog
        self._limit = limit
        self._uncounted: set[Ticket] = set()
        self._under_way: dict[str, Ticket] = {}

    def under_way(self, export_id: str) -> Ticket | None:
        """The admission of this id, while this node publishes the export."""
        return self._under_way.get(export_id)

    async def count_unfinished(self) -> int:
        """How many exports are unfinished now.

        Raises:
            BacklogUnavailable: Kafka doesn't answer.
        """
        accepted = {ticket for ticket in self._uncounted if ticket.accepted}
        count = await self._backlog.count(fresh=True)
        self._uncounted -= accepted
        return count + len(self._uncounted)

    @contextmanager
    def ticket(self, request: ExportRequested, unfinished: int) -> Iterator[Ticket]:
        """Publish this export in the block; ``unfinished`` is a fresh ``count_unfinished``.

        Raises:
            Refusal: 429, the limit is reached.
        """
        if unfinished >= self._limit:
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._limit:,} exports are accepted and unfinished (SLUICE_QUEUE_LIMIT)",
                headers={"Retry-After": "1"},
            )
        ticket = Ticket(request)
        self._uncounted.add(ticket)
        self._under_way[request.export_id] = ticket
        try:
            yield ticket
        finally:
            del self._under_way[request.export_id]
            if not ticket.accepted:
                self._uncounted.discard(ticket)
