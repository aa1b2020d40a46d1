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
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_ARENAS = 2
_MAPPED_BYTES = 4 * 1024 * 1024
_LARGE_BYTES = 160 * 1024 * 1024
"""Resident; a node at ordinary work stays below it."""
_PRESSED_BYTES = 200 * 1024 * 1024
"""Resident; from here on memory matters more than time does."""
_PRESSED_MAPPED_BYTES = 256 * 1024
_LOOK_SECONDS = 0.5
_PRESSED_LOOK_SECONDS = 0.25
_MOST_SECONDS = 5.0
_PRESSED_MOST_SECONDS = 1.0
_GROWN = 1.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def return_memory() -> None:
    """Set glibc's thresholds, and start a daemon thread that trims its heaps while they are large.

    By default each large value that is freed raises the size, up to 32 MiB, below which glibc keeps
    what was freed, and it does so for each thread: 220 MiB after a flood, of which none is used.
    Lower figures give back more, but 1 and 2 MiB cost 7 % of a node's CPU time, so they hold only
    while the process is *pressed*. Between pieces that are used it keeps what was freed all the
    same, some 75 MiB after a flood, until it is made to trim; and in each of its arenas, of which
    it would make eight a core. Other C libraries have no such calls.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        heap = Heap(libc.mallopt, libc.malloc_trim, _resident_bytes)
        if _resident_bytes():
            threading.Thread(target=heap.watch, name="trim heap", daemon=True).start()


class Heap:
    """The process's heap as glibc keeps it; ``mallopt`` and ``malloc_trim`` are glibc's calls.

    ``resident`` tells the process's resident bytes.
    """

    def __init__(
        self,
        mallopt: Callable[[int, int], object],
        malloc_trim: Callable[[int], object],
        resident: Callable[[], int],
    ) -> None:
        self._mallopt = mallopt
        self._malloc_trim = malloc_trim
        self._resident = resident
        self._pressed = False
        self._left_bytes = 0
        self._trimmed_at = 0.0
        self._map_from(_MAPPED_BYTES)

    def watch(self) -> None:
        """Look at it for ever."""
        while True:
            time.sleep(_PRESSED_LOOK_SECONDS if self._pressed else _LOOK_SECONDS)
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Trim a large heap when it has grown, and now and then: it takes up to 20 ms."""
        resident_bytes = self._resident()
        pressed = resident_bytes > _PRESSED_BYTES
        if pressed != self._pressed:
            self._pressed = pressed
            self._map_from(_PRESSED_MAPPED_BYTES if pressed else _MAPPED_BYTES)
        most_seconds = _PRESSED_MOST_SECONDS if pressed else _MOST_SECONDS
        is_due = now - self._trimmed_at > most_seconds
        if resident_bytes > _LARGE_BYTES and (resident_bytes > self._left_bytes * _GROWN or is_due):
            self._malloc_trim(0)  # without the interpreter's lock
            self._left_bytes, self._trimmed_at = self._resident(), now

    def _map_from(self, size_bytes: int) -> None:
        """Have values of at least this size mapped apart: they are returned once they are freed."""
        self._mallopt(_M_MMAP_THRESHOLD, size_bytes)
        self._mallopt(_M_TRIM_THRESHOLD, 4 * size_bytes)


def _resident_bytes() -> int:
    """0 where there is no such file."""
    with suppress(OSError):
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    return 0
