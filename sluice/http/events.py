"""``GET /export/events``: changes of the exports that the asker may see, as Server-Sent Events.

See the WHATWG HTML standard, section 9.2. Invariant: a stream ends when its token is no longer
valid, and without an error when the node stops.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sluice.access.askers import Asker
from sluice.http.changes import ExportPlace
from sluice.http.connections import most_streams
from sluice.http.live import LiveExports
from sluice.http.problems import Refusal
from sluice.http.repeats import query_kafka
from sluice.http.stopping import Stopped, stopping_of

HEARTBEAT_SECONDS = 15.0
"""Between two keep-alive comments; proxies and clients give up after 30 or 60 s of silence."""
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would buffer messages
}


async def events(
    live: LiveExports,
    asker_of: Callable[[Request], Awaitable[Asker]],
    request: Request,
    asker: Asker,
) -> Response:
    """The stream. ``asker_of`` identifies the sender again, to check the token."""
    last = request.headers.get("last-event-id")
    place = await query_kafka(lambda: live.begin(last))

    async def is_valid() -> bool:
        try:
            return await asker_of(request) == asker
        except Refusal:
            return False

    return _Stream(live, _messages(live, place, asker, is_valid, request))


class _Stream(StreamingResponse):
    """One event stream; their number is limited."""

    media_type = "text/event-stream"

    def __init__(self, live: LiveExports, messages: AsyncIterator[bytes]) -> None:
        super().__init__(messages, headers=_HEADERS)
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application. Raises Refusal before the first byte if there are too many."""
        with self._live.follower(most_streams()):
            await super().__call__(scope, receive, send)


async def _messages(
    live: LiveExports,
    place: ExportPlace,
    asker: Asker,
    is_valid: Callable[[], Awaitable[bool]],
    request: Request,
) -> AsyncIterator[bytes]:
    clock, stopping = asyncio.get_running_loop().time, stopping_of(request)
    # An id without data is no message, but the client resumes from it.
    yield f"retry: 1000\nid: {place.encode()}\n\n".encode()
    beat_at = clock() + HEARTBEAT_SECONDS
    while True:
        messages, place = live.since(place, asker)
        if messages:
            yield messages
        try:
            async with stopping.cut_off():
                # Changes that the asker may not see move the place, too, and put no beat off.
                await live.moved(place, max(0.0, beat_at - clock()))
        except Stopped:
            return
        if clock() >= beat_at:
            beat_at = clock() + HEARTBEAT_SECONDS
            if not await is_valid():
                return
            # A comment, which clients ignore by the standard.
            yield b":\n\n"
