"""Has glibc return to the system what a node no longer uses.

Invariant: what a node held once doesn't stay resident for more than ``_MOST_SECONDS`` after it was
freed, however small its pieces were and whichever thread freed them.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_MAPPED_BYTES = 4 * 1024 * 1024
_LARGE_BYTES = 160 * 1024 * 1024
"""Resident; a node at ordinary work stays below it."""
_LOOK_SECONDS = 0.5
_MOST_SECONDS = 5.0
_GROWN = 1.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def return_memory() -> None:
    """Set glibc's thresholds, and start a daemon thread that trims its heaps while they are large.

    By default each large value that is freed raises the size, up to 32 MiB, below which glibc keeps
    what was freed, and it does so for each thread: 220 MiB after a flood, of which none is used.
    Lower figures give back more, but 1 and 2 MiB cost 7 % of a node's CPU time. Between pieces that
    are used it keeps what was freed all the same, some 75 MiB after a flood, until it is made to
    trim. Other C libraries have no such calls.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 4 * _MAPPED_BYTES)
        if _resident_bytes():
            trim = partial(_trim, libc.malloc_trim)
            threading.Thread(target=trim, name="trim heap", daemon=True).start()


def _trim(malloc_trim: Callable[[int], object]) -> None:
    """Trim a large heap when it has grown, and every ``_MOST_SECONDS``: it takes up to 20 ms."""
    left, trimmed_at = 0, 0.0
    while True:
        time.sleep(_LOOK_SECONDS)
        resident = _resident_bytes()
        is_due = time.monotonic() - trimmed_at > _MOST_SECONDS
        if resident > _LARGE_BYTES and (resident > left * _GROWN or is_due):
            malloc_trim(0)  # without the interpreter's lock
            left, trimmed_at = _resident_bytes(), time.monotonic()


def _resident_bytes() -> int:
    """0 where there is no such file."""
    with suppress(OSError):
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    return 0
