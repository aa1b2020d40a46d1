"""The bodies of requests, read no faster than they are used.

Invariant: all JSON bodies of the node together hold a bounded number of bytes.
"""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

from fastapi import Request

from sluice.http.problems import Refusal, unavailable
from sluice.http.stopping import Stopped, node_stops, stopping_of

JSON = "application/json"
NDJSON = "application/x-ndjson"
_QUIET_SECONDS = 1.0
_LARGE_BYTES = 1024 * 1024
_LEAST_TOTAL_BYTES = 128 * 1024 * 1024

_Parsed = TypeVar("_Parsed")


class BrokenOff(Exception):  # noqa: N818 - an event
    """The client went away before the end of its body; there is nobody to answer."""


def media_type(request: Request) -> str:
    """``JSON`` or ``NDJSON``.

    Raises:
        Refusal: 415, it is another one, compressed, or not in UTF-8.
    """
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    charsets = [text.strip() for text in parameters if text.strip().startswith("charset=")]
    in_utf8 = set(charsets) <= {"charset=utf-8", 'charset="utf-8"', "charset=utf8"}
    plain = request.headers.get("content-encoding", "identity").lower() == "identity"
    if kind.strip() not in {JSON, NDJSON} or not in_utf8 or not plain:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body must be {JSON} or {NDJSON}, in UTF-8 and without content coding",
            headers={"Accept-Post": f"{JSON}, {NDJSON}"},
        )
    return kind.strip()


async def pieces(request: Request, idle_seconds: float) -> AsyncGenerator[bytes, None]:
    """The body as it comes; an empty piece says that nothing came for a second.

    Raises:
        BrokenOff: the client went away.
        Refusal: 408, nothing came for ``idle_seconds``; 503, the node stops.
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
            yield message["body"]
        more = message.get("more_body", False)


class JsonBodies:
    """Reads whole bodies of at most ``most_bytes``; ``idle_seconds`` as for ``pieces``."""

    def __init__(self, most_bytes: int, idle_seconds: float) -> None:
        self._most_bytes = most_bytes
        self._idle_seconds = idle_seconds
        self._most_held_bytes = max(2 * most_bytes, _LEAST_TOTAL_BYTES)
        self._held_bytes = 0
        self._large = asyncio.Lock()

    @asynccontextmanager
    async def whole(self, request: Request) -> AsyncIterator[bytes]:
        """The body, for the block, at whose end its bytes no longer count.

        Raises:
            BrokenOff: the client went away.
            Refusal: 413, it is too large; 503, too much is held already; 408 and 503 as
                ``pieces``.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self._most_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        held = 0
        try:
            async for piece in pieces(request, self._idle_seconds):
                held += len(piece)
                self._held_bytes += len(piece)
                if held > self._most_bytes:
                    raise self._too_large()
                if self._held_bytes > self._most_held_bytes:
                    raise unavailable("too many large bodies at a time")
                parts.append(piece)
            body = b"".join(parts)
            parts.clear()
            yield body
        finally:
            self._held_bytes -= held

    async def parsed(self, body: bytes, parse: Callable[[], _Parsed]) -> _Parsed:
        """What a thread makes of a body; of large ones, one at a time.

        The parser lets no other thread run, and the garbage collector would look through what it
        makes again and again: a body of 62 MiB held up the event loop for 1.02 s, and without the
        collector for 0.25 s. What it makes has no cycles.
        """
        if len(body) < _LARGE_BYTES:
            return await asyncio.to_thread(parse)
        async with self._large:
            gc.disable()
            try:
                return await asyncio.to_thread(parse)
            finally:
                gc.enable()

    def _too_large(self) -> Refusal:
        return Refusal(
            HTTPStatus(413),  # its name differs between versions of Python
            f"a JSON body has at most {self._most_bytes:,} bytes (SLUICE_MAX_BODY_BYTES); "
            f"send {NDJSON} for more",
        )
