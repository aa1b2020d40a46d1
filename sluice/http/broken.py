"""Broken uploads: each is cancelled, resumed by a retry, or found not to be in Kafka.

Only the broken upload's own request is cancelled, never a later one with the same id that another
node may have published since. Invariant: while an id is held here, this node accepts only the retry
that resumes it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

import structlog

from clients.errors import ClientError
from producer.publisher import Export
from schemas.completions import Source
from schemas.requests import ExportRequested
from sluice.http.lease import Lease
from sluice.http.problems import Refusal

log = structlog.get_logger(__name__)

IsOurs: TypeAlias = Callable[[str, Source | None, bytes], Awaitable[bool]]
"""Whether an id's unfinished export began with the request at this source or with this mark."""

Cancel: TypeAlias = Callable[["CancelAttempt"], Awaitable[None]]
"""Publish the cancellation of an attempt's export."""

_GIVE_UP_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_POLL_SECONDS = 0.5
# How long a client may take to retry after its last 503 or 429, before its export is cancelled.
_RETRY_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class CancelAttempt:
    """One upload, published by the publisher of ``lease``.

    ``mark`` is in the request's headers. ``is_first``: its request is known to be the id's first.
    ``has_rows``: rows or the end may have been sent. ``why`` it broke, if it did.
    """

    request: ExportRequested
    lease: Lease
    mark: bytes
    requesting: asyncio.Task[Export]
    is_first: bool = False
    has_rows: bool = False
    why: str = "interrupted"

    @property
    def is_lost(self) -> bool:
        """Whether the request was refused, or its outcome is unknown."""
        task = self.requesting
        return task.done() and (task.cancelled() or task.exception() is not None)


@dataclass(slots=True)
class _RetryWindow:
    """Until when a retry may resume an attempt, by the loop's clock; ``arrived`` extend it."""

    until: float = 0.0
    arrived: int = 0


class BrokenUploads:
    """The broken attempts by export id."""

    def __init__(self, is_ours: IsOurs, cancel: Cancel) -> None:
        self._is_ours = is_ours
        self._cancel = cancel
        self._attempts: dict[str, CancelAttempt] = {}
        self._open: dict[str, _RetryWindow] = {}  # by ids that a retry may still resume
        self._stopping = asyncio.Event()

    def __contains__(self, export_id: str) -> bool:
        return export_id in self._attempts

    def resume(self, request: ExportRequested) -> CancelAttempt | None:
        """The attempt of an equal request; None once a row or cancellation was sent."""
        if (attempt := self._resumable(request)) is None:
            return None
        self._forget(attempt)
        return replace(attempt)  # lets ``settle`` see that the former one is gone

    @contextmanager
    def arriving(self, request: ExportRequested) -> Iterator[None]:
        """Keep the attempt that a request retries open while the block checks the request.

        If the block refuses it, as when the queue is full, the attempt waits for the next retry.
        """
        if self._resumable(request) is None:
            yield
            return
        window = self._open[request.export_id]
        window.arrived += 1
        try:
            yield
        finally:
            window.arrived -= 1
            window.until = _now() + _RETRY_SECONDS

    def _resumable(self, request: ExportRequested) -> CancelAttempt | None:
        attempt = self._attempts.get(request.export_id)
        if attempt is None or attempt.is_lost or request.export_id not in self._open:
            return None
        return attempt if attempt.request == request else None

    def add(self, attempt: CancelAttempt, *, retried: bool) -> None:
        """Hold a broken attempt; call ``settle`` next. ``retried``: its client may retry."""
        self._attempts[attempt.request.export_id] = attempt
        if retried and not attempt.has_rows:
            self._open[attempt.request.export_id] = _RetryWindow()

    async def settle(self, attempt: CancelAttempt) -> None:
        """Cancel an attempt unless a retry resumes it or its request isn't in Kafka.

        Tries for a minute, then leaves the export to its idle timeout. Raises nothing.
        """
        if window := self._open.get(attempt.request.export_id):
            await self._wait_for_retry(attempt, window)
        until = _now() + _GIVE_UP_SECONDS
        while self._is_current(attempt) and _now() < until:
            with suppress(Refusal):
                if not await self._is_in_kafka(attempt):
                    self._forget(attempt)
                elif self._is_current(attempt):
                    # From here on no retry may resume it: its cancellation may be in flight.
                    self._open.pop(attempt.request.export_id, None)
                    await self._cancel(attempt)
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        if self._is_current(attempt):
            self._forget(attempt)
            log.warning(
                "broken upload not cancelled within a minute: its idle timeout will end it",
                export_id=attempt.request.export_id,
            )

    async def wait_until_ended(self, attempt: CancelAttempt) -> None:
        """Hold the id of a cancelled attempt until its export has ended, for at most a minute."""
        until = _now() + _GIVE_UP_SECONDS
        try:
            while self._is_current(attempt) and _now() < until:
                with suppress(Refusal):
                    if not await self._is_ours(*await self._identity(attempt)):
                        return
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            if self._is_current(attempt):
                self._forget(attempt)

    async def _wait_for_retry(self, attempt: CancelAttempt, window: _RetryWindow) -> None:
        """Wait until the request's outcome is known; if it is in Kafka, wait for a retry."""
        if await self._fetch_source(attempt) is None:
            return
        window.until = _now() + _RETRY_SECONDS
        while self._is_current(attempt) and (window.arrived or _now() < window.until):
            seconds = _POLL_SECONDS if window.arrived else window.until - _now()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
                    return

    def stop(self) -> None:
        """Stop waiting for retries."""
        self._stopping.set()

    def _is_current(self, attempt: CancelAttempt) -> bool:
        return self._attempts.get(attempt.request.export_id) is attempt

    async def _is_in_kafka(self, attempt: CancelAttempt) -> bool:
        return attempt.is_first or await self._is_ours(*await self._identity(attempt))

    async def _identity(self, attempt: CancelAttempt) -> tuple[str, Source | None, bytes]:
        return attempt.request.export_id, await self._fetch_source(attempt), attempt.mark

    async def _fetch_source(self, attempt: CancelAttempt) -> Source | None:
        """The request's place in Kafka; None if it was never acknowledged."""
        with suppress(ClientError, TimeoutError, asyncio.CancelledError):
            # Shielded, because others wait for the attempt's request too.
            return (await asyncio.shield(attempt.requesting)).source
        return None

    def _forget(self, attempt: CancelAttempt) -> None:
        del self._attempts[attempt.request.export_id]
        self._open.pop(attempt.request.export_id, None)


def _now() -> float:
    return asyncio.get_running_loop().time()
