"""HTTP connections with a hard deadline, whatever the other side sends or doesn't send.

A socket's timeout applies to each read: a server that sends a byte now and then, or endless ``100
Continue``, keeps ``http.client`` busy forever. Invariant: after the block no connection is open.
"""

import http.client
import socket
import ssl
import threading
import urllib.request
from contextlib import suppress
from functools import partial
from http.client import HTTPResponse
from typing import Any, Self


class CutOff:
    """Cuts off connections opened in its block once ``seconds`` have passed."""

    def __init__(self, seconds: float) -> None:
        self.is_due = False
        self._seconds = seconds
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Start the deadline."""
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cut off what is left."""
        self._timer.cancel()
        self._cut(is_due=self.is_due)
        for one in self._sockets:
            one.close()

    def handlers(self) -> tuple[urllib.request.BaseHandler, ...]:
        """Handlers for ``build_opener`` whose connections this cuts off."""
        return _Http(self), _Https(self)

    def watch(self, connected: socket.socket) -> None:
        """Cut this connection off, too, at the deadline."""
        # A duplicate: TLS detaches the original's descriptor for its handshake.
        own = connected.dup()
        with self._lock:
            self._sockets.append(own)
            if self.is_due:
                _shut(own)

    def _cut(self, *, is_due: bool = True) -> None:
        with self._lock:
            self.is_due = is_due
            for one in self._sockets:
                _shut(one)


class _Connection(http.client.HTTPConnection):
    """Registers its socket before any byte is read from it."""

    def __init__(self, cut_off: CutOff, *args: Any, **named: Any) -> None:  # noqa: ANN401 - the library's
        self._cut_off = cut_off
        super().__init__(*args, **named)

    def __setattr__(self, name: str, content: Any) -> None:  # noqa: ANN401 - of any attribute
        super().__setattr__(name, content)
        if name == "sock" and content is not None:
            self._cut_off.watch(content)


class _TlsConnection(_Connection, http.client.HTTPSConnection):
    """The same, over TLS."""


class _Http(urllib.request.HTTPHandler):
    def __init__(self, cut_off: CutOff) -> None:
        super().__init__()
        self._open = partial(_Connection, cut_off)

    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._open, request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, cut_off: CutOff) -> None:
        super().__init__()
        self._open = partial(_TlsConnection, cut_off)

    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._open, request, context=ssl.create_default_context())


def _shut(one: socket.socket) -> None:
    with suppress(OSError):  # already closed by the other side
        one.shutdown(socket.SHUT_RDWR)
