"""Admission of new exports, limited by the unfinished ones of the group and of each user.

Invariant: every export admitted by this node counts from its admission on: in memory, until it is
included in a count of the backlog that began after its request was in Kafka.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple

from schemas.requests import ExportRequested
from sluice.http.problems import Refusal
from sluice.http.view import BacklogView


class UnfinishedCounts(NamedTuple):
    """Counts of exports that are accepted and unfinished: in the whole group, and of one user."""

    every: int
    of_user: int


class Ticket:
    """An admission. ``accepted``: the request is in Kafka, so the next count includes it."""

    __slots__ = ("accepted", "request")

    def __init__(self, request: ExportRequested) -> None:
        self.request = request
        self.accepted = False


class Admission:
    """Admits exports while the group has fewer than ``limit`` unfinished ones.

    And while the user has fewer than ``user_limit``, if set. Nodes that admit concurrently may
    exceed a limit by one each.
    """

    def __init__(self, backlog: BacklogView, limit: int, user_limit: int | None) -> None:
        self._backlog = backlog
        self._limit = limit
        self._user_limit = user_limit
        self._uncounted: set[Ticket] = set()
        self._under_way: dict[str, Ticket] = {}

    def under_way(self, export_id: str) -> Ticket | None:
        """The admission of this id, while this node publishes the export."""
        return self._under_way.get(export_id)

    async def count_unfinished(self, user: str) -> UnfinishedCounts:
        """Count the unfinished exports, in all and of this user.

        Raises:
            BacklogUnavailable: Kafka doesn't answer.
        """
        # Before counting, which may miss requests that reach Kafka meanwhile.
        accepted = {ticket for ticket in self._uncounted if ticket.accepted}
        every, of_user = await self._backlog.counts(user)
        self._uncounted -= accepted
        of_user += sum(ticket.request.user == user for ticket in self._uncounted)
        return UnfinishedCounts(every + len(self._uncounted), of_user)

    @contextmanager
    def ticket(self, request: ExportRequested, unfinished: UnfinishedCounts) -> Iterator[Ticket]:
        """Publish this export in the block; ``unfinished`` is a fresh count for its user.

        Raises:
            Refusal: 429, a limit is reached; the user's is named first, as it may help them to
                wait for their own.
        """
        if self._user_limit is not None and unfinished.of_user >= self._user_limit:
            raise _too_many(
                f"{self._user_limit:,} exports of this user are accepted and unfinished"
                " (SLUICE_USER_QUEUE_LIMIT)",
                scope="user",
            )
        if unfinished.every >= self._limit:
            raise _too_many(
                f"{self._limit:,} exports are accepted and unfinished (SLUICE_QUEUE_LIMIT)"
            )
        ticket = Ticket(request)
        self._uncounted.add(ticket)
        self._under_way[request.export_id] = ticket
        try:
            yield ticket
        finally:
            del self._under_way[request.export_id]
            # An accepted export stays until a count has included it.
            if not ticket.accepted:
                self._uncounted.discard(ticket)


def _too_many(detail: str, **more: object) -> Refusal:
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": "1"}, more=more)
