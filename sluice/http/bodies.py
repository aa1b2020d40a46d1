"""Reads request bodies no faster than they are used.

A small JSON body stays in memory and never waits for others. A larger one is spooled to disk until
it is complete; then it waits its turn to be checked, and its rows are published from the disk.
Invariant: the text of at most one large body is in memory, however many arrive and however slowly.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from starlette.requests import Request

from consumer.daemon_threads import DaemonThreads
from schemas import exact_json
from schemas.errors import FieldError
from sluice.http.problems import Refusal, wrong_fields
from sluice.http.spool import Room, Spool, SpoolPace
from sluice.http.stopping import Stopped, node_stops, stopping_of

JSON = "application/json"
NDJSON = "application/x-ndjson"
_UNKNOWN_FIELD = "is not a field of this request"
_QUIET_SECONDS = 1.0
_SMALL_BYTES = 1024 * 1024
_FEW_FIELDS_BYTES = 4_096
_LEAST_DISK_BYTES = 1024 * 1024 * 1024
_LEAST_TAKEN_BYTES = 80 * 1024 * 1024  # of bodies that are checked or published
_LINES_BYTES = 48 * 1024 * 1024  # for unfinished lines of all NDJSON uploads
_WAIT_SECONDS = 120.0
_PAUSE_SECONDS = 0.01  # between rows that may have many values

_Parsed = TypeVar("_Parsed")


class BrokenOff(Exception):  # noqa: N818 - an event
    """The client disconnected before the end of its body, so no response reaches it."""


def media_type(request: Request, *types: str) -> str:
    """The media type of a body, one of ``types``.

    Raises:
        Refusal: 415, the type is another one, or the body is compressed or not in UTF-8.
    """
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    charsets = [text.strip() for text in parameters if text.strip().startswith("charset=")]
    in_utf8 = set(charsets) <= {"charset=utf-8", 'charset="utf-8"', "charset=utf8"}
    plain = request.headers.get("content-encoding", "identity").lower() == "identity"
    if kind.strip() not in types or not in_utf8 or not plain:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body must be {' or '.join(types)}, in UTF-8 and without content coding",
            headers={"Accept-Post": ", ".join(types)},
        )
    return kind.strip()


async def pieces(request: Request, idle_seconds: float) -> AsyncGenerator[bytes, None]:
    """The body as it arrives; an empty piece means that nothing arrived for a second.

    Raises:
        BrokenOff: the client disconnected.
        Refusal: 408, nothing arrived for ``idle_seconds``; 503, the node stops.
    """
    loop, stopping, more = asyncio.get_running_loop(), stopping_of(request), True
    came_at = loop.time()
    while more:
        try:
            async with asyncio.timeout(_QUIET_SECONDS), stopping.cut_off():
                message = await request.receive()
        except Stopped:
            raise node_stops() from None
        except TimeoutError:
            if loop.time() - came_at > idle_seconds:
                detail = f"nothing of the body came for {idle_seconds:g} s"
                raise Refusal(HTTPStatus.REQUEST_TIMEOUT, detail) from None
            yield b""
            continue
        if message["type"] == "http.disconnect":
            raise BrokenOff("the upload broke off")
        came_at = loop.time()
        if message.get("body"):
            yield message.pop("body")  # free it before the next one arrives
        more = message.get("more_body", False)


async def small_json(request: Request, idle_seconds: float) -> dict[str, Any]:
    """The JSON object in a body without rows; ``idle_seconds`` as for ``pieces``.

    Raises:
        BrokenOff: the client disconnected.
        Refusal: 400, it is no JSON object; 413, it is too large; 415, it is of another type; 408
            and 503 as ``pieces``.
    """
    media_type(request, JSON)
    content, pace = bytearray(), SpoolPace()
    async for piece in pieces(request, idle_seconds):
        content += piece
        if len(content) > _SMALL_BYTES:
            raise Refusal(HTTPStatus(413), f"this body has at most {_SMALL_BYTES:,} bytes")
        pace.check(len(content))
    return _object(lambda: orjson.loads(content))


async def optional_json(request: Request, idle_seconds: float) -> dict[str, Any]:
    """The JSON object in a body that may be left out, and of a few fields at the most.

    ``idle_seconds`` as for ``pieces``.

    Raises:
        BrokenOff: the client disconnected.
        Refusal: 400, it is no JSON object; 413, it is too large; 415, it is of another type; 408
            and 503 as ``pieces``.
    """
    body = b""
    async for piece in pieces(request, idle_seconds):
        body += piece
        if len(body) > _FEW_FIELDS_BYTES:
            detail = f"the body has at most {_FEW_FIELDS_BYTES:,} bytes"
            raise Refusal(HTTPStatus(413), detail)  # its name differs between versions of Python
    if not body:
        return {}
    media_type(request, JSON)
    return _object(lambda: exact_json.loads(body))


def _object(parse: Callable[[], Any]) -> dict[str, Any]:
    try:
        given = parse()
    except ValueError as error:
        raise wrong_fields([FieldError("", f"malformed JSON: {error}")]) from None
    if not isinstance(given, dict):
        raise wrong_fields([FieldError("", "the body must be a JSON object")])
    return given


def unknown_fields(given: Iterable[str], known: Collection[str]) -> list[FieldError]:
    """An error for each field of a body that isn't known."""
    return [FieldError(name, _UNKNOWN_FIELD) for name in given if name not in known]


class JsonBodies:
    """Reads whole bodies of at most ``most_bytes``; ``idle_seconds`` as for ``pieces``."""

    def __init__(self, most_bytes: int, idle_seconds: float) -> None:
        self._most_bytes = most_bytes
        self._idle_seconds = idle_seconds
        self._disk = Room(max(4 * most_bytes, _LEAST_DISK_BYTES))
        self._taken = Room(max(most_bytes, _LEAST_TAKEN_BYTES))
        self._checks = DaemonThreads(1, "body")
        self._heavy = DaemonThreads(1, "row")
        self.lines = Room(_LINES_BYTES)
        """Memory for NDJSON lines whose end has not arrived yet."""

    @asynccontextmanager
    async def whole(self, request: Request) -> AsyncIterator[Spool]:
        """The whole body, for the block, which a large one enters in its turn.

        Raises:
            BrokenOff: the client disconnected.
            Refusal: 408, the body arrives too slowly; 413, it is too large; 503, too many large
                bodies are there; 408 and 503 as ``pieces``.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self._most_bytes:
            raise self._too_large()
        async with AsyncExitStack() as stack:
            spool = stack.enter_context(Spool(self._disk))
            await self._receive(request, spool)
            if spool.on_disk:
                await stack.enter_async_context(self._taken.held(spool.size, _WAIT_SECONDS))
            await spool.complete()
            yield spool

    async def _receive(self, request: Request, spool: Spool) -> None:
        pace = SpoolPace()
        async for piece in pieces(request, self._idle_seconds):
            if spool.size + len(piece) > self._most_bytes:
                raise self._too_large()
            await spool.append(piece)
            pace.check(spool.size)

    async def parsed(
        self, body: Spool, parse: Callable[[Spool, Callable[[], bool]], _Parsed]
    ) -> _Parsed:
        """Parse a body on a thread; large bodies one at a time.

        ``parse`` gets the body, and a function that returns whether the request was abandoned.
        """
        if not body.on_disk:
            return await asyncio.to_thread(parse, body, lambda: False)
        left = threading.Event()
        checking = self._checks.submit(parse, body, left.is_set)
        try:
            return await asyncio.wrap_future(checking)
        finally:
            # A thread can't be cancelled: the parser checks this between two pieces.
            left.set()

    async def in_turn(self, call: Callable[[], _Parsed]) -> _Parsed:
        """Run ``call`` on a thread, one call at a time: for rows that may have many values.

        Such a row holds the interpreter for a tenth of a second. The event loop gives it away at
        each of the steps that a request takes, and so would wait for a row at each: a pause between
        rows lets it take several.
        """

        def then_pause() -> _Parsed:
            parsed = call()
            time.sleep(_PAUSE_SECONDS)
            return parsed

        return await asyncio.wrap_future(self._heavy.submit(then_pause))

    def _too_large(self) -> Refusal:
        return Refusal(
            HTTPStatus(413),  # its name differs between versions of Python
            f"a JSON body has at most {self._most_bytes:,} bytes (SLUICE_MAX_BODY_BYTES); "
            f"send {NDJSON} for more",
        )
