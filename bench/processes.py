"""What Linux counts of a process, and on which core a process runs. Linux only.

Invariant: nothing here disturbs what it measures.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time so far, of all threads (proc(5), stat)."""
    return _cpu_seconds(Path(f"/proc/{pid}/stat"))


def system_seconds(pid: int) -> float:
    """Of these, what the kernel took on the process's behalf."""
    return _times(Path(f"/proc/{pid}/stat"))[1]


def main_thread_cpu_seconds(pid: int) -> float:
    """The same, of the thread that the process began with alone."""
    return _cpu_seconds(Path(f"/proc/{pid}/task/{pid}/stat"))


def _cpu_seconds(path: Path) -> float:
    return sum(_times(path))


def _times(path: Path) -> tuple[float, float]:
    """Of the program itself, and of the kernel for it."""
    fields = path.read_text().rpartition(")")[2].split()
    return int(fields[11]) / _TICKS_PER_SECOND, int(fields[12]) / _TICKS_PER_SECOND


def peak_bytes(pid: int | str = "self") -> int:
    """The resident peak so far (proc(5), status).

    Not ``ru_maxrss``: a child's begins at what its parent had.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@contextlib.contextmanager
def children_on_one_core() -> Iterator[int]:
    """Processes started in the block stay on one core, the last one that is ours; its number."""
    ours = os.sched_getaffinity(0)
    core = max(ours)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, ours)
