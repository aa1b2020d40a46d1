"""Publishes HTTP uploads to Kafka: the node as an upstream service.

All uploads share one ``ExportPublisher``, created on first use. After a Kafka error it takes no new
uploads, and its last user disconnects it. Invariant: an export begun here is finished here, or its
cancellation is retried for a minute until Kafka has it; then the idle timeout ends it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Self

import structlog

from clients.errors import ClientError, KafkaUnreachable
from producer.publisher import Export, ExportPublisher
from schemas.completions import Source
from schemas.records import Row
from schemas.requests import ExportRequested
from sluice.http.broken import BrokenUploads, CancelAttempt, IsOurs
from sluice.http.lease import Lease
from sluice.http.problems import Refusal, unavailable
from sluice.http.repeats import ATTEMPT, new_mark

log = structlog.get_logger(__name__)

# A new request should learn quickly that Kafka is unreachable. A running upload can wait, so that a
# broker has time to come back.
_START_SECONDS = 4.0
_REQUEST_SECONDS = 4.0
DELIVERY_SECONDS = 30.0
_ABANDON_SECONDS = 2.0
_STOP_SECONDS = 3.0
_AWAY = "Kafka doesn't answer"


class UploadGateway:
    """Publishes and cancels exports. An async context manager.

    ``is_ours`` tells which request an unfinished export began with; see ``BrokenUploads``.
    """

    def __init__(self, make_publisher: Callable[[], ExportPublisher], is_ours: IsOurs) -> None:
        self._make_publisher = make_publisher
        self._broken = BrokenUploads(is_ours, self._cancel_attempt)
        self._current: Lease | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give cancellations a grace time, then disconnect."""
        # Cancellations first, because they need the publisher; then the publisher itself.
        self._broken.stop()
        for task in self._watching:
            task.cancel()
        await self._wait_for_tasks()
        if self._current:
            self._retire(self._current)
        await self._wait_for_tasks()
        for task in self._tasks:
            task.cancel()

    def is_breaking_off(self, export_id: str) -> bool:
        """Whether an upload of this id broke off here and its outcome is unknown yet."""
        return export_id in self._broken

    def arriving(self, request: ExportRequested) -> AbstractContextManager[None]:
        """A request is being checked; if it retries an upload that broke off, that one waits."""
        return self._broken.arriving(request)

    @asynccontextmanager
    async def export(self, request: ExportRequested, *, retried: bool) -> AsyncIterator["Upload"]:
        """Publish a request; the block sends its rows.

        Unless the block calls ``finish`` or ``leave``, the export is cancelled. ``retried``: the
        client may retry with the same id; if the block ended before it sent any row, as when Kafka
        didn't answer in time, that retry resumes it.

        Raises:
            Refusal: 503, Kafka can't be reached or refuses, or an upload of the id is being
                cancelled.
        """
        with self._under_way():
            async with self._attempt(request) as attempt:
                upload = None
                try:
                    with self._refusing(attempt.lease):
                        async with asyncio.timeout(_REQUEST_SECONDS):
                            # If given up here it continues: whether Kafka has it must be known.
                            export = await asyncio.shield(attempt.requesting)
                    upload = Upload(export, attempt, self._refusing)
                    yield upload
                except BaseException as error:
                    attempt.why = str(error) or "interrupted"
                    raise
                finally:
                    if upload is None or not upload.settled:
                        await self._abandon(attempt, retried=retried and not attempt.has_rows)

    @asynccontextmanager
    async def _attempt(self, request: ExportRequested) -> AsyncIterator[CancelAttempt]:
        """A new attempt, or a broken one that this request resumes."""
        if attempt := self._broken.resume(request):
            with self._held(attempt.lease):
                yield attempt
            return
        if request.export_id in self._broken:
            raise unavailable("an upload of this id broke off and is being cancelled")
        async with self._leased() as lease:
            mark = new_mark()
            asking = lease.publisher.request(request, [(ATTEMPT, mark)])
            # A separate task: it outlives an HTTP request that gives up waiting for it.
            requesting = asyncio.create_task(asking, name=f"request {request.export_id}")
            requesting.add_done_callback(_read_error)
            yield CancelAttempt(request, lease, mark, requesting)

    async def cancel(self, export_id: str) -> None:
        """Publish the cancellation of an export, to every partition.

        Raises:
            Refusal: 503, Kafka can't be reached or refuses.
        """
        async with self._leased() as lease:
            await self._cancel_by(lease, export_id)

    async def _cancel_attempt(self, attempt: CancelAttempt) -> None:
        async with self._leased() as lease:
            await self._cancel_by(lease, attempt.request.export_id, attempt.why)

    async def _cancel_by(self, lease: Lease, export_id: str, why: str | None = None) -> None:
        with self._refusing(lease):
            async with asyncio.timeout(_REQUEST_SECONDS):
                await lease.publisher.cancel(export_id, why)

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[Lease]:
        """A connected publisher."""
        if self._current is None:
            self._current = Lease(asyncio.create_task(self._start(), name="start publisher"))
        with self._held(self._current) as lease:
            await self._has_started(lease)
            yield lease

    @contextmanager
    def _held(self, lease: Lease) -> Iterator[Lease]:
        """Use a publisher in the block; the last user of a retired one disconnects it."""
        lease.users += 1
        try:
            yield lease
        finally:
            self._release(lease)

    def _release(self, lease: Lease) -> None:
        lease.users -= 1
        if lease is not self._current:
            self._retire(lease)

    async def _has_started(self, lease: Lease) -> None:
        with self._refusing(lease):
            # ``wait``: if this request gives up, the start continues for others.
            await asyncio.wait([lease.starting], timeout=_START_SECONDS)
            if lease.starting.done():
                lease.starting.result()
                return
        raise unavailable(_AWAY)

    async def _start(self) -> ExportPublisher:
        return await self._make_publisher().__aenter__()

    @contextmanager
    def _refusing(self, lease: Lease) -> Iterator[None]:
        """Turn a publisher's error into a refusal, and retire the publisher.

        Its other users continue: their time limits are longer, and answers may still arrive.
        """
        try:
            yield
        except Refusal:
            raise
        except Exception as error:
            if self._current is lease:
                self._current = None
            if not isinstance(error, ClientError | TimeoutError):
                log.exception("publishing failed: new exports get a new publisher")
                raise unavailable("publishing failed; see the node's log") from None
            is_away = isinstance(error, KafkaUnreachable | TimeoutError)
            raise unavailable(_AWAY if is_away else str(error)) from None

    def _retire(self, lease: Lease) -> None:
        if self._current is lease:
            self._current = None
        if lease.users == 0:
            self._spawn(_stop(lease), "stop publisher")

    async def _abandon(self, attempt: CancelAttempt, *, retried: bool) -> None:
        """Cancel an export in a separate task; wait for it only briefly."""
        self._broken.add(attempt, retried=retried)
        attempt.lease.users += 1  # until ``_settle`` ends
        name = f"cancel {attempt.request.export_id}"
        cancelling = self._spawn(self._settle(attempt), name)
        if not retried:
            await asyncio.wait([cancelling], timeout=_ABANDON_SECONDS)

    async def _settle(self, attempt: CancelAttempt) -> None:
        try:
            await self._broken.settle(attempt)
        finally:
            self._release(attempt.lease)
        if self.is_breaking_off(attempt.request.export_id):
            watching = asyncio.create_task(self._broken.wait_until_ended(attempt))
            self._watching.add(watching)
            watching.add_done_callback(self._watching.discard)

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
        """Have ``__aexit__`` wait for the task of the block."""
        task = asyncio.current_task()
        assert task, "only tasks publish"  # noqa: S101 - for the type checker
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)


class Upload:
    """One requested export until all of it is in Kafka. For one task at a time."""

    def __init__(
        self,
        export: Export,
        attempt: CancelAttempt,
        refusing: Callable[[Lease], AbstractContextManager[None]],
    ) -> None:
        self.settled = False
        """Whether it no longer needs a cancellation."""
        self._export = export
        self._attempt = attempt
        self._refusing = partial(refusing, attempt.lease)

    def is_first(self) -> None:
        """Note that its request is the id's first, so that a cancellation hits no other export."""
        self._attempt.is_first = True

    @property
    def source(self) -> Source:
        """The request's place in Kafka."""
        return self._export.source

    async def send(self, rows: Sequence[Row | bytes]) -> None:
        """Send rows, as fast as Kafka takes them.

        Raises:
            Refusal: 503, Kafka refuses, or has acknowledged nothing for ``DELIVERY_SECONDS``.
        """
        self._attempt.has_rows = True
        with self._refusing():
            await self._export.send(rows)

    async def finish(self) -> None:
        """End the export; returns once all of it is acknowledged. Raises as ``send``."""
        self._attempt.has_rows = True
        with self._refusing():
            await self._export.finish()
        self.settled = True

    def leave(self) -> None:
        """Leave it unfinished: another request began the export, or it has ended."""
        self.settled = True


async def _stop(lease: Lease) -> None:
    try:
        publisher = await lease.starting
        await publisher.__aexit__(None, None, None)
    except ClientError:
        pass  # its users have had the error
    except Exception as error:  # noqa: BLE001 - no request waits for it
        log.warning("publisher failed to stop", reason=str(error))


def _read_error(task: asyncio.Task[Export]) -> None:
    """Mark an error as retrieved: asyncio would log it if no request awaits the task."""
    if not task.cancelled():
        task.exception()
