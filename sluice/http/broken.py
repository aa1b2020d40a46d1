"""Uploads that broke off: each is cancelled, taken up by a retry, or was never there.

What is cancelled is the very request of the upload that broke off, never a later one of the same
id, which another node may have published meanwhile. Invariant: while an id is here, this node
accepts nothing under it but the retry that takes it up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import structlog

from clients.errors import ClientError
from producer.publisher import Export
from schemas.completions import Source
from schemas.requests import ExportRequested
from sluice.http.problems import Refusal

if TYPE_CHECKING:
    from sluice.http.uploads import Lease

log = structlog.get_logger(__name__)

IsOurs: TypeAlias = Callable[[str, Source | None, bytes], Awaitable[bool]]
"""Whether the unfinished export of an id is of the request at this place, or with this mark."""

Cancel: TypeAlias = Callable[["Attempt"], Awaitable[None]]
"""Ask for the export of an attempt to be cancelled."""

_SECONDS = 60.0
_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 0.5
# So long may a client take to ask again after Kafka was away, before its export is given up.
_RETRY_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class Attempt:
    """One upload: its request, on its way to Kafka or there, by the publisher of ``lease``.

    ``mark`` is in the request's headers. ``is_first``: it is surely the first request of its id.
    ``has_rows``: some may have been sent. ``why`` it broke off, if it did.
    """

    request: ExportRequested
    lease: "Lease"
    mark: bytes
    requesting: asyncio.Task[Export]
    is_first: bool = False
    has_rows: bool = False
    why: str = "interrupted"

    @property
    def is_lost(self) -> bool:
        """Whether the request was refused, or nobody knows what became of it."""
        task = self.requesting
        return task.done() and (task.cancelled() or task.exception() is not None)


class BrokenUploads:
    """The attempts that broke off, by id."""

    def __init__(self, is_ours: IsOurs, cancel: Cancel) -> None:
        self._is_ours = is_ours
        self._cancel = cancel
        self._attempts: dict[str, Attempt] = {}
        self._open: set[str] = set()  # those that a retry may still take up
        self._stopping = asyncio.Event()

    def __contains__(self, export_id: str) -> bool:
        return export_id in self._attempts

    def resume(self, request: ExportRequested) -> Attempt | None:
        """The attempt of this very request, of which no row was sent and no end is on its way."""
        attempt = self._attempts.get(request.export_id)
        if attempt is None or attempt.is_lost or request.export_id not in self._open:
            return None
        if attempt.request != request:
            return None
        self._forget(attempt)
        return replace(attempt)  # to whoever settles the former one, it is gone

    def add(self, attempt: Attempt, *, retried: bool) -> None:
        """An attempt broke off; ``retried``: its client may come again. ``settle`` it then."""
        self._attempts[attempt.request.export_id] = attempt
        if retried and not attempt.has_rows:
            self._open.add(attempt.request.export_id)

    async def settle(self, attempt: Attempt) -> None:
        """Cancel an attempt, unless a retry takes it up; over once it is cancelled or not there.

        Tries for a minute and then leaves it to its idle timeout. Raises nothing.
        """
        if attempt.request.export_id in self._open:
            await self._wait_for_retry(attempt)
        clock = asyncio.get_running_loop().time
        until = clock() + _SECONDS
        while self._is_current(attempt) and clock() < until:
            with suppress(Refusal):
                if not await self._is_in_kafka(attempt):
                    self._forget(attempt)
                elif self._is_current(attempt):
                    self._open.discard(attempt.request.export_id)
                    await self._cancel(attempt)
                return
            await asyncio.sleep(_AGAIN_SECONDS)
        if self._is_current(attempt):
            self._forget(attempt)
            log.warning(
                "an upload that broke off can't be cancelled", export_id=attempt.request.export_id
            )

    async def wait_until_ended(self, attempt: Attempt) -> None:
        """Keep the id of a cancelled attempt until its export has ended, for a minute at most."""
        clock = asyncio.get_running_loop().time
        until = clock() + _SECONDS
        try:
            while self._is_current(attempt) and clock() < until:
                with suppress(Refusal):
                    if not await self._is_ours(*await self._identity(attempt)):
                        return
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            if self._is_current(attempt):
                self._forget(attempt)

    async def _wait_for_retry(self, attempt: Attempt) -> None:
        """Wait until the request is in Kafka or surely isn't, and then for its client."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS if await self._fetch_source(attempt) else 0):
                await self._stopping.wait()

    def stop(self) -> None:
        """Wait for no retries any more."""
        self._stopping.set()

    def _is_current(self, attempt: Attempt) -> bool:
        return self._attempts.get(attempt.request.export_id) is attempt

    async def _is_in_kafka(self, attempt: Attempt) -> bool:
        return attempt.is_first or await self._is_ours(*await self._identity(attempt))

    async def _identity(self, attempt: Attempt) -> tuple[str, Source | None, bytes]:
        return attempt.request.export_id, await self._fetch_source(attempt), attempt.mark

    async def _fetch_source(self, attempt: Attempt) -> Source | None:
        """Where the request lies; None: its acknowledgement never came, so nobody knows."""
        with suppress(ClientError, TimeoutError, asyncio.CancelledError):
            return (await asyncio.shield(attempt.requesting)).source
        return None

    def _forget(self, attempt: Attempt) -> None:
        del self._attempts[attempt.request.export_id]
        self._open.discard(attempt.request.export_id)
