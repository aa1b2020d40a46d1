"""Connections of the HTTP server, bounded in number and in how long each may hold up its place.

uvicorn speaks HTTP by h11. Here is what that lets a client do without end: send no head, or a huge
one, or its bytes one by one; read nothing of an answer; and come again and again. Invariant: there
are never more than ``most_connections()``, and one that has a request under way is never closed to
make room.
"""

import asyncio
import resource
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

import h11
import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

from sluice.http.problems import Problem

log = structlog.get_logger(__name__)

HEAD_BYTES = 64 * 1024
"""Of a request's line and headers, and up to a slice more."""
HEAD_SECONDS = 10.0
"""From connecting, or from the end of the answer before, until a request's head is there."""
UNREAD_SECONDS = 60.0
"""So long may a client read so little of an answer that nothing more can be sent."""
_Handle = TypeVar("_Handle", bound=asyncio.Handle)
_SLICE_BYTES = 16 * 1024
_READ_SECONDS = 0.01
_MOST_CONNECTIONS = 500
_DESCRIPTORS_EACH = 3  # its own, a body's on disk, and as many for all else


def most_connections() -> int:
    """How many there may be at a time, by the process's limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(1, min(_MOST_CONNECTIONS, soft // _DESCRIPTORS_EACH))


class Protocol(H11Protocol):
    """One connection. Its answer to what is no HTTP is a problem like all others."""

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **named)
        self._free_since = self.loop.time()
        self._received = bytearray()
        self._reading: asyncio.Handle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def is_free(self) -> bool:
        """Whether no request is under way on it."""
        return self.cycle is None or self.cycle.response_complete

    def cut_answer_off(self) -> None:
        """Break off the answer that is being sent, if one is."""
        if self.cycle and self.cycle.response_started:
            log.warning("an answer is cut off: the node stops", path=self.cycle.scope["path"])
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; where there are too many, the one goes that was free for longest."""
        super().connection_made(transport)
        # What waits in ``_received`` is read before the transport gives more.
        self.flow = FlowControl(_Reading(transport, self._resume_transport))  # type: ignore[arg-type]
        self._note_state()
        if len(self.connections) > most_connections() and not self._make_room():
            detail = "the node has too many connections"
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, detail)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what waits, and the timers."""
        super().connection_lost(exc)
        self._received.clear()
        self._reading = _none(self._reading)
        self._deadline = _none(self._deadline)
        self._unread = _none(self._unread)

    def data_received(self, data: bytes) -> None:
        """Read on, a slice at a time; what is left after a while waits until others had their turn.

        h11 makes an event of each chunk of a body: 256 KiB of chunks of a byte took 0.7 s at once.
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
        """Let more come, once all that came was read."""
        if self.flow.read_paused or self.transport.is_closing():
            return
        if not self._received:
            self.transport.resume_reading()
        elif self._reading is None:
            self._reading = self.loop.call_soon(self._read_on)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._free_since = self.loop.time()
        self._note_state()

    def pause_writing(self) -> None:
        """The client reads nothing, or too slowly."""
        super().pause_writing()
        self._unread = self._unread or self._later(UNREAD_SECONDS, self._give_up_writing)

    def resume_writing(self) -> None:
        """It reads on."""
        super().resume_writing()
        self._unread = _none(self._unread)

    def send_400_response(self, msg: str) -> None:
        """Say so, unless an answer is on its way already, and hang up."""
        # uvicorn calls this where it has caught h11's error, and doesn't hand that on.
        hint = getattr(sys.exc_info()[1], "error_status_hint", HTTPStatus.BAD_REQUEST)
        self._answer(HTTPStatus(hint), msg)

    def _note_state(self) -> None:
        """Set the time limit while no request is under way, whatever comes meanwhile."""
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
        log.info("an answer is cut off: its client doesn't read", path=path)
        self.transport.abort()

    def _make_room(self) -> bool:
        """Close the other connection that was free for longest, if there is one."""
        others = [one for one in self.connections if isinstance(one, Protocol) and one is not self]
        free = [one for one in others if one.is_free]
        if not free:
            return False
        longest = min(free, key=lambda one: one._free_since)  # noqa: SLF001 - one of ours
        longest.transport.abort()
        self.connections.discard(longest)  # now, as it goes only when the loop comes round
        return True

    def _answer(self, status: HTTPStatus, detail: str) -> None:
        """Answer without the application, if no answer is on its way, and hang up."""
        if self.conn.our_state is h11.SEND_RESPONSE or self.conn.our_state is h11.IDLE:
            again = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
            problem = Problem(status, detail, {"Connection": "close", **again})
            for event in (
                h11.Response(status_code=problem.status_code, headers=problem.raw_headers),
                h11.Data(data=bytes(problem.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Reading:
    """The part of a transport that flow control uses, which resumes by ``resume_reading``."""

    def __init__(self, transport: asyncio.Transport, resume_reading: Callable[[], None]) -> None:
        self.pause_reading = transport.pause_reading
        self.resume_reading = resume_reading


def _none(timer: _Handle | None) -> _Handle | None:
    """No timer, instead of this one."""
    if timer:
        timer.cancel()
    return None
