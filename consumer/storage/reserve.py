"""A little room that is kept free for manifests, so that an export can still fail on a full disk.

A file without a name holds it: it is gone with the process, and no one has to sweep it. Invariant:
spending or keeping it never raises.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from threading import Lock

RESERVE_BYTES = 64 * 1024
"""Room for some manifests: each takes a block of the file system."""


class Reserve:
    """Room on the file system of ``directory``. Threads may share it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self._lock = Lock()

    def keep(self) -> None:
        """Reserve the room, if there is any."""
        with self._lock, contextlib.suppress(OSError):
            if self._descriptor is None:
                descriptor, name = tempfile.mkstemp(dir=self._directory)
                try:
                    os.unlink(name)  # noqa: PTH108 - a name, not a path to work with
                    # Blocks, not only a size: a sparse file would hold no room.
                    os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
                except BaseException:
                    os.close(descriptor)
                    raise
                self._descriptor = descriptor

    def spend(self) -> bool:
        """Give the room back to the file system; whether there was any."""
        with self._lock:
            if self._descriptor is None:
                return False
            os.close(self._descriptor)
            self._descriptor = None
            return True
