"""``POST /export/{export_id}/retry``: run a failed or cancelled export again, under a new id.

Invariant: two requests for the same export, on any nodes, create one retry. The response comes only
when all of the retry is in Kafka.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TypeAlias
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import Response

from clients.errors import ClientError, KafkaUnreachable
from producer.retry.attempts import (
    WRONG_INPUT,
    KnownAttempt,
    Next,
    RetriedTooOftenError,
    next_attempt,
    outcome_of,
)
from producer.retry.retrying import Missing, Retried, Retry
from schemas.completions import TerminalEvent
from schemas.retries import attempt_of
from sluice.access.askers import ANYONE, Asker
from sluice.earlier_attempts import request_at, unfinished_at
from sluice.http.audit import audit
from sluice.http.bodies import optional_json, unknown_fields
from sluice.http.exports import Exports, no_such_export
from sluice.http.problems import Refusal, unavailable, wrong_fields
from sluice.http.query_values import refuse_parameters
from sluice.http.repeats import query_kafka
from sluice.http.run import accepted
from sluice.http.stopping import Stopped, node_stops, stopping_of
from sluice.http.view import RequestsView

RunAgain: TypeAlias = Callable[[Retry], Awaitable[Retried]]
"""Publishes an export again; see ``RetryThreads``."""


async def retry(
    retries: "Retries", idle_seconds: float, request: Request, asker: Asker
) -> Response:
    """Publish the export again, unless a retry of it is under way or has completed.

    ``idle_seconds`` as for ``pieces``; the request has no parameters, and no fields in a body.
    """
    refuse_parameters(request)
    if errors := unknown_fields(await optional_json(request, idle_seconds), ()):
        raise wrong_fields(errors)
    export_id: str = request.path_params["export_id"]
    try:
        async with stopping_of(request).cut_off():
            new_id = await retries.retry(export_id, asker)
    except Stopped:
        raise node_stops() from None
    audit(request, asker, "retry", export_id=export_id, retry_id=new_id)
    return accepted(new_id)


@dataclass(frozen=True, slots=True)
class RetryDependencies:
    """The dependencies of retries."""

    exports: Exports
    requests: RequestsView
    run_again: RunAgain


class Retries:
    """Retries of the exports that any node of the group has ended."""

    def __init__(self, deps: RetryDependencies) -> None:
        self._exports = deps.exports
        self._requests = deps.requests
        self._run_again = deps.run_again
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def retry(self, export_id: str, asker: Asker) -> str:
        """Publish all of the export's next attempt; return its id.

        Raises:
            Refusal: 404, there is no such export; 409, it can't be retried; 410, Kafka no longer
                has it; 429, too many are unfinished; 503, Kafka or the storage doesn't answer.
        """
        event = await self._failed(export_id, asker)
        original = attempt_of(export_id, event.retry_of).original
        if (lock := self._locks.get(original)) is None:
            self._locks[original] = lock = asyncio.Lock()
        async with lock:  # the second of two clicks finds the first one's retry
            try:
                following = await next_attempt(export_id, event.retry_of, self._find)
            except RetriedTooOftenError as error:
                raise _conflict(str(error)) from None
            if following.is_completed:
                return following.attempt.export_id
            publish = self._complete if following.begun_at else self._begin
            await publish(event, following)
        return following.attempt.export_id

    async def _failed(self, export_id: str, asker: Asker) -> TerminalEvent:
        known = await self._exports.find(export_id, asker)
        if known is None:
            raise no_such_export(export_id)
        if known.event is None:
            raise _conflict("the export has not ended")
        outcome = outcome_of(known.event)
        if outcome == "completed":
            raise _conflict("the export has completed")
        if outcome in WRONG_INPUT:
            raise _conflict(f"the export failed as {outcome}: it would fail again")
        return known.event

    async def _find(self, export_id: str) -> KnownAttempt | None:
        known = await self._exports.find(export_id, ANYONE)
        if known is None:
            return None
        if known.event:
            return KnownAttempt(known.source, known.event.retry_of, outcome_of(known.event))
        if source := known.source:
            return await query_kafka(lambda: unfinished_at(self._requests, source))
        return KnownAttempt(None, None, None)  # an upload to this node has the id

    async def _begin(self, event: TerminalEvent, following: Next) -> None:
        """Publish an attempt that hasn't begun."""
        request = await query_kafka(partial(request_at, self._requests, event.source))
        if request is None:
            raise _gone("Kafka no longer has its request")
        wanted = request.model_copy(update={"export_id": following.attempt.export_id})
        unfinished = await self._exports.count_unfinished(wanted.user)
        with self._exports.admission.ticket(wanted, unfinished) as ticket:
            await self._complete(event, following)
            ticket.accepted = True

    async def _complete(self, event: TerminalEvent, following: Next) -> None:
        """Publish all of an attempt."""
        wanted = Retry(event.export_id, event.source, following.attempt, following.begun_at)
        try:
            retried = await self._run_again(wanted)
        except KafkaUnreachable:
            raise unavailable("Kafka doesn't answer") from None
        except ClientError as error:
            raise unavailable(str(error)) from None
        if left := retried.left.get(event.export_id):
            raise _gone(left.why) if left.missing is Missing.GONE else _conflict(left.why)


def _conflict(why: str) -> Refusal:
    return Refusal(HTTPStatus.CONFLICT, why)


def _gone(why: str) -> Refusal:
    return Refusal(HTTPStatus.GONE, why)
