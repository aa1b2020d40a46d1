"""Every error over HTTP is an ``application/problem+json`` (RFC 9457).

Invariant: the answer to an unexpected error reveals nothing internal; the log has its traceback.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match

from schemas.errors import FieldError

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 1_000
"""Invalid fields listed one by one; further ones are only counted."""
_MESSAGE_CHARACTERS = 300


class Problem(JSONResponse):
    """The response to an error. ``more`` are extension members, such as ``errors``."""

    media_type = MEDIA_TYPE

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        title = HTTPStatus(status).phrase
        content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        super().__init__({**content, **more}, status, headers)


class Refusal(Exception):  # noqa: N818 - an answer rather than a fault
    """Raised anywhere below an endpoint to answer with a problem.

    ``unnamed`` is the number of errors beyond those listed in ``errors``; ``more`` are further
    members of the problem.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        unnamed: int = 0,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.more = more or {}
        self.unnamed = unnamed
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers


def wrong_fields(errors: Sequence[FieldError], unnamed: int = 0) -> Refusal:
    """400, listing ``errors`` and counting ``unnamed`` others."""
    number = len(errors) + unnamed
    count = "a field is" if number == 1 else f"{number:,} fields are"
    return Refusal(HTTPStatus.BAD_REQUEST, f"{count} wrong", errors, unnamed=unnamed)


def unavailable(detail: str) -> Refusal:
    """503 with ``Retry-After``: the client may retry soon."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "1"})


def problem_of(refusal: Refusal) -> Problem:
    """The response for a refusal."""
    more = {"errors": _bounded_errors(refusal.errors, refusal.unnamed)} if refusal.errors else {}
    return Problem(refusal.status, refusal.detail, refusal.headers, **more, **refusal.more)


async def _answer_http_exception(request: Request, error: Any) -> Problem:  # noqa: ANN401 - Starlette's signature
    detail, headers = str(error.detail), error.headers
    if error.status_code == HTTPStatus.NOT_FOUND:
        # Not request.url, which is built from the Host header and raises if that is malformed.
        detail = f"there is nothing at {request.scope['path']}"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not allowed at {request.scope['path']}"
        headers = {"Allow": ", ".join(_allowed_methods(request))}
    return Problem(error.status_code, detail, headers)


def _allowed_methods(request: Request) -> list[str]:
    """The methods of all routes with this path: Starlette names only those of the first."""
    routes, scope = request.app.routes, request.scope
    matching = [route for route in routes if route.matches(scope)[0] != Match.NONE]
    return sorted({method for route in matching for method in route.methods})


async def _answer_refusal(_request: Request, refusal: Any) -> Problem:  # noqa: ANN401 - as above
    return problem_of(refusal)


def _bounded_errors(errors: Sequence[FieldError], unnamed: int) -> list[dict[str, str]]:
    shown = [_cut_error(error.field, error.message) for error in errors[:MOST_ERRORS]]
    if more := len(errors) - len(shown) + unnamed:
        shown.append(_cut_error("", f"and {more:,} more fields are wrong"))
    return shown


def _cut_error(field: str, message: str) -> dict[str, str]:
    return {"field": field[:_MESSAGE_CHARACTERS], "message": message[:_MESSAGE_CHARACTERS]}


async def _answer_unexpected(_request: Request, _error: Exception) -> Problem:
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; see the node's log")


EXCEPTION_HANDLERS = {
    HTTPException: _answer_http_exception,
    Refusal: _answer_refusal,
    Exception: _answer_unexpected,
}
"""The application's exception handlers; all respond with a ``Problem``."""
