"""Reads a table on a thread of its own, so that a slow pipe never blocks the event loop.

Independent of the format. Invariant: rows are handed over before the thread waits for more input,
so a slow source holds none back; and only a bounded number is read ahead.
"""

import asyncio
import io
import select
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from producer.sources.table import SourceError, SourceTable
from schemas.records import Row

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Reader: TypeAlias = Callable[[io.BufferedReader, Sequence[str] | None], SourceTable]
"""One of the sources: takes the file and the columns that were chosen."""

_CHUNK_ROWS = 1_000
_ITEMS_AHEAD = 2
_CHUNK_BYTES = _BUFFER_BYTES = 256 * 1024


class RowStream:
    """The rows of a file, in chunks, for one task. An async context manager.

    If it is left while its thread waits for input, the thread stays until the process ends: a read
    from a pipe can't be cancelled.
    """

    def __init__(
        self,
        name: str,
        open_file: Callable[[], io.RawIOBase],
        read: Reader,
        columns: Sequence[str] | None = None,
    ) -> None:
        self.columns: tuple[str, ...] = ()
        """Column keys, known once the stream is entered, as are the next two."""
        self.headers: tuple[str, ...] = ()
        """The columns' names in the file."""
        self.note: str | None = None
        """A note for the file's owner, if any."""
        self.bytes_read = 0
        """Bytes of the file that were read."""
        self._name = name
        self._read = read
        self._chosen = columns
        self._open_file = open_file
        self._loop: asyncio.AbstractEventLoop
        self._items: asyncio.Queue[Any] = asyncio.Queue()
        # An asyncio queue can't make a thread wait; this does.
        self._room = threading.Semaphore(_ITEMS_AHEAD)
        self._abandoned = threading.Event()
        self._chunk: list[Row] = []
        self._handed_over_bytes = 0

    async def __aenter__(self) -> Self:
        """Read as far as the columns need.

        Raises:
            SourceError: the file can't be opened or read, or its beginning is wrong; the message
                begins with ``name``.
        """
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="read-rows", daemon=True).start()
        try:
            self.columns, self.headers, self.note = await self._next()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop reading."""
        self._end()

    async def chunks(self) -> AsyncIterator[list[Row]]:
        """The rows, up to a thousand at a time, as they can be read.

        Raises:
            SourceError: the file is wrong further on.
        """
        while chunk := await self._next():
            yield chunk

    async def _next(self) -> Any:  # noqa: ANN401 - the columns, then chunks, an empty one at last
        item = await self._items.get()
        self._room.release()
        if isinstance(item, Exception):
            raise item
        return item

    def _end(self) -> None:
        self._abandoned.set()
        # Wake the thread if it waits for room, so that it sees the end.
        self._room.release()

    def _run(self) -> None:
        """Run the thread; an error is its last item."""
        with suppress(_Abandoned):
            try:
                self._read_all()
            except _Abandoned:
                raise
            except SourceError as error:
                self._put(SourceError(f"{self._name}: {error}"))
            except OSError as error:
                self._put(SourceError(f"{self._name}: can't be read: {error.strerror or error}"))
            # The task would wait for ever for items of a thread that died.
            except Exception as error:  # noqa: BLE001 - the thread's edge: the task raises it
                self._put(error)

    def _read_all(self) -> None:
        stream: io.BufferedReader = io.BufferedReader(
            _Tapped(self._open_file(), self), _BUFFER_BYTES
        )
        with stream:
            table = self._read(stream, self._chosen)
            self._put((table.columns, table.headers, table.note))
            for row in table.rows:
                self._chunk.append(row)
                if len(self._chunk) == _CHUNK_ROWS:
                    self._hand_over()
            self._hand_over()
            self._put([])

    def before_read(self, *, waits: bool) -> None:
        """Hand rows over before a read that may wait. Called on the thread."""
        if waits or self.bytes_read - self._handed_over_bytes >= _CHUNK_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._chunk:
            self._put(self._chunk)
            self._chunk = []
            self._handed_over_bytes = self.bytes_read

    def _put(self, item: object) -> None:
        self._room.acquire()
        if self._abandoned.is_set():
            raise _Abandoned
        try:
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        except RuntimeError:  # the loop is closed: no task waits for items
            raise _Abandoned from None


class _Abandoned(Exception):  # noqa: N818 - an event, raised and caught on the thread
    """The task wants no more rows."""


class _Tapped(io.RawIOBase):
    """A file that calls ``before_read`` of the stream, with whether the read will wait.

    One without a descriptor is read over a network, so it waits.
    """

    def __init__(self, file: io.RawIOBase, rows: RowStream) -> None:
        self._file = file
        self._has_descriptor = _has_descriptor(file)
        self._rows = rows

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read as the file does, which may block."""
        readable = self._has_descriptor and select.select([self._file], [], [], 0)[0]
        self._rows.before_read(waits=not readable)
        while (count := self._file.readinto(buffer)) is None:
            select.select([self._file], [], [])  # a pipe that another process made non-blocking
        self._rows.bytes_read += count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def seekable(self) -> bool:
        """Whether the file is."""
        return self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Seek in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._file.tell()


def _has_descriptor(file: io.RawIOBase) -> bool:
    try:
        file.fileno()
    except OSError:
        return False
    return True
