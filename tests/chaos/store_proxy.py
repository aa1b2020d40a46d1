"""What stands between the nodes and the object store: an HTTP proxy that fails as a storm wants.

    PASSES    every request is forwarded
    REFUSES   none is: the answers are 503 and 500 by turns
    SLOW      each is forwarded late
    LOSES     the store makes what is created only if it isn't there, and nobody hears the answer

Invariant: what a client hears is the store's own answer, or an error that a store gives.
"""

import asyncio
import contextlib
import itertools
import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Self

from broker.ports import LOOPBACK

_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
_CREATES = re.compile(rb"PUT .*\r\nif-none-match: *\*\r\n", re.IGNORECASE | re.DOTALL)
_REFUSAL = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
_REFUSALS = {
    b"503 Service Unavailable": b"<Error><Code>SlowDown</Code></Error>",
    b"500 Internal Server Error": b"<Error><Code>InternalError</Code></Error>",
}


class Weather(Enum):
    """What becomes of requests; see the module."""

    PASSES = auto()
    REFUSES = auto()
    SLOW = auto()
    LOSES = auto()


class StoreProxy:
    """Listens on a free port of this machine, and forwards to the port that ``target`` returns.

    ``struck`` counts requests that did not simply pass, ``slow_seconds`` is how late a slow one is
    forwarded. A connection carries one request.
    """

    def __init__(self, target: Callable[[], int], slow_seconds: float = 2.0) -> None:
        self._target = target
        self._slow_seconds = slow_seconds
        self._refusals = itertools.cycle(_REFUSALS.items())
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self.weather = Weather.PASSES
        self.struck = 0

    @property
    def endpoint(self) -> str:
        """Its URL."""
        host, port = self._server.sockets[0].getsockname()
        return f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0, limit=_HEAD_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.sleep(0)  # what was accepted is in the loop's next round
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.sleep(0)  # so is what was aborted

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        # Also where it is cancelled before its first step.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that hangs up, or a store that was killed: both ends are closed.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(_END)
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            await self._answer(head, body, writer)
            writer.close()
            await writer.wait_closed()

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        weather = self.weather
        loses = weather is Weather.LOSES and _CREATES.match(head) is not None
        if loses or weather in {Weather.REFUSES, Weather.SLOW}:
            self.struck += 1
        if weather is Weather.REFUSES:
            status, text = next(self._refusals)
            text = b"" if head.startswith(b"HEAD") else text
            writer.write(_REFUSAL % (status, len(text), text))
            return
        if weather is Weather.SLOW:
            await asyncio.sleep(self._slow_seconds)
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._target())
        try:
            # So that the end of the answer is that of the connection. This header isn't signed.
            head = _CONNECTION.sub(b"", head).removesuffix(_END) + b"\r\nConnection: close" + _END
            far_writer.write(head + body)
            while piece := await far_reader.read(_PIECE_BYTES):
                if not loses:
                    writer.write(piece)
                    await writer.drain()
        finally:
            far_writer.transport.abort()
