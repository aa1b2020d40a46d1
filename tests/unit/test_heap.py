"""What a process freed is returned to the system, also between pieces that it still uses."""

import subprocess
import sys

import pytest

from sluice import heap

_HELD_AND_FREED = """
import sys, time
from sluice.heap import _resident_bytes, return_memory
if sys.argv[1] == "trimmed":
    return_memory()
before = _resident_bytes()
pieces = [bytes(32 * 1024 + n % 7) for n in range(8_000)]
kept = pieces[::100]
del pieces
until = time.monotonic() + float(sys.argv[2])
while (grown := _resident_bytes() - before) > 64 * 2**20 and time.monotonic() < until:
    time.sleep(0.1)
print(grown)
"""


def _grown_bytes(mode: str, seconds: float) -> int:
    """How much larger a process stays that held 256 MB and freed all but a hundredth of it."""
    command = [sys.executable, "-c", _HELD_AND_FREED, mode, str(seconds)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not heap._resident_bytes(), reason="needs Linux's /proc")
def test_memory_between_pieces_in_use_is_returned() -> None:
    assert _grown_bytes("trimmed", 30) < 64 * 2**20
    assert _grown_bytes("as it is", 1.2) > 64 * 2**20, "or there is nothing to return"
