"""Reserves disk space for manifests, so that an export can still fail on a full disk.

An unnamed file holds it, which disappears with the process and needs no sweep. Invariant: spending
or restoring the reserve never raises.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from threading import Lock

RESERVE_BYTES = 64 * 1024
"""Space for several manifests: each takes a file system block."""


class Reserve:
    """Space on the file system of ``directory``. Threads may share it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self._lock = Lock()

    def keep(self) -> None:
        """Reserve the space, if there is any."""
        with self._lock, contextlib.suppress(OSError):
            if self._descriptor is None:
                descriptor, name = tempfile.mkstemp(dir=self._directory)
                try:
                    os.unlink(name)  # noqa: PTH108 - a name, not a path to work with
                    # Allocate blocks: a sparse file would reserve nothing.
                    os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
                except BaseException:
                    os.close(descriptor)
                    raise
                self._descriptor = descriptor

    def spend(self) -> bool:
        """Release the space; returns whether any was reserved."""
        with self._lock:
            if self._descriptor is None:
                return False
            os.close(self._descriptor)
            self._descriptor = None
            return True
