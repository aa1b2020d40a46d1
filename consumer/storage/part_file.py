"""An export's bytes on a local disk while it is being written.

Invariant: no descriptor outlives a call, so thousands of exports may be open; and a removed file is
never recreated.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from consumer.errors import PartLost, StorageUnavailable
from schemas.completions import TerminalEvent


class PartFile:
    """The unpublished half of a ``Part``: a file that is opened only while it is written.

    ``make_place`` creates its directory if it is missing. ``on_bytes`` is called with the
    number of bytes added to the disk, or (negative) removed.
    """

    def __init__(
        self,
        path: Path,
        make_place: Callable[[Path], None],
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.path = path
        self._on_bytes = on_bytes
        self._make_place = make_place
        self._pending = bytearray()
        self._written = self._on_disk = 0
        self._created = False
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        """See ``Part.size``."""
        return self._written + len(self._pending)

    @property
    def sha256(self) -> str:
        """See ``Part.sha256``."""
        return self._digest.hexdigest()

    def append(self, data: bytes) -> None:
        """See ``Part.append``."""
        self._digest.update(data)
        self._pending += data

    def flush(self) -> None:
        """See ``Part.flush``."""
        if self._pending:
            with self._opened() as descriptor:
                self._write_pending(descriptor)

    def discard(self, decided: TerminalEvent | None = None) -> None:
        """See ``Part.discard``."""
        self._pending.clear()
        if self._created:
            with contextlib.suppress(OSError):  # the next owner of the partition sweeps it
                self.path.unlink(missing_ok=True)
            self._on_bytes(-self._on_disk)
            self._on_disk = 0

    def stop(self) -> None:
        """See ``Part.stop``."""

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the file. Only the first call creates it: a swept one must not come back."""
        with storage_errors(f"{self.path} can't be written", gone=PartLost):
            if self._created:
                descriptor = os.open(self.path, os.O_WRONLY)
            else:
                descriptor = self._create()
                self._created = True
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _create(self) -> int:
        how = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            return os.open(self.path, how, 0o666)
        except FileNotFoundError:
            self._make_place(self.path.parent)
            return os.open(self.path, how, 0o666)

    def _write_pending(self, descriptor: int) -> None:
        """Write at the offset reached, so that a partly failed write can be repeated."""
        while self._pending:
            count = os.pwrite(descriptor, self._pending, self._written)
            self._written += count
            self._on_disk += count
            self._on_bytes(count)
            del self._pending[:count]


@contextlib.contextmanager
def storage_errors(
    what: str,
    gone: type[Exception] | None = None,
    refused: type[StorageUnavailable] = StorageUnavailable,
) -> Iterator[None]:
    """Turn an ``OSError`` into ``refused``, or into ``gone`` if the file doesn't exist."""
    try:
        yield
    except FileNotFoundError as error:
        raise (gone or refused)(f"{what}: {error.strerror}") from error
    except OSError as error:
        raise refused(f"{what}: {error.strerror}") from error
