"""``POST /export/run``: publishes an export from rows over HTTP.

Everything that can be checked is checked before anything is published. Invariant: an id is
published once, by the first request; a repeat gets the same response.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TypeAlias, cast

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from producer.batching import encode_row
from schemas.completions import ExportCompleted, TerminalEvent, encode_event
from schemas.records import Row
from sluice.access.askers import Asker
from sluice.http.audit import audit
from sluice.http.bodies import JSON, NDJSON, JsonBodies, media_type, pieces
from sluice.http.exports import Exports, Repeated
from sluice.http.ndjson import NdjsonRows
from sluice.http.problems import Refusal, wrong_fields
from sluice.http.spool import IN_MEMORY_BYTES, Hold
from sluice.http.stopping import Stopped, stopping_of
from sluice.http.submission import (
    Pieces,
    Submission,
    parse_json,
    parse_query,
    query_fields,
    unknown_parameters,
    wait_seconds,
)
from sluice.http.uploads import Upload, UploadGateway

_Taken: TypeAlias = tuple[str, Repeated | None]
_Rows: TypeAlias = Sequence[Row | bytes]
_CHUNK_ROWS = 1_000
_CHUNK_BYTES = 256 * 1024
_GATHERED_SECONDS = 5.0
_LOOK_SECONDS = 5.0
_FIRST_ROW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RunDependencies:
    """The endpoint's dependencies. ``idle_seconds``: how long an upload may send nothing."""

    exports: Exports
    uploads: UploadGateway
    bodies: JsonBodies
    idle_seconds: float


async def run(deps: RunDependencies, request: Request, asker: Asker) -> Response:
    """Publish an export: its request, and its rows from a JSON or NDJSON body."""
    kind = media_type(request, JSON, NDJSON)
    query = query_fields(request.scope["query_string"])
    seconds = wait_seconds(query)
    take = _take_json if kind == JSON else _take_ndjson
    export_id, repeated = await take(deps, request, query, asker)
    if repeated and repeated.unsure:  # the body is no longer in memory
        await deps.exports.wait_until_begun(export_id, repeated.unsure)
    return await _answer(deps.exports, export_id, seconds, request)


async def _take_json(
    deps: RunDependencies, request: Request, query: dict[str, str], asker: Asker
) -> _Taken:
    if query:
        raise wrong_fields(unknown_parameters(query))
    async with deps.bodies.whole(request) as body:
        submission, rows = await deps.bodies.parsed(body, partial(parse_json, asker=asker.user))
        if not (repeated := await _find_repeated(deps, submission)):
            chunks = _slices(deps, rows, is_large=body.on_disk)
            note = partial(audit, request, asker, "run")
            repeated = await _publish(deps, submission, chunks, note)
    return submission.request.export_id, repeated


async def _take_ndjson(
    deps: RunDependencies, request: Request, query: dict[str, str], asker: Asker
) -> _Taken:
    submission = parse_query(query, asker.user)
    if not (repeated := await _find_repeated(deps, submission)):
        async with aclosing(_uploaded(deps, submission, request)) as chunks:
            first = deque([await _beginning(chunks, deps.idle_seconds)])
            note = partial(audit, request, asker, "run")
            repeated = await _publish(deps, submission, _resumed(first, chunks), note)
    return submission.request.export_id, repeated


async def _beginning(chunks: AsyncGenerator[_Rows, None], idle_seconds: float) -> _Rows:
    """The first rows, so that errors in them are refused before the id is used.

    Raises:
        Refusal: 408, no row arrived in time; else as ``_uploaded``.
    """
    seconds = min(idle_seconds, _FIRST_ROW_SECONDS)
    try:
        async with asyncio.timeout(seconds):
            async for rows in chunks:
                if rows:
                    return rows
    except TimeoutError:
        detail = f"no row has come within {seconds:g} s"
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, detail) from None
    return []


async def _resumed(
    first: deque[_Rows], chunks: AsyncGenerator[_Rows, None]
) -> AsyncGenerator[_Rows, None]:
    """All rows; ``first`` is emptied, so that its rows are freed while the upload goes on."""
    yield first.popleft()
    async for rows in chunks:
        yield rows
        del rows


async def _answer(exports: Exports, export_id: str, seconds: float, request: Request) -> Response:
    if seconds:
        with suppress(Stopped):  # the export continues, so 202 is right
            async with stopping_of(request).cut_off():
                if event := await exports.wait_for_end(export_id, seconds, request.is_disconnected):
                    return Response(_ended(event), media_type=JSON)
    return accepted(export_id)


def accepted(export_id: str) -> Response:
    """202: all of an export is in Kafka, or about to be; with its status URL."""
    status_url = f"/export/status/{export_id}"
    answer = {
        "export_id": export_id,
        "status_url": status_url,
        "download_url": _download_url(export_id),
    }
    return JSONResponse(answer, HTTPStatus.ACCEPTED, {"Location": status_url})


def _ended(event: TerminalEvent) -> bytes:
    """The terminal event, and its file's URL, if there is one."""
    encoded = encode_event(event)
    if not isinstance(event, ExportCompleted):
        return encoded
    return orjson.dumps({**orjson.loads(encoded), "download_url": _download_url(event.export_id)})


def _download_url(export_id: str) -> str:
    return f"/export/download/{export_id}"


async def _find_repeated(deps: RunDependencies, submission: Submission) -> Repeated | None:
    """The export, if an equivalent request already exists.

    Raises:
        Refusal: 409, the id is another export's; 503, Kafka or the storage doesn't answer.
    """
    wanted = submission.request
    # A broken upload is unfinished too, but its retry may resume it.
    if not submission.is_named or deps.uploads.is_breaking_off(wanted.export_id):
        return None
    return await deps.exports.find_repeated(wanted)


async def _publish(
    deps: RunDependencies,
    submission: Submission,
    chunks: AsyncGenerator[_Rows, None],
    note: Callable[..., None],
) -> Repeated | None:
    """Publish the export, unless another request does so at this moment: then return its export.

    ``note`` logs that it has begun.

    Raises:
        Refusal: the id is another export's, the queue is full, a row is wrong, or Kafka is away.
    """
    with deps.uploads.arriving(submission.request):
        return await _publish_if_admitted(deps, submission, chunks, note)


async def _publish_if_admitted(
    deps: RunDependencies,
    submission: Submission,
    chunks: AsyncGenerator[_Rows, None],
    note: Callable[..., None],
) -> Repeated | None:
    exports, wanted = deps.exports, submission.request
    unfinished = await exports.count_unfinished(wanted.user)
    if exports.is_under_way(wanted):
        return Repeated()
    retried = submission.is_named
    with exports.admission.ticket(wanted, unfinished) as ticket:
        async with deps.uploads.export(wanted, retried=retried) as upload:
            # The request is in Kafka: counts that begin now include it.
            ticket.accepted = True
            if submission.is_named and not await exports.is_first(wanted.export_id, upload.source):
                upload.leave()
            else:
                upload.is_first()
                note(export_id=wanted.export_id, format=str(wanted.format))
                await _send(exports, wanted.export_id, upload, chunks)
                return None
    return await exports.find_repeated(wanted)  # the faster request's export; 409 if they differ


async def _send(
    exports: Exports,
    export_id: str,
    upload: Upload,
    chunks: AsyncGenerator[_Rows, None],
) -> None:
    """Send all rows and the end; stop once the export has ended, for example by a cancellation."""
    clock = asyncio.get_running_loop().time
    looked_at = clock()
    async with aclosing(chunks):
        async for rows in chunks:
            if rows:
                await upload.send(rows)
            del rows  # freed while the next ones arrive
            if clock() - looked_at > _LOOK_SECONDS:
                looked_at = clock()
                with suppress(Refusal):  # the upload continues while the storage doesn't answer
                    if await exports.fetch_manifest(export_id):
                        upload.leave()
                        return
    await upload.finish()


async def _slices(
    deps: RunDependencies, pieces: Pieces, *, is_large: bool
) -> AsyncGenerator[_Rows, None]:
    rest = pieces()
    following = partial(_following, rest)
    while rows := await (deps.bodies.in_turn(following) if is_large else _at_once(following)):
        for start in range(0, len(rows), _CHUNK_ROWS):
            yield rows[start : start + _CHUNK_ROWS]
            await asyncio.sleep(0)  # a send with room in its buffer never yields to other tasks


async def _at_once(call: Callable[[], _Rows | None]) -> _Rows | None:
    return call()


def _following(rest: Iterator[list[Row]]) -> _Rows | None:
    """The next rows; a single one as bytes, as a long row's cells take several times its text."""
    rows = next(rest, None)
    return [*map(encode_row, rows)] if rows and len(rows) == 1 else cast("_Rows | None", rows)


async def _uploaded(
    deps: RunDependencies, submission: Submission, request: Request
) -> AsyncGenerator[_Rows, None]:
    """The rows of an NDJSON body in chunks; a short one when nothing arrives for a second.

    The first chunk comes with the first rows: from then on a wrong line cancels the export.
    """
    keys = frozenset(column.key for column in submission.request.columns)
    reader = NdjsonRows(submission.check, keys if submission.ignores_extra else None)
    rows: list[bytes] = []
    gathered_bytes, least_rows = 0, 1
    clock = asyncio.get_running_loop().time
    sent_at = clock()
    async with aclosing(pieces(request, deps.idle_seconds)) as body:
        with Hold(deps.bodies.lines) as hold:
            async for piece in body:
                gathered_bytes += len(piece)
                # An empty piece: the client pauses; send what has arrived.
                is_slow = clock() - sent_at > _GATHERED_SECONDS
                is_due = not piece or is_slow or gathered_bytes >= _CHUNK_BYTES
                async for some in _parsed(deps, reader, piece):
                    rows += some
                    del some
                    if len(rows) >= least_rows:
                        yield rows
                        rows, gathered_bytes, least_rows = [], 0, _CHUNK_ROWS
                        sent_at = clock()
                del piece
                hold.set(max(0, reader.line_bytes - IN_MEMORY_BYTES))
                if is_due:
                    yield rows
                    rows, gathered_bytes, sent_at = [], 0, clock()
            async for some in _parsed(deps, reader, None):
                rows += some
    yield rows


async def _parsed(
    deps: RunDependencies, reader: NdjsonRows, piece: bytes | None
) -> AsyncIterator[list[bytes]]:
    """The rows of a piece of the body, or of its end if None, parsed on a thread."""
    is_long = reader.line_bytes + len(piece or b"") > 2 * IN_MEMORY_BYTES
    parsing = reader.end() if piece is None else reader.feed(piece)
    following = partial(next, parsing, None)
    while True:
        rows = await (deps.bodies.in_turn if is_long else asyncio.to_thread)(following)
        if rows is None:
            return
        yield rows
        del rows
