"""Broken uploads: each is cancelled, resumed by a retry, or turns out not to be in Kafka.

Only the request of the broken upload itself is cancelled, never a later one of the same id that
another node may have published since. Invariant: while an id is held here, this node accepts
nothing under it but the retry that resumes it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
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
"""Whether an id's unfinished export began with the request at this source, or with this mark."""

Cancel: TypeAlias = Callable[["CancelAttempt"], Awaitable[None]]
"""Publish the cancellation of an attempt's export."""

_GIVE_UP_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_POLL_SECONDS = 0.5
# How long a client may take to retry after Kafka was unavailable, before its export is cancelled.
_RETRY_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class CancelAttempt:
    """One upload, whose request is published by the publisher of ``lease``.

    ``mark`` is in the request's headers. ``is_first``: its request is known to be the first of its
    id. ``has_rows``: rows or the end may have been sent. ``why``: why it broke off, if it did.
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


class BrokenUploads:
    """The attempts that broke off, by export id."""

    def __init__(self, is_ours: IsOurs, cancel: Cancel) -> None:
        self._is_ours = is_ours
        self._cancel = cancel
        self._attempts: dict[str, CancelAttempt] = {}
        self._open: set[str] = set()  # ids that a retry may still resume
        self._stopping = asyncio.Event()

    def __contains__(self, export_id: str) -> bool:
        return export_id in self._attempts

    def resume(self, request: ExportRequested) -> CancelAttempt | None:
        """The attempt of an equal request, or None once a row or cancellation was sent."""
        attempt = self._attempts.get(request.export_id)
        if attempt is None or attempt.is_lost or request.export_id not in self._open:
            return None
        if attempt.request != request:
            return None
        self._forget(attempt)
        return replace(attempt)  # so that ``settle`` sees that the former one is gone

    def add(self, attempt: CancelAttempt, *, retried: bool) -> None:
        """Hold a broken attempt; call ``settle`` next. ``retried``: its client may retry."""
        self._attempts[attempt.request.export_id] = attempt
        if retried and not attempt.has_rows:
            self._open.add(attempt.request.export_id)

    async def settle(self, attempt: CancelAttempt) -> None:
        """Cancel an attempt, unless a retry resumes it or its request is not in Kafka.

        Tries for a minute, then leaves the export to its idle timeout. Raises nothing.
        """
        if attempt.request.export_id in self._open:
            await self._wait_for_retry(attempt)
        clock = asyncio.get_running_loop().time
        until = clock() + _GIVE_UP_SECONDS
        while self._is_current(attempt) and clock() < until:
            with suppress(Refusal):
                if not await self._is_in_kafka(attempt):
                    self._forget(attempt)
                elif self._is_current(attempt):
                    # From here on no retry may resume it: its cancellation may be on its way.
                    self._open.discard(attempt.request.export_id)
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
        """Hold the id of a cancelled attempt until its export has ended, for a minute at most."""
        clock = asyncio.get_running_loop().time
        until = clock() + _GIVE_UP_SECONDS
        try:
            while self._is_current(attempt) and clock() < until:
                with suppress(Refusal):
                    if not await self._is_ours(*await self._identity(attempt)):
                        return
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            if self._is_current(attempt):
                self._forget(attempt)

    async def _wait_for_retry(self, attempt: CancelAttempt) -> None:
        """Wait until the request's outcome is known; if it is in Kafka, wait for a retry."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS if await self._fetch_source(attempt) else 0):
                await self._stopping.wait()

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
        """Where the request is in Kafka; None if it was never acknowledged."""
        with suppress(ClientError, TimeoutError, asyncio.CancelledError):
            # Shielded, as the attempt's request is waited for elsewhere too.
            return (await asyncio.shield(attempt.requesting)).source
        return None

    def _forget(self, attempt: CancelAttempt) -> None:
        del self._attempts[attempt.request.export_id]
        self._open.discard(attempt.request.export_id)
