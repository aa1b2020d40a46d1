"""The server's shutdown, as running requests see it.

A request that waits for something slow does so in a ``Stopping.cut_off`` block, which ends at once.
Others have the server's grace time and are then cancelled. Invariant: a request without a response
by then is answered 503; its cancellation is not an error.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sluice.http.problems import Refusal, problem_of, unavailable

_LONG_AGO = 0.0  # a deadline in the past of the loop's clock


class Stopped(Exception):  # noqa: N818 - an event
    """The block was cut off, as the server stops."""


class Stopping:
    """Whether a server is stopping. Requests get theirs from ``stopping_of``."""

    def __init__(self) -> None:
        self.has_begun = False
        self._blocks: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """Cut off all blocks, current and future ones."""
        self.has_begun = True
        for block in self._blocks:
            block.reschedule(_LONG_AGO)

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Cancel the block when the server stops. A block that never waits runs even then.

        Raises:
            Stopped: the block was cancelled because the server stops.
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
    """Middleware that answers 503 to requests cancelled by the shutdown."""

    def __init__(self, app: ASGIApp, stopping: Stopping) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
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
            # Only then is there still a status to send.
            if not has_begun:
                await problem_of(node_stops())(scope, receive, send)


def stopping_of(request: Request) -> Stopping:
    """The ``Stopping`` of the request's server; one that never begins if there is none."""
    stopping: Stopping = getattr(request.state, "stopping", None) or Stopping()
    return stopping


def node_stops() -> Refusal:
    """503: another node may answer, or this one after its restart."""
    return unavailable("the node stops")
