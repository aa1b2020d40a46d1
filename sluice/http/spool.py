"""Spools a request body until it is complete, within limits of memory, disk and speed.

Invariant: a body of up to ``IN_MEMORY_BYTES`` uses none of what large bodies share.
"""

import asyncio
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import IO, Self, TypeVar

import structlog

from sluice.http.problems import Refusal, unavailable

log = structlog.get_logger(__name__)

IN_MEMORY_BYTES = 64 * 1024
_FLUSH_BYTES = 256 * 1024
_PACE_SECONDS = 30.0
_PACE_BYTES = 512 * 1024
_Done = TypeVar("_Done")
_FULL = "too many large bodies at a time"


class Room:
    """A budget of bytes shared by bodies; waiting bodies get theirs in order of arrival.

    A body larger than the whole budget takes all of it.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._free_bytes = most_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, size: int) -> None:
        """Take bytes without waiting.

        Raises:
            Refusal: 503, fewer are free.
        """
        if size > self._free_bytes:
            raise unavailable(_FULL)
        self._free_bytes -= size

    def give(self, size: int) -> None:
        """Give bytes back."""
        self._free_bytes += size
        while self._waiting and self._waiting[0][0] <= self._free_bytes:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self._free_bytes -= wanted
                turn.set_result(None)

    @asynccontextmanager
    async def held(self, size: int, seconds: float) -> AsyncIterator[None]:
        """Wait for bytes and hold them until the block ends.

        Raises:
            Refusal: 503, they were not free within ``seconds``.
        """
        size = min(size, self._most_bytes)
        await self._wait(size, seconds)
        try:
            yield
        finally:
            self.give(size)

    async def _wait(self, size: int, seconds: float) -> None:
        # Don't overtake waiting bodies, even if it would fit: a large body's turn has to come.
        if not self._waiting and size <= self._free_bytes:
            self._free_bytes -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as error:
            # Its turn came at the same moment.
            if turn.done() and not turn.cancelled():
                self.give(size)
            else:
                with suppress(ValueError):
                    self._waiting.remove((size, turn))
                self.give(0)  # smaller ones after it may fit now
            if isinstance(error, TimeoutError):
                raise unavailable(_FULL) from None
            raise


class Hold:
    """One body's share of a ``Room``; released at the end of the block."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def __enter__(self) -> Self:
        """It holds nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release all of it."""
        self.set(0)

    def set(self, size: int) -> None:
        """Grow or shrink the share to ``size`` bytes. Raises as ``Room.take``."""
        if size > self._size:
            self._room.take(size - self._size)
        else:
            self._room.give(self._size - size)
        self._size = size


class SpoolPace:
    """The minimum speed of a body: a slow one holds bytes that others need.

    ``clock`` returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._size = 0

    def check(self, size: int) -> None:
        """Check the speed of a body of which ``size`` bytes have arrived.

        Raises:
            Refusal: 408, too few have arrived in the last half minute.
        """
        now = self._clock()
        if now - self._since < _PACE_SECONDS:
            return
        if size - self._size < _PACE_BYTES:
            detail = f"of a JSON body {_PACE_BYTES:,} bytes must come in {_PACE_SECONDS:g} s"
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, detail)
        self._since, self._size = now, size


class Spool:
    """One body, in memory while it is small, then in an unnamed temporary file.

    A context manager that frees both.
    """

    def __init__(self, disk: Room) -> None:
        self.size = 0
        """Bytes so far."""
        self._disk = Hold(disk)
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """It is empty at first."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the memory and the file."""
        self._parts.clear()
        self._disk.set(0)
        if self._file:
            self._file.close()

    @property
    def on_disk(self) -> bool:
        """Whether it has outgrown memory."""
        return self._file is not None

    async def append(self, piece: bytes) -> None:
        """Add a piece.

        Raises:
            Refusal: 503, the disk is full, or other bodies have taken their share of it.
        """
        self.size += len(piece)
        self._held_bytes += len(piece)
        if piece:
            self._parts.append(piece)
        if self.size > IN_MEMORY_BYTES:
            self._disk.set(self.size)
            self._file = self._file or await self._on_disk(tempfile.TemporaryFile)
        if self._file and self._held_bytes >= _FLUSH_BYTES:
            await self._flush(self._file)

    async def complete(self) -> None:
        """All of it has come: it can be read. Raises as ``append``."""
        if self._file:
            await self._flush(self._file)
            await self._on_disk(self._file.flush)

    def text(self) -> bytes:
        """The whole body; blocks. Raises as ``read``."""
        return self.read(0, self.size) if self._file else b"".join(self._parts)

    def read(self, start: int, end: int) -> bytes:
        """Its bytes between two positions, if it is on disk; blocks. For one thread at a time.

        Raises:
            Refusal: 503, the disk doesn't give them back.
        """
        assert self._file, "it is in memory"  # noqa: S101 - for the type checker
        try:
            self._file.seek(start)
            found = self._file.read(end - start)
        except OSError as error:
            raise _refused(error) from None
        if len(found) < end - start:
            raise _refused(OSError(f"{end - start} bytes became {len(found)}"))
        return found

    async def _flush(self, file: IO[bytes]) -> None:
        text = b"".join(self._parts)
        self._parts, self._held_bytes = [], 0
        await self._on_disk(lambda: file.write(text))

    async def _on_disk(self, act: Callable[[], _Done]) -> _Done:
        """Call ``act`` on a thread, because a disk may be slow."""
        try:
            return await asyncio.to_thread(act)
        except OSError as error:
            raise _refused(error) from None


def _refused(error: OSError) -> Refusal:
    log.warning(
        "request body not spooled to disk",
        reason=str(error),
        directory=tempfile.gettempdir(),
    )
    return unavailable("there is no room for the body")
