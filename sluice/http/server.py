"""An HTTP server as an async context manager: it listens, serves, and stops in bounded time.

uvicorn speaks HTTP; ``HttpServer`` owns the socket, the task and their shutdown. Invariant: after
the ``async with`` block nothing listens and no connection is left.
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp

from sluice.errors import UserError
from sluice.http.connections import ACCEPTED_AT_A_TIME, HEAD_BYTES, Protocol
from sluice.http.request_log import RequestLog
from sluice.http.stopping import AnsweredAtTheEnd, Stopping
from sluice.http.tls import Handshakes

_GRACE_SECONDS = 1.5  # for running requests to finish; then they are cut off
_STOP_SECONDS = 2.5  # for cut-off requests to clean up: an upload cancels its export
_MOST_WAITING = 2_048  # to be accepted
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach them from here


class HttpServer:
    """Serves ``app`` on ``host`` and ``port``; port 0 picks a free one.

    ``tls`` is called for each connection; with it, only HTTPS is served. Signals are the caller's,
    who decides when to stop.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._host = host
        self._wanted_port = port
        self._stopping = Stopping()
        self._handshakes = Handshakes(tls) if tls else None
        accept: Any = self._handshakes.accept if self._handshakes else Protocol
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                RequestLog(AnsweredAtTheEnd(app, self._stopping)),
                http=accept,
                h11_max_incomplete_event_size=HEAD_BYTES,
                lifespan="off",
                ws="none",
                log_config=None,  # its records go to the root logger's handlers
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=ACCEPTED_AT_A_TIME,
            )
        )
        self._address = (host, port)
        self._listener: socket.socket
        self._serving: asyncio.Task[None]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._address[1]

    @property
    def is_local(self) -> bool:
        """Whether it listens on a loopback address, which only this machine reaches."""
        return ipaddress.ip_address(self._address[0]).is_loopback

    @property
    def url(self) -> str:
        """The URL that reaches it from this machine, without a trailing slash."""
        host = _WILDCARDS.get(self._address[0], self._address[0])
        scheme = "https" if self._handshakes else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def wait(self) -> None:
        """Wait until the server has stopped. Cancelled, it leaves the server running.

        Raises:
            Exception: the error that ended the server.
        """
        await asyncio.shield(self._serving)

    async def __aenter__(self) -> Self:
        """Listen and serve.

        Raises:
            UserError: the address can't be bound.
        """
        self._listener = await self._listen()
        self._address = self._listener.getsockname()[:2]
        serve = self._uvicorn.serve(sockets=[self._listener])
        self._serving = asyncio.create_task(serve, name="http server")
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop accepting, give running requests a grace time, then cut them off.

        Raises:
            Exception: the error that ended the server earlier, unless the block raised one.
        """
        # First: requests that only wait end at once and need no grace time.
        self._stopping.begin()
        if self._handshakes:
            self._handshakes.end()
        self._uvicorn.should_exit = True
        try:
            await asyncio.wait([self._serving], timeout=_GRACE_SECONDS)
            self._uvicorn.cut_answers_off()
            await asyncio.wait([self._serving], timeout=_STOP_SECONDS)
        finally:
            self._serving.cancel()
            self._uvicorn.cut_off()
            self._listener.close()
        if error is None and self._serving.done():
            self._serving.result()

    async def _listen(self) -> socket.socket:
        wanted = f"{self._host}:{self._wanted_port} (SLUICE_HTTP_HOST, SLUICE_HTTP_PORT)"
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(
                self._host, self._wanted_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            family, _, _, _, address = infos[0]
            # IPv4 as well, whatever the system's default is.
            both = self._host == "::" and socket.has_dualstack_ipv6()
            return socket.create_server(address, family=family, dualstack_ipv6=both)
        except (socket.gaierror, UnicodeError):
            raise UserError(f"can't serve HTTP on {wanted}: no such host") from None
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise UserError(f"can't serve HTTP on {wanted}: {reason}") from None


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, embedded: it leaves signals and exit to the program."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.servers = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with more connections waiting than are accepted at a time."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_MOST_WAITING)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield

    def cut_answers_off(self) -> None:
        """Abort responses being sent, and cancel running requests."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, Protocol):
                connection.cut_answer_off()
        for task in list(self.server_state.tasks):
            task.cancel()

    def cut_off(self) -> None:
        """Close remaining connections: those whose peer doesn't read, or all after a crash."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
