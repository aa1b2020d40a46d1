"""One log line for each request: client, user, method, path, status, sizes and duration.

It contains nothing that could be secret: no header, query or body. Invariant: a client without a
valid token or link can't fill the log.
"""

import time
from collections.abc import Callable
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

PROBE_PATHS = frozenset({"/health", "/ready", "/metrics", "/export/metrics"})
"""Paths that orchestrators and monitors poll without a token."""
_MOST_CHARACTERS = 200
_REFUSED_SECONDS = 10.0


class RequestLog:
    """The outermost middleware. ``clock`` returns monotonic seconds."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._refused_at = -_REFUSED_SECONDS
        self._unlogged = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        began = self._clock()
        status: int | None = None
        received = sent = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counted_receive, counted_send)
        finally:
            # On cancellation too: there may be no status then.
            seconds = self._clock() - began
            self._log(scope, status, seconds, {"received_bytes": received, "sent_bytes": sent})

    def _log(self, scope: Scope, status: int | None, seconds: float, sizes: dict[str, int]) -> None:
        fields = {
            "method": scope["method"][:_MOST_CHARACTERS],
            "path": scope["path"][:_MOST_CHARACTERS],
            "status": status and int(status),
            "duration_ms": round(seconds * 1000),
            "user": scope.get("state", {}).get("user"),
            "client": (scope.get("client") or (None,))[0],
            **sizes,
        }
        if status == HTTPStatus.UNAUTHORIZED or scope.get("state", {}).get("stranger"):
            self._log_refused(fields)
        elif scope["path"] in PROBE_PATHS:
            log.debug("request", **fields)
        else:
            log.info("request", **fields)

    def _log_refused(self, fields: dict[str, object]) -> None:
        """A warning at most every ten seconds, with the number of refusals since."""
        if self._clock() - self._refused_at < _REFUSED_SECONDS:
            self._unlogged += 1
            log.debug("request without a valid token", **fields)
            return
        log.warning("request without a valid token", **fields, unlogged=self._unlogged)
        self._refused_at, self._unlogged = self._clock(), 0
