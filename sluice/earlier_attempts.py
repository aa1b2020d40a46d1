"""Looks up whether an unfinished export is a retry, and of which export."""

from collections.abc import Awaitable
from typing import Protocol

from producer.retry.attempts import KnownAttempt
from schemas.codec import decode_request
from schemas.completions import Source
from schemas.errors import SchemaError
from schemas.requests import ExportRequested


class _Recorded(Protocol):
    @property
    def value(self) -> bytes | None: ...


class RequestsByPlace(Protocol):
    """Messages of the requests topic; see ``consumer.backlog.request_lookup``."""

    def at(self, source: Source) -> Awaitable[_Recorded | None]:
        """Fetch the message at a source; None if Kafka no longer has it."""


async def request_at(requests: RequestsByPlace, source: Source) -> ExportRequested | None:
    """The valid request at a place, if there is one. Raises as ``RequestLookup.at``."""
    record = await requests.at(source)
    try:
        request = decode_request(record.value) if record else None
    except SchemaError:
        return None
    return request if isinstance(request, ExportRequested) else None


async def unfinished_at(requests: RequestsByPlace, source: Source) -> KnownAttempt:
    """The unfinished export that was requested at a place. Raises as ``request_at``."""
    request = await request_at(requests, source)
    return KnownAttempt(source, request.retry_of if request else None, outcome=None)
