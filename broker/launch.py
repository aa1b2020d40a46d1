"""Becomes another program that dies with the process that started it.

Run as a script: ``python -I -S launch.py PARENT PROGRAM ARG…``. It needs no package and takes some
milliseconds. A ``preexec_fn`` would do the same, but is not safe in a process with threads.

Invariant: on Linux the program does not outlive its parent, however that ends. More exactly, it
does not outlive the parent's *thread* that spawned it (prctl(2), PR_SET_PDEATHSIG): spawn from a
thread that lives as long as the program is wanted. Elsewhere there is no such signal, and a killed
parent leaves the program running.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
# Nothing of the caller's environment changes how Java runs (JAVA_TOOL_OPTIONS, CLASSPATH); file
# names are read as UTF-8 whatever the locale.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}


def main(parent: int, command: list[str]) -> NoReturn:
    """Become ``command``, bound to ``parent``."""
    # Both are inherited through exec, and a Java that ignores SIGTERM can't be stopped cleanly.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if sys.platform == "linux":
        _die_with(parent)
    try:
        os.execve(command[0], command, _ENVIRONMENT)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"this system can't run {command[0]} ({error.strerror}); it is built for glibc")


def _die_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the call above
        sys.exit("the parent is gone")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
