"""The end of the server, as requests that are under way see it.

What waits for something that may take long waits in a block of ``Stopping.cut_off``. Whatever else
is under way has the time that the server gives it, and is cancelled then. Invariant: who was not
answered by then is told why; a cancellation by the server's end is no error.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sluice.http.problems import Refusal, problem_of, unavailable

_LONG_AGO = 0.0  # on the loop's clock: at once


class Stopped(Exception):  # noqa: N818 - an event
    """The server stops; the block was cut off."""


class Stopping:
    """Whether a server stops. Requests find theirs by ``stopping_of``."""

    def __init__(self) -> None:
        self.has_begun = False
        self._blocks: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """From now on it stops."""
        self.has_begun = True
        for block in self._blocks:
            block.reschedule(_LONG_AGO)

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Cancel the block when the server stops; what needs no waiting is done even then.

        Raises:
            Stopped: the block was cancelled for that.
        """
        block = asyncio.timeout_at(_LONG_AGO if self.has_begun else None)
        self._blocks.add(block)
        try:
            async with block:
                yield
        except TimeoutError:
            if block.expired():
                raise Stopped from None
            raise
        finally:
            self._blocks.discard(block)


class AnsweredAtTheEnd:
    """The outermost layer: what the server cancels as it stops is answered, if it wasn't."""

    def __init__(self, app: ASGIApp, stopping: Stopping) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        scope["state"]["stopping"] = self._stopping
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if not self._stopping.has_begun:
                raise
            if not has_begun:
                await problem_of(node_stops())(scope, receive, send)


def stopping_of(request: Request) -> Stopping:
    """That of the server which took this request; without one, nothing ever stops."""
    stopping: Stopping = getattr(request.state, "stopping", None) or Stopping()
    return stopping


def node_stops() -> Refusal:
    """503: another node may do it, or this one once it is there again."""
    return unavailable("the node stops")
