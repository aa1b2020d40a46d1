"""TLS handshakes of the HTTP server, bounded in number and time.

asyncio's servers wait a minute for each of any number of handshakes: clients that send nothing
would use up a node's open files. Invariant: never more than ``most_connections()`` handshakes are
in progress; each further one ends the oldest.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from sluice.http.connections import HEAD_SECONDS, Protocol, most_connections

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 10.0
_SHUTDOWN_SECONDS = 2.0  # for a client to say that it saw the end of the last response


def server_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """The server's TLS context: TLS 1.2 or 1.3, HTTP/1.1.

    Raises:
        OSError: a file can't be read, or can't serve (``ssl.SSLError``).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # With a password of its own, however wrong, OpenSSL doesn't ask for one on the terminal.
    context.load_cert_chain(certificate, key, password="")
    context.set_alpn_protocols(["http/1.1"])
    return context


class ServerCertificate:
    """The server's certificate, from files that may be renewed while it runs.

    A new connection checks them if none has for ten seconds. An unusable certificate, for example
    one whose key isn't there yet, is logged and checked again; meanwhile the last one stays in use.

    Raises:
        OSError: as ``server_context``.
    """

    def __init__(self, certificate: Path, key: Path | None) -> None:
        self._files = (certificate, key)
        self._seen = self._look()
        self._context = server_context(certificate, key)
        self._looked_at = time.monotonic()

    def context(self) -> ssl.SSLContext:
        """The context of the current files."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._renew()
        return self._context

    def _renew(self) -> None:
        certificate, key = self._files
        try:
            if (found := self._look()) == self._seen:
                return
            self._context, self._seen = server_context(certificate, key), found
        except OSError as error:
            log.warning("certificate not renewed", certificate=str(certificate), error=str(error))
        else:
            log.info("certificate renewed", certificate=str(certificate))

    def _look(self) -> list[tuple[int, int, int]]:
        stats = [path.stat() for path in self._files if path]
        return [(one.st_ino, one.st_mtime_ns, one.st_size) for one in stats]


class Handshakes:
    """Creates the protocols of new connections, in place of uvicorn.

    ``context`` is called for each of them.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        self.context = context
        self.under_way: dict[_Handshake, None] = {}
        """The oldest first; each keeps its task."""

    def accept(self, **named: Any) -> asyncio.Protocol:  # noqa: ANN401 - uvicorn's own
        """The protocol for an accepted connection."""
        return _Handshake(self, lambda: Protocol(**named))

    def end(self) -> None:
        """End handshakes in progress: the server stops."""
        for handshake in list(self.under_way):
            handshake.abort()


class _Handshake(asyncio.Protocol):
    """A connection until its handshake is complete.

    It is below TLS and above it: data decrypted before HTTP takes over is kept.
    """

    def __init__(self, handshakes: Handshakes, make_protocol: Callable[[], Protocol]) -> None:
        self._handshakes = handshakes
        self._make_protocol = make_protocol
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]
        self._received = bytearray()
        self._is_lost = False

    def abort(self) -> None:
        """End the connection."""
        self._handshakes.under_way.pop(self, None)
        self._transport.abort()
        self._task.cancel()  # asyncio doesn't notice if TLS hasn't begun yet

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; over the limit, end the one that began first."""
        self._transport = transport
        transport.pause_reading()  # nothing may be read before TLS is in place
        under_way = self._handshakes.under_way
        under_way[self] = None
        self._task = asyncio.get_running_loop().create_task(self._begin(), name="tls handshake")
        self._task.add_done_callback(self._end)
        if len(under_way) > most_connections():
            next(iter(under_way)).abort()

    def data_received(self, data: bytes) -> None:
        """Keep what came together with the handshake's end."""
        self._received += data

    def connection_lost(self, _error: Exception | None) -> None:
        """The client has left."""
        self._is_lost = True

    async def _begin(self) -> None:
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                self._handshakes.context(),
                server_side=True,
                ssl_handshake_timeout=HEAD_SECONDS,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except OSError:  # no TLS, an untrusted authority, or too slow
            self._transport.abort()
            return
        if transport is None or self._is_lost:
            return
        protocol = self._make_protocol()
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        if self._received:
            protocol.data_received(bytes(self._received))

    def _end(self, _task: asyncio.Task[None]) -> None:
        self._handshakes.under_way.pop(self, None)
