"""Whether a known id is asked for again, or is another export's: its first request is compared.

Invariant: nobody is given another export's answer under an id of his own request.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
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
_ASK_AGAIN_SECONDS = 0.1
_Answer = TypeVar("_Answer")
_COMPARED = ("format", "columns", "options", "user")


class FirstRequests:
    """The first requests of ids, as far as Kafka still has them."""

    def __init__(self, backlog: BacklogView, requests: RequestsView) -> None:
        self._backlog = backlog
        self._requests = requests

    async def check(self, wanted: ExportRequested, source: Source) -> bool:
        """Compare a request with the one at ``source``, which was the first of its id.

        Where Kafka no longer has that one, there is nothing to compare with. Returns whether that
        one came over HTTP to another node, which alone knows how its upload is doing.

        Raises:
            Refusal: 409, it differs in what makes it another export; 503, Kafka doesn't answer.
        """
        record = await query_kafka(lambda: self._requests.at(source))
        if record is None:
            return False
        try:
            first = decode_request(record.value)
        except SchemaError:
            first = None  # what HTTP takes has no wrong fields
        if not isinstance(first, ExportRequested):
            raise id_taken(wanted.export_id)
        compare(wanted, first)
        marks = [mark for name, mark in record.headers if name == ATTEMPT]
        return bool(marks) and not marks[0].startswith(_THIS_NODE)

    async def is_ours(self, export_id: str, source: Source | None, mark: bytes) -> bool:
        """Whether the unfinished export of an id is of the request at ``source``.

        Where that is None, whether it is of the one with this value of the header ``ATTEMPT``.

        Raises:
            Refusal: 503, Kafka doesn't answer.
        """
        found = await query_kafka(lambda: self._backlog.find(export_id))
        if found is None or source:
            return found is not None and found.source == source
        record = await query_kafka(lambda: self._requests.at(found.source))
        return record is not None and (ATTEMPT, mark) in record.headers


ATTEMPT = "sluice_attempt"
"""The header that tells requests of one id and content apart: one value for each upload."""
_THIS_NODE = secrets.token_hex(8).encode()


def new_mark() -> bytes:
    """A value of ``ATTEMPT`` by which this node knows its own uploads."""
    return _THIS_NODE + secrets.token_hex(8).encode()


def compare(wanted: ExportRequested, first: ExportRequested) -> None:
    """Raises Refusal: 409, the two differ in what makes them two exports."""
    differing = [name for name in _COMPARED if getattr(wanted, name) != getattr(first, name)]
    if differing:
        # Who is another user learns no more than that.
        raise id_taken(wanted.export_id, [] if "user" in differing else differing)


def id_taken(export_id: str, differing: list[str] | None = None) -> Refusal:
    """409: the id is another export's; ``differing`` are the fields that show it."""
    errors = [FieldError(name, "differs from the first request's") for name in differing or ()]
    detail = f"the id {export_id!r} is another export's: use a new one"
    return Refusal(HTTPStatus.CONFLICT, detail, errors)


async def query_kafka(question: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """What the backlog answers; an open transaction, which may end soon, is waited for.

    Raises:
        Refusal: 503, it doesn't say within some seconds.
    """
    reason = "Kafka doesn't answer"
    with suppress(TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                try:
                    return await question()
                except RequestsHidden as hidden:
                    reason = str(hidden)
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
                except BacklogUnavailable as error:
                    raise unavailable(str(error)) from None
    raise unavailable(reason)
