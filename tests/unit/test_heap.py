"""What a process freed is returned to the system, also between pieces that it still uses."""

import subprocess
import sys

import pytest

from sluice import heap
from sluice.heap import Heap

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


class Glibc:
    """Its calls, noted. ``mapped_bytes``: from what size values are mapped apart."""

    def __init__(self) -> None:
        self.mapped_bytes = 0
        self.trims = 0
        self.resident_bytes = 0

    def heap(self) -> Heap:
        return Heap(self._mallopt, self._trim, lambda: self.resident_bytes)

    def _mallopt(self, parameter: int, value: int) -> None:
        if parameter == heap._M_MMAP_THRESHOLD:
            self.mapped_bytes = value

    def _trim(self, _left: int) -> None:
        self.trims += 1


def test_while_memory_is_large_smaller_values_are_mapped_apart() -> None:
    glibc = Glibc()
    looked_at = glibc.heap()
    ordinarily = glibc.mapped_bytes
    glibc.resident_bytes = heap._PRESSED_BYTES + 1
    looked_at.look(10.0)
    assert glibc.mapped_bytes <= ordinarily // 8
    glibc.resident_bytes = heap._PRESSED_BYTES
    looked_at.look(10.1)
    assert glibc.mapped_bytes == ordinarily


@pytest.mark.parametrize(
    ("resident_bytes", "trims"),
    [(heap._LARGE_BYTES, 0), (heap._LARGE_BYTES + 1, 4), (heap._PRESSED_BYTES + 1, 16)],
)
def test_the_larger_it_is_the_oftener_a_heap_is_trimmed(resident_bytes: int, trims: int) -> None:
    glibc = Glibc()
    looked_at, glibc.resident_bytes = glibc.heap(), resident_bytes
    for quarter in range(80):
        looked_at.look(1_000.0 + quarter / 4)
    assert glibc.trims == trims


def test_a_large_heap_that_has_grown_is_trimmed_at_once() -> None:
    glibc = Glibc()
    looked_at, glibc.resident_bytes = glibc.heap(), heap._LARGE_BYTES + 1
    looked_at.look(1_000.0)
    glibc.resident_bytes += heap._LARGE_BYTES // 8
    looked_at.look(1_000.1)
    looked_at.look(1_000.2)
    assert glibc.trims == 2
