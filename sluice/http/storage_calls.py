"""Storage calls that a response waits for, isolated so that a hanging one delays no other.

A storage call blocks, on a dead network file system forever. So calls run on their own threads,
each for a limited time; after that the response is 503 and the thread is abandoned. Invariants:
work that needs no storage, such as parsing, never waits for these threads; and an export whose file
or manifest hangs takes at most ``_MOST_OF_ONE`` of them, however often it is requested.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Self, TypeVar

from consumer.daemon_threads import DaemonThreads
from consumer.errors import ConsumerError
from consumer.storage.base import StoredFile
from sluice.http.problems import unavailable

ANSWER_SECONDS = 4.0
_PIECE_SECONDS = 15.0  # longer, because a client can't easily retry a download in progress
_THREADS = 16
_MOST_OF_ONE = 2
_MOST_WAITING = 200  # by then all threads hang
_SILENT = "the storage does not answer"
_T = TypeVar("_T")


class _Gate:
    """Limits the calls of one export. ``users`` counts those that run or wait."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(_MOST_OF_ONE)
        self.users = 0


class StorageCalls:
    """A context manager that abandons hanging calls at its end."""

    def __init__(self) -> None:
        self._threads = DaemonThreads(_THREADS, "storage")
        self._gates: dict[str, _Gate] = {}

    def __enter__(self) -> Self:
        """No thread is started yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Idle threads end."""
        self._threads.shutdown()

    async def call(
        self, export_id: str, call: Callable[[], _T], seconds: float = ANSWER_SECONDS
    ) -> _T:
        """Run a call about an export on a thread. If cancelled, it abandons the call.

        Raises:
            Refusal: 503, the storage fails, or does not answer within ``seconds``.
        """
        gate = self._gates.setdefault(export_id, _Gate())
        gate.users += 1
        running = None
        try:
            async with asyncio.timeout(seconds):
                await gate.free.acquire()
                running = self._begin(export_id, call)
                return await asyncio.wrap_future(running)
        except ConsumerError as error:
            raise unavailable(str(error)) from None
        except TimeoutError:
            raise unavailable(_SILENT) from None
        finally:
            # Otherwise it leaves when the call ends, maybe long after it was given up here.
            if running is None:
                self._leave(export_id)

    def _begin(self, export_id: str, call: Callable[[], _T]) -> "Future[_T]":
        if self._threads.waiting >= _MOST_WAITING:
            self._gates[export_id].free.release()
            raise unavailable(_SILENT)
        loop = asyncio.get_running_loop()

        def ended(_: object) -> None:
            with suppress(RuntimeError):  # the loop has ended before the call
                loop.call_soon_threadsafe(self._leave, export_id, True)

        running = self._threads.submit(call)
        running.add_done_callback(ended)
        return running

    def _leave(self, export_id: str, was_in: bool = False) -> None:
        gate = self._gates[export_id]
        gate.users -= 1
        if was_in:
            gate.free.release()
        if not gate.users:
            del self._gates[export_id]


class OpenFile:
    """A finished file, read on threads. It is closed with its last reference.

    So a hanging read keeps it open, even after it was abandoned.
    """

    def __init__(self, calls: StorageCalls, export_id: str, file: StoredFile) -> None:
        self.name, self.size, self.modified = file.name, file.size, file.modified
        self._file = file
        self._calls = calls
        self._export_id = export_id
        self._offset = 0

    async def seek(self, offset: int) -> None:
        """Read from this offset next."""
        self._offset = offset

    async def presign(self, method: str, seconds: int) -> str | None:
        """See ``StoredFile.presign``. Raises as ``StorageCalls.call``."""
        presign = partial(self._file.presign, method, seconds)
        return await self._calls.call(self._export_id, presign)

    async def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes; none at the end. Raises as ``StorageCalls.call``."""
        read = partial(self._file.read, self._offset, size)
        piece = await self._calls.call(self._export_id, read, _PIECE_SECONDS)
        self._offset += len(piece)
        return piece
