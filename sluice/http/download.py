"""``GET`` and ``HEAD /export/download/{export_id}``: a finished file, whichever node wrote it.

A request has a token, or a verified link (``links``).

A file never changes under its name, so its SHA-256 is its strong entity tag.
"""

import math
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from schemas.completions import ExportCompleted
from schemas.errors import FieldError
from schemas.file_names import media_type
from sluice.access.askers import ANYONE, Asker
from sluice.http.exports import Exports, no_such_export
from sluice.http.problems import Problem, Refusal, wrong_fields
from sluice.http.ranges import names, normalised, satisfiable
from sluice.http.storage_calls import OpenFile
from sluice.links import MOST_LINK_SECONDS

log = structlog.get_logger(__name__)


async def download(exports: Exports, request: Request, asker: Asker) -> Response:
    """The file of a completed export, whole or in parts."""
    event = await find_completed(exports, request.path_params["export_id"], asker)
    return _file_response(request, event, await open_completed(exports, event))


async def download_by_link(exports: Exports, request: Request, until: int) -> Response:
    """The same for a link that ends at ``until``, in seconds since the epoch.

    For an object store, redirects to the store's own signed URL with the same end.
    """
    redirects = _redirects(request)
    event = await find_completed(exports, request.path_params["export_id"], ANYONE)
    file = await open_completed(exports, event)
    answer = _file_response(request, event, file)
    if redirects and isinstance(answer, _Download) and not _needs_our_tag(request, answer):
        if event.expires_at:  # signing may fail for reasons of the store
            until = min(until, int(event.expires_at.timestamp()))
        left_seconds = min(until - math.ceil(time.time()), MOST_LINK_SECONDS)
        if left_seconds > 0 and (url := await _presigned(file, request.method, left_seconds)):
            return Response(
                status_code=HTTPStatus.TEMPORARY_REDIRECT,
                headers={"Location": url, "Cache-Control": "no-store", **sunset(event)},
            )
    # A request without a token looks public to caches, which would outlive the link.
    answer.headers["Cache-Control"] = "private, no-cache"
    return answer


async def _presigned(file: OpenFile, method: str, seconds: int) -> str | None:
    """See ``StoredFile.presign``. None too if it takes long: it may need another service's help."""
    try:
        return await file.presign(method, seconds)
    except Refusal:
        return None


async def find_completed(exports: Exports, export_id: str, asker: Asker) -> ExportCompleted:
    """The event of a completed export.

    Raises:
        Refusal: 404, there is none, or it is another user's; 409, it has no file; 410, it
            has expired; 503, as ``Exports.find``.
    """
    known = await exports.find(export_id, asker)
    if known is None:
        raise no_such_export(export_id)
    if not isinstance(known.event, ExportCompleted):
        raise Refusal(HTTPStatus.CONFLICT, f"the export is {known.state}: it has no file")
    if known.event.expired(datetime.now(UTC)):
        raise Refusal(HTTPStatus.GONE, "the file has expired", headers=sunset(known.event))
    return known.event


async def open_completed(exports: Exports, event: ExportCompleted) -> OpenFile:
    """Open its file.

    Raises:
        Refusal: 404, it is gone; 503, the storage doesn't answer.
    """
    file = await exports.open_file(event)
    if file is None:
        raise Refusal(HTTPStatus.NOT_FOUND, "the file is not in the storage any more")
    return file


class _Download(FileResponse):
    """Starlette's file response from an open file, so that a hanging storage delays the status.

    Invariant: each piece comes within a bounded time, or the connection is closed.
    """

    ranges: Sequence[tuple[int, int]] = ()
    """The ranges to send; empty: the whole file."""

    def __init__(self, file: OpenFile, event: ExportCompleted, tag: str) -> None:
        super().__init__(
            file.name,
            headers={"ETag": tag, "X-Content-Type-Options": "nosniff", **sunset(event)},
            media_type=media_type(event.extension),
            filename=f"{event.export_id}.{event.extension}",
            # Starlette uses only size and time.
            stat_result=os.stat_result((0, 0, 0, 0, 0, 0, file.size, 0, int(file.modified), 0)),
        )
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette reads ranges less strictly than RFC 9110: give it only what was found here.
        headers = [(b"range", normalised(self.ranges).encode())] if self.ranges else []
        try:
            await super().__call__({**scope, "headers": headers}, receive, send)
        except Refusal as refusal:
            # The status was sent already. uvicorn closes a connection whose response is incomplete.
            log.warning("download cut off", path=scope["path"], reason=refusal.detail)

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        yield self._file


def _file_response(request: Request, event: ExportCompleted, file: OpenFile) -> Response:
    tag = f'"{event.sha256}"'
    wanted, known = (_field(request, name) for name in ("if-match", "if-none-match"))
    if wanted is not None and not names(wanted, tag, strongly=True):
        raise Refusal(HTTPStatus.PRECONDITION_FAILED, "the file has another ETag")
    if known is not None and names(known, tag, strongly=False):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag, **sunset(event)})
    return _in_range(request, _Download(file, event, tag), file.size)


def sunset(event: ExportCompleted) -> dict[str, str]:
    """When the file will be gone (RFC 8594), rounded down to a second."""
    if event.expires_at is None:
        return {}
    return {"Sunset": format_datetime(event.expires_at, usegmt=True)}


def _in_range(request: Request, response: _Download, size_bytes: int) -> Response:
    """The download, limited to the ranges that the request asks for; 416 if none overlaps."""
    range_header = request.headers.get("range", "")
    validators = (None, response.headers["etag"], response.headers["last-modified"])
    current = request.method == "GET" and request.headers.get("if-range") in validators
    ranges = satisfiable(range_header, size_bytes) if current else None
    if ranges == []:
        return Problem(
            HTTPStatus(416),  # its name differs between versions of Python
            f"the file has {size_bytes:,} bytes",
            {"Content-Range": f"bytes */{size_bytes}", "ETag": response.headers["etag"]},
        )
    response.ranges = ranges or ()
    return response


def _redirects(request: Request) -> bool:
    given = request.query_params.getlist("redirect") or ["true"]
    if given not in (["true"], ["false"]):
        raise wrong_fields([FieldError("redirect", "must be true or false")])
    return given == ["true"]


def _needs_our_tag(request: Request, answer: _Download) -> bool:
    """Whether the request names our entity tag, which an object store doesn't know."""
    is_ours = request.headers.get("if-range") == answer.headers["etag"]
    return is_ours or "if-match" in request.headers


def _field(request: Request, name: str) -> str | None:
    """A header, or None; several lines of it are joined to one list (RFC 9110, 5.3)."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None
