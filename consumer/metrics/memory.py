"""How much memory this process holds."""

import os
import resource
import sys

_STATM = "/proc/self/statm"
_MOST_BYTES = 256


def resident_bytes() -> int:
    """Resident memory now; its peak so far where the system has no ``/proc``."""
    try:
        # Once a turn: a file object would take twice the system calls.
        descriptor = os.open(_STATM, os.O_RDONLY)
        try:
            pages = int(os.read(descriptor, _MOST_BYTES).split()[1])
        finally:
            os.close(descriptor)
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()
