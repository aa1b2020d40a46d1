"""An HTTP server as an async context manager: it listens, serves and stops within bounds.

uvicorn speaks HTTP; the socket, the task and the end of both belong to ``HttpServer``. Invariant:
after the ``async with`` block nothing listens and no connection is left.
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from sluice.errors import UserError
from sluice.http.connections import HEAD_BYTES, Protocol
from sluice.http.request_log import RequestLog
from sluice.http.stopping import AnsweredAtTheEnd, Stopping

_GRACE_SECONDS = 1.5  # for answers that are under way; then they are cut off
_STOP_SECONDS = 2.5  # for what is cut off: an upload sees that its export is cancelled
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach them from here


class HttpServer:
    """Serves ``app`` on ``host`` and ``port``; port 0 picks a free one.

    Signals are none of its business: who enters it decides when to leave.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._host = host
        self._wanted_port = port
        self._stopping = Stopping()
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                RequestLog(AnsweredAtTheEnd(app, self._stopping)),
                http=Protocol,
                h11_max_incomplete_event_size=HEAD_BYTES,
                lifespan="off",
                ws="none",
                log_config=None,  # its records go where all records go
                access_log=False,
                proxy_headers=False,
                server_header=False,
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
        """Whether it is on a loopback address, so that only this machine reaches it."""
        return ipaddress.ip_address(self._address[0]).is_loopback

    @property
    def url(self) -> str:
        """Where this machine reaches it, without a slash at the end."""
        host = _WILDCARDS.get(self._address[0], self._address[0])
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def wait(self) -> None:
        """Wait until the server has stopped. Being cancelled leaves it as it is.

        Raises:
            Exception: whatever brought it down.
        """
        await asyncio.shield(self._serving)

    async def __aenter__(self) -> Self:
        """Listen; requests are answered from now on.

        Raises:
            UserError: the address can't be had.
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
        """Stop accepting, let answers under way end for a while, then cut them off.

        Raises:
            Exception: whatever brought the server down before, if nothing is on its way yet.
        """
        self._stopping.begin()
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
            both = self._host == "::" and socket.has_dualstack_ipv6()
            return socket.create_server(address, family=family, dualstack_ipv6=both)
        except (socket.gaierror, UnicodeError):
            raise UserError(f"can't serve HTTP on {wanted}: no such host") from None
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise UserError(f"can't serve HTTP on {wanted}: {reason}") from None


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, as a part of a program rather than the program."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.servers = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals alone."""
        yield

    def cut_answers_off(self) -> None:
        """Break off what is being sent, and cancel what is under way."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, Protocol):
                connection.cut_answer_off()
        for task in list(self.server_state.tasks):
            task.cancel()

    def cut_off(self) -> None:
        """Close what is left: connections whose peer doesn't read, and after a crash all."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
