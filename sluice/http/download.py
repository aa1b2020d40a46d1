"""``GET`` and ``HEAD /export/download/{export_id}``: a finished file, whoever made it.

The file never changes under its name, so its SHA-256 is its strong entity tag.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from schemas.completions import ExportCompleted
from schemas.vocabulary import Format
from sluice.http.auth import Asker
from sluice.http.describe import DOWNLOAD, HEAD
from sluice.http.exports import Exports, no_such_export
from sluice.http.problems import Problem, Refusal
from sluice.http.ranges import names, normalised, satisfiable
from sluice.http.storage_calls import OpenFile

log = structlog.get_logger(__name__)

router = APIRouter()

_MEDIA_TYPES = {Format.CSV: "text/csv; charset=utf-8", Format.PDF: "application/pdf"}


@router.head("/export/download/{export_id}", response_class=FileResponse, **HEAD)
@router.get("/export/download/{export_id}", response_class=FileResponse, **DOWNLOAD)
async def download(export_id: str, request: Request, asker: Asker) -> Response:
    """The file of a completed export, whole or in parts."""
    exports: Exports = request.app.state.exports
    known = await exports.find(export_id, asker)
    if known is None:
        raise no_such_export(export_id)
    if not isinstance(known.event, ExportCompleted):
        raise Refusal(HTTPStatus.CONFLICT, f"the export is {known.state}: it has no file")
    file = await exports.open_file(known.event)
    if file is None:
        raise Refusal(HTTPStatus.NOT_FOUND, "the file is not in the storage any more")
    return _file_response(request, known.event, file)


class _Download(FileResponse):
    """The framework's answer, of a file that is open: so it hangs before the answer, if it does.

    Invariant: each piece comes within a bounded time, or the connection is closed.
    """

    def __init__(self, file: OpenFile, event: ExportCompleted, tag: str) -> None:
        super().__init__(
            file.path,
            headers={"ETag": tag, "X-Content-Type-Options": "nosniff"},
            media_type=_MEDIA_TYPES[event.format],
            filename=f"{event.export_id}.{event.format}",
            stat_result=file.status,
        )
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except Refusal as refusal:
            # The status was sent. Without a last piece the server closes the connection.
            log.warning("a download broke off", path=scope["path"], reason=refusal.detail)

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        yield self._file


def _file_response(request: Request, event: ExportCompleted, file: OpenFile) -> Response:
    tag = f'"{event.sha256}"'
    wanted, known = (_field(request, name) for name in ("if-match", "if-none-match"))
    if wanted is not None and not names(wanted, tag, strongly=True):
        raise Refusal(HTTPStatus.PRECONDITION_FAILED, "the file has another ETag")
    if known is not None and names(known, tag, strongly=False):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    return _in_range(request, _Download(file, event, tag), file.status.st_size)


def _in_range(request: Request, response: FileResponse, size_bytes: int) -> Response:
    """Let the framework see only a range that it answers as RFC 9110 has it."""
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
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
    if ranges:
        headers.append((b"range", normalised(ranges).encode()))
    request.scope["headers"] = headers
    return response


def _field(request: Request, name: str) -> str | None:
    """A header; its lines, if there are several, are one list (RFC 9110, 5.3)."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None
