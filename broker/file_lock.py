"""File locks between processes; the kernel releases them when the holder ends (flock(2))."""

import os
import sys
from pathlib import Path

from broker.errors import ServerError


def lock(path: Path, *, wait: bool = True) -> int:
    """Lock the file ``path``, made if missing; a descriptor that holds the lock until it's closed.

    A process that inherits the descriptor holds the lock as well.

    Raises:
        BlockingIOError: another process holds it and ``wait`` is false.
        OSError: the file can't be written.
        ServerError: this system has no such locks.
    """
    if sys.platform == "win32":
        raise ServerError("the embedded servers run on Linux and macOS only")
    import fcntl  # noqa: PLC0415 - there is none on Windows

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
