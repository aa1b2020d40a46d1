"""Errors on HTTP: ``application/problem+json`` (RFC 9457), whatever went wrong and wherever.

Invariant: an error nobody foresaw says nothing of the inside; its traceback is in the log.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Problem(JSONResponse):
    """An error's answer. ``more`` are further members, such as the names of wrong fields."""

    media_type = "application/problem+json"

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        title = HTTPStatus(status).phrase
        content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        super().__init__({**content, **more}, status, headers)


def answer_with_problems(app: FastAPI) -> None:
    """Make every error of the application a ``Problem``."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _unforeseen)


async def _refused(request: Request, error: Any) -> Problem:  # noqa: ANN401 - Starlette's signature
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND:
        # Not request.url, which is made from the Host header and fails where that is nonsense.
        detail = f"there is nothing at {request.scope['path']}"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not allowed at {request.scope['path']}"
    return Problem(error.status_code, detail, error.headers)


async def _unforeseen(_request: Request, _error: Exception) -> Problem:
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; see the node's log")
