"""The node as an upstream service: what comes over HTTP goes to Kafka.

One ``ExportPublisher`` for all, made when it is first needed; after an error of Kafka's nothing new
is begun with it, and the last who uses it disconnects it. Invariant: an export that was begun here
is finished here, or its cancellation is asked for until Kafka has it or ``_CANCEL_SECONDS`` have
passed; then it ends by being idle.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Self

import structlog

from producer.errors import KafkaUnreachable, ProducerError
from producer.publisher import Export, ExportPublisher
from schemas.completions import Source
from schemas.records import Row
from schemas.requests import ExportRequested
from sluice.http.problems import Refusal, unavailable

log = structlog.get_logger(__name__)

# Whoever asks should know soon that there is no Kafka; in the middle of an export, which waits
# without harm, a broker has time to come back.
_START_SECONDS = 4.0
_REQUEST_SECONDS = 4.0
DELIVERY_SECONDS = 30.0
_CANCEL_SECONDS = 60.0
_CANCEL_AGAIN_SECONDS = 1.0
_ABANDON_SECONDS = 2.0
_STOP_SECONDS = 3.0
_AWAY = "Kafka doesn't answer"


class _Lease:
    """A publisher, from its start on, and how many use it now."""

    def __init__(self, starting: asyncio.Task[ExportPublisher]) -> None:
        self.starting = starting
        self.users = 0

    @property
    def publisher(self) -> ExportPublisher:
        """The publisher, once it has started."""
        return self.starting.result()


class Publishing:
    """Publishes and cancels exports. Use it as an async context manager."""

    def __init__(self, make_publisher: Callable[[], ExportPublisher]) -> None:
        self._make_publisher = make_publisher
        self._current: _Lease | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let cancellations end for a while, then disconnect."""
        await self._wait_for_tasks()
        if self._current:
            self._retire(self._current)
        await self._wait_for_tasks()
        for task in self._tasks:
            task.cancel()

    @asynccontextmanager
    async def export(self, request: ExportRequested) -> AsyncIterator["Publication"]:
        """Request an export; the block sends its rows. Left by an error, the export is cancelled.

        Unless the block finishes it, or leaves it, it is cancelled too.

        Raises:
            Refusal: 503, Kafka can't be reached or refuses.
        """
        with self._under_way():
            async with self._leased() as lease:
                publication = None
                try:
                    with self._refusing(lease):
                        async with asyncio.timeout(_REQUEST_SECONDS):
                            export = await lease.publisher.request(request)
                    publication = Publication(export, lambda: self._refusing(lease))
                    yield publication
                finally:
                    if publication is None or not publication.settled:
                        await self._abandon(request.export_id, lease)

    async def cancel(self, export_id: str) -> None:
        """Ask every partition to cancel an export.

        Raises:
            Refusal: 503, Kafka can't be reached or refuses.
        """
        async with self._leased() as lease:
            await self._cancel_by(lease, export_id)

    async def _cancel_by(self, lease: _Lease, export_id: str) -> None:
        with self._refusing(lease):
            async with asyncio.timeout(_REQUEST_SECONDS):
                await lease.publisher.cancel(export_id)

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[_Lease]:
        """A publisher that is connected; the last to use a retired one disconnects it."""
        if self._current is None:
            self._current = _Lease(asyncio.create_task(self._start(), name="start publisher"))
        lease = self._current
        lease.users += 1
        try:
            await self._has_started(lease)
            yield lease
        finally:
            lease.users -= 1
            if lease is not self._current:
                self._retire(lease)

    async def _has_started(self, lease: _Lease) -> None:
        with self._refusing(lease):
            await asyncio.wait([lease.starting], timeout=_START_SECONDS)
            if lease.starting.done():
                lease.starting.result()
                return
        raise unavailable(_AWAY)

    async def _start(self) -> ExportPublisher:
        return await self._make_publisher().__aenter__()

    @contextmanager
    def _refusing(self, lease: _Lease) -> Iterator[None]:
        """Turn an error of the publisher into a refusal, and begin nothing new with it.

        Others who use it may go on: they wait longer, and what they wait for may still come.
        """
        try:
            yield
        except (ProducerError, TimeoutError) as error:
            if self._current is lease:
                self._current = None
            is_away = isinstance(error, KafkaUnreachable | TimeoutError)
            raise unavailable(_AWAY if is_away else str(error)) from None

    def _retire(self, lease: _Lease) -> None:
        if self._current is lease:
            self._current = None
        if lease.users == 0:
            self._spawn(_stop(lease), "stop publisher")

    async def _abandon(self, export_id: str, lease: _Lease) -> None:
        """See that an export is cancelled; wait for it, but not for long."""
        lease.users += 1  # until it can't be of use for this any more
        cancelling = self._spawn(self._cancel_at_last(export_id, lease), f"cancel {export_id}")
        await asyncio.wait([cancelling], timeout=_ABANDON_SECONDS)

    async def _cancel_at_last(self, export_id: str, lease: _Lease) -> None:
        """Cancel by the publisher that has requested; by others when that one doesn't get through.

        One publisher keeps the order. So if the request is still on its way, its cancellation
        comes after it, or both are dropped with the publisher.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + _CANCEL_SECONDS
        try:
            with suppress(Refusal):
                await self._cancel_by(lease, export_id)
                return
        finally:
            lease.users -= 1
            if lease is not self._current:
                self._retire(lease)
        while clock() < until:
            with suppress(Refusal):
                await self.cancel(export_id)
                return
            await asyncio.sleep(_CANCEL_AGAIN_SECONDS)
        log.warning("an upload that broke off can't be cancelled", export_id=export_id)

    async def _wait_for_tasks(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        """The task that publishes counts among those that are waited for at the end."""
        task = asyncio.current_task()
        assert task, "only tasks publish"  # noqa: S101 - for the type checker
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)


class Publication:
    """One export that was requested, until all of it is in Kafka. One task at a time uses it."""

    def __init__(self, export: Export, refusing: Callable[[], Any]) -> None:
        self.settled = False
        """Whether nothing is left to be done for it here."""
        self._export = export
        self._refusing = refusing

    @property
    def source(self) -> Source:
        """Where the request lies."""
        return self._export.source

    async def send(self, rows: list[Row]) -> None:
        """Send rows, as fast as Kafka takes them.

        Raises:
            Refusal: 503, Kafka refuses, or has acknowledged nothing for ``DELIVERY_SECONDS``.
        """
        with self._refusing():
            await self._export.send(rows)

    async def finish(self) -> None:
        """End the export, once all of it is acknowledged. Raises as ``send``."""
        with self._refusing():
            await self._export.finish()
        self.settled = True

    def leave(self) -> None:
        """Neither finish nor cancel it: it is somebody else's, or has ended already."""
        self.settled = True


async def _stop(lease: _Lease) -> None:
    with suppress(ProducerError):
        publisher = await lease.starting
        await publisher.__aexit__(None, None, None)
