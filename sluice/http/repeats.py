"""Distinguishes repeated requests from reused ids, by comparing with the id's first request.

Invariant: a request is never answered with an export that an unequal request began.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from consumer.errors import BacklogUnavailable, RequestsHidden
from schemas.codec import decode_request
from schemas.completions import Source
from schemas.errors import FieldError, SchemaError
from schemas.requests import ExportRequested
from sluice.http.problems import Refusal, unavailable
from sluice.http.view import BacklogView, RequestsView

_ANSWER_SECONDS = 4.0
_PAUSE_SECONDS = 0.1
_Answer = TypeVar("_Answer")
_COMPARED = ("format", "columns", "options", "user")


class FirstRequests:
    """Looks up ids' first requests, which Kafka may no longer have."""

    def __init__(self, backlog: BacklogView, requests: RequestsView, records: str) -> None:
        self._backlog = backlog
        self._requests = requests
        self._records = records

    async def check(self, wanted: ExportRequested, source: Source) -> bool:
        """Compare a request with the one at ``source``, the first with its id.

        If Kafka no longer has that one, nothing is compared. Returns whether it was uploaded to
        another node, the only one that knows the upload's state.

        Raises:
            Refusal: 409, the two are not equivalent; 503, Kafka doesn't answer.
        """
        record = await query_kafka(lambda: self._requests.at(source))
        if record is None:
            return False
        try:
            first = decode_request(record.value)
        except SchemaError:
            first = None  # an invalid request never came over HTTP, so it is another export's
        if not isinstance(first, ExportRequested):
            raise id_taken(wanted.export_id)
        compare(wanted, first)
        # A header of any name may be null, from whatever producer: that is no upload of a node.
        marks = [mark for name, mark in record.headers if name == ATTEMPT and mark is not None]
        return bool(marks) and not marks[0].startswith(_THIS_NODE)

    async def has_batch(self, export_id: str, source: Source) -> bool:
        """Whether a batch of the export requested at ``source`` is in Kafka.

        Raises:
            Refusal: 503, Kafka doesn't answer.
        """
        find = partial(self._requests.has_batch, self._records, source, export_id)
        return await query_kafka(find)

    async def is_ours(self, export_id: str, source: Source | None, mark: bytes) -> bool:
        """Whether an id's unfinished export began with the request at ``source``.

        If that is None: whether it began with the request that has this ``ATTEMPT`` header.

        Raises:
            Refusal: 503, Kafka doesn't answer.
        """
        found = await query_kafka(lambda: self._backlog.find(export_id))
        if found is None or source:
            return found is not None and found.source == source
        record = await query_kafka(lambda: self._requests.at(found.source))
        return record is not None and (ATTEMPT, mark) in record.headers


ATTEMPT = "sluice_attempt"
"""The header with a unique value per upload: equal requests with one id differ in it."""
# Per process: a restarted node knows nothing of its former uploads.
_THIS_NODE = secrets.token_hex(8).encode()


def new_mark() -> bytes:
    """A new value of ``ATTEMPT``, with a prefix by which this node knows its own uploads."""
    return _THIS_NODE + secrets.token_hex(8).encode()


def compare(wanted: ExportRequested, first: ExportRequested) -> None:
    """Compare two requests of one id.

    Raises:
        Refusal: 409, they are not equivalent.
    """
    differing = [name for name in _COMPARED if getattr(wanted, name) != getattr(first, name)]
    if differing:
        # Another user learns nothing about the export.
        raise id_taken(wanted.export_id, [] if "user" in differing else differing)


def id_taken(export_id: str, differing: list[str] | None = None) -> Refusal:
    """409: another export has the id; ``differing`` are the fields that differ."""
    errors = [FieldError(name, "differs from the first request's") for name in differing or ()]
    detail = f"the id {export_id!r} is another export's: use a new one"
    return Refusal(HTTPStatus.CONFLICT, detail, errors)


async def query_kafka(query: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Query Kafka, and retry while an open transaction hides the answer: it may end soon.

    Raises:
        Refusal: 503, there is no answer within ``_ANSWER_SECONDS``.
    """
    reason = "Kafka doesn't answer"
    with suppress(TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                try:
                    return await query()
                except RequestsHidden as hidden:
                    reason = str(hidden)
                    await asyncio.sleep(_PAUSE_SECONDS)
                except BacklogUnavailable as error:
                    raise unavailable(str(error)) from None
    raise unavailable(reason)
