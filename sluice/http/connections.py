"""HTTP connections, limited in number and in the time each may be idle.

uvicorn and h11 don't limit clients that send no request head, a huge one, or one byte at a time;
that don't read the response; or that open connection after connection. These limits are here.
Invariant: there are never more than ``most_connections()``, some reserved for probes so that many
clients don't make a node look dead, plus ``most_streams()`` event streams; and a connection with a
running request is never closed to make room.
"""

import asyncio
import resource
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

import h11
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

from sluice.http.problems import Problem
from sluice.http.request_log import PROBE_PATHS

log = structlog.get_logger(__name__)

HEAD_BYTES = 64 * 1024
"""The limit of request line and headers, give or take a slice."""
HEAD_SECONDS = 10.0
"""From connecting, or the end of the previous response, to a complete request head."""
UNREAD_SECONDS = 60.0
"""How long a client may leave the send buffer full before its connection is aborted."""
ACCEPTED_AT_A_TIME = 20
"""In one pass of the loop; asyncio would accept as many as may wait. A flood that was
accepted at once would take all connections for probes before one of them is read."""
_CLOSE = {"Connection": "close"}
_AGAIN = {**_CLOSE, "Retry-After": "1"}
_Handle = TypeVar("_Handle", bound=asyncio.Handle)
_SLICE_BYTES = 16 * 1024
_READ_SECONDS = 0.01
_MOST_CONNECTIONS = 500
_PROBE_CONNECTIONS = 250  # what is accepted while one is read, answered and closed, twice
_PASSES_UNTIL_READ = 4  # of the loop, from being accepted, for what was sent with the connection
_MOST_STREAMS = 1_200
_TOO_MANY = "the node has too many connections"
_DESCRIPTORS_EACH = 3  # a socket, a spooled body, and a share for everything else
_DESCRIPTORS_WANTED = 8_192
EVENTS_PATH = "/export/events"
"""Paths whose responses are endless streams."""


def most_connections() -> int:
    """How many connections may be open, given the process's limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(1, min(_MOST_CONNECTIONS, soft // _DESCRIPTORS_EACH))


def most_streams() -> int:
    """How many more connections may be event streams, given the same limit.

    They cost a socket and little memory, so they have a separate limit and don't displace other
    connections.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_STREAMS if soft == resource.RLIM_INFINITY else min(_MOST_STREAMS, soft // 4)


def raise_descriptor_limit() -> None:
    """Raise the limit of open files towards the system's maximum: shells start with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(_DESCRIPTORS_WANTED, _DESCRIPTORS_WANTED if hard < 0 else hard)
    if 0 <= soft < wanted:  # the system's infinity is -1
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Protocol(H11Protocol):
    """One connection. Malformed HTTP gets a problem response, like every other error."""

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **named)
        self._free_since = self.loop.time()
        self._received = bytearray()
        self._is_for_probes = False
        self._passes = 0
        self._reading: asyncio.Handle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def is_free(self) -> bool:
        """Whether no request is running."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_gone(self) -> bool:
        """Whether it is closed but for a pass of the loop: a flood leaves dozens of them."""
        return self.transport.is_closing() and not self.transport.get_write_buffer_size()

    @property
    def is_stream(self) -> bool:
        """Whether it was accepted as an event stream; the endpoint limits their number."""
        cycle = self.cycle
        return (
            cycle is not None
            and cycle.response_started
            and not cycle.response_complete
            and cycle.scope["path"] == EVENTS_PATH
        )

    def cut_answer_off(self) -> None:
        """Abort the response being sent, if any."""
        if self.cycle and self.cycle.response_started:
            log.warning("response cut off: the node stops", path=self.cycle.scope["path"])
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection; over the limit, close the one idle for longest."""
        super().connection_made(transport)
        # Bytes left in ``_received`` are parsed before the transport reads more.
        self.flow = FlowControl(_Reading(transport, self._resume_transport))  # type: ignore[arg-type]
        self._note_state()
        self._count_passes()
        if len(self.connections) > most_connections():
            self._find_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop unparsed bytes and stop the timers."""
        super().connection_lost(exc)
        self._received.clear()
        self._reading = _none(self._reading)
        self._deadline = _none(self._deadline)
        self._unread = _none(self._unread)

    def data_received(self, data: bytes) -> None:
        """Parse a slice at a time; after 10 ms, yield to other tasks first.

        h11 makes an event of every body chunk: 256 KiB of one-byte chunks took 0.7 s at once.
        """
        self._received += data
        if self._reading is None:
            self._read_on()

    def _read_on(self) -> None:
        self._reading = None
        until = self.loop.time() + _READ_SECONDS
        while self._received and not self.transport.is_closing() and not self.flow.read_paused:
            part = bytes(self._received[:_SLICE_BYTES])
            del self._received[:_SLICE_BYTES]
            super().data_received(part)
            if self._received and self.loop.time() >= until:
                self.transport.pause_reading()
                self._reading = self.loop.call_soon(self._read_on)
                break
        else:
            self._resume_transport()
        self._note_state()

    def _resume_transport(self) -> None:
        """Read more from the socket, once everything received was parsed."""
        if self.flow.read_paused or self.transport.is_closing():
            return
        if not self._received:
            self.transport.resume_reading()
        elif self._reading is None:
            self._reading = self.loop.call_soon(self._read_on)

    def on_response_complete(self) -> None:
        """Start the time limit for the next request."""
        super().on_response_complete()
        self._free_since = self.loop.time()
        self._note_state()

    def pause_writing(self) -> None:
        """Start the time limit for a client that does not read."""
        super().pause_writing()
        self._unread = self._unread or self._later(UNREAD_SECONDS, self._give_up_writing)

    def resume_writing(self) -> None:
        """Stop that time limit: the client reads again."""
        super().resume_writing()
        self._unread = _none(self._unread)

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP unless a response has begun, and close the connection."""
        # uvicorn calls this in its handler of h11's error, without passing the error on.
        hint = getattr(sys.exc_info()[1], "error_status_hint", HTTPStatus.BAD_REQUEST)
        self._answer(HTTPStatus(hint), msg)

    def _note_state(self) -> None:
        """Run the time limit while no request is running; arriving bytes don't extend it."""
        if not self.is_free:
            self._deadline = _none(self._deadline)
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self._later(HEAD_SECONDS, self._give_up_reading)

    def _later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, act)

    def _give_up_reading(self) -> None:
        self._deadline = None
        if self.is_free and not self.transport.is_closing():
            if self.conn.trailing_data[0]:
                detail = f"the request's head was not there within {HEAD_SECONDS:g} s"
                self._answer(HTTPStatus.REQUEST_TIMEOUT, detail)
            else:
                self.transport.close()

    def _give_up_writing(self) -> None:
        self._unread = None
        path = self.cycle.scope["path"] if self.cycle else None
        log.info("response cut off: the client does not read", path=path)
        self.transport.abort()

    def _count_passes(self) -> None:
        if self._passes < _PASSES_UNTIL_READ:
            self._passes += 1
            self.loop.call_soon(self._count_passes)

    def _find_room(self) -> None:
        """Replace an idle connection; else become one for probes; else answer 503."""
        usual = for_probes = 0
        idle_usual: Protocol | None = None
        idle_for_probes: Protocol | None = None
        for one in self.connections:  # once, as a flood comes here for each of its connections
            if one is self or not isinstance(one, Protocol) or one.is_gone or one.is_stream:
                continue
            if one._is_for_probes:  # noqa: SLF001 - one of ours
                for_probes += 1
                idle_for_probes = one.idle_for_longer_than(idle_for_probes)
            else:
                usual += 1
                idle_usual = one.idle_for_longer_than(idle_usual)
        if usual < most_connections():
            return
        if idle_usual:
            self._replace(idle_usual)
            return
        self._is_for_probes = True
        self.app = _for_probes(self.app)
        if for_probes < _PROBE_CONNECTIONS:
            return
        if idle_for_probes:
            self._replace(idle_for_probes)
        else:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, _TOO_MANY)

    def idle_for_longer_than(self, other: "Protocol | None") -> "Protocol | None":
        """This connection, if it may be closed to make room and before the other one; else that."""
        if self._passes < _PASSES_UNTIL_READ or not self.is_free:
            return other
        earlier = other is None or self._free_since < other._free_since  # noqa: SLF001 - one of ours
        return self if earlier else other

    def _replace(self, one: "Protocol") -> None:
        one.transport.abort()
        self.connections.discard(one)  # now: uvicorn does so only in the loop's next cycle

    def _answer(self, status: HTTPStatus, detail: str) -> None:
        """Answer without the application unless a response has begun, and close the connection."""
        if self.conn.our_state is h11.SEND_RESPONSE or self.conn.our_state is h11.IDLE:
            again = status == HTTPStatus.SERVICE_UNAVAILABLE
            problem = Problem(status, detail, _AGAIN if again else _CLOSE)
            for event in (
                h11.Response(status_code=problem.status_code, headers=problem.raw_headers),
                h11.Data(data=bytes(problem.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _for_probes(app: ASGIApp) -> ASGIApp:
    """The application for probes' requests; others get 503."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PROBE_PATHS:
            await app(scope, receive, send)
        else:
            refused = Problem(HTTPStatus.SERVICE_UNAVAILABLE, _TOO_MANY, _AGAIN)
            await refused(scope, receive, send)

    return answer


class _Reading:
    """A transport for flow control, with our own ``resume_reading``."""

    def __init__(self, transport: asyncio.Transport, resume_reading: Callable[[], None]) -> None:
        self.pause_reading = transport.pause_reading
        self.resume_reading = resume_reading


def _none(timer: _Handle | None) -> _Handle | None:
    """Cancel a timer, if there is one; returns None to take its place."""
    if timer:
        timer.cancel()
    return None
