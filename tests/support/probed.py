"""A node under a load, and what its probe saw meanwhile: ``/health``, and its resident peak.

Invariant: what a machine that is busy with others takes from a node counts as no second of its own.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from acceptance.sampling import peak_bytes, reset_peak, resident_bytes
from tests.hostile.bounds import HEALTH_SECONDS, MIB, PEAK_BYTES, within
from tests.hostile.probe import read_looks
from tests.support.nodes import NodeProcess

_LOOK_SECONDS = 70.0  # more than the probe waits for an answer


@dataclass
class Seen:
    """What became of a node since the watch began; full after the block."""

    before_bytes: int
    peak_bytes: int = 0
    health_seconds: float = 0.0
    """The slowest answer of ``/health``, but for its waits for a core."""

    @property
    def grown_bytes(self) -> int:
        """By how much the peak passes what was resident before."""
        return self.peak_bytes - self.before_bytes

    def check(self, most_grown_bytes: int = PEAK_BYTES) -> None:
        """Hold the node to the bounds of the contract's "Limits of one message"."""
        grown, peak = self.grown_bytes / MIB, self.peak_bytes / MIB
        figures = f"+{grown:.0f} to {peak:.0f} MiB, /health {self.health_seconds:.2f} s"
        print(figures)
        assert self.grown_bytes < most_grown_bytes, figures
        assert self.peak_bytes < PEAK_BYTES, figures
        assert self.health_seconds < HEALTH_SECONDS, figures


class Probed:
    """A node that a probe of its own looks at all the time."""

    def __init__(self, node: NodeProcess, looks: Path) -> None:
        self.node = node
        self._looks = looks

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Seen]:
        """Measure the node for the block."""
        reset_peak(self.node.pid)
        seen, begun = Seen(resident_bytes(self.node.pid)), time.monotonic()
        await self._looked_since(begun)
        yield seen
        ended = time.monotonic()
        await self._looked_since(ended)
        seen.peak_bytes = peak_bytes(self.node.pid)
        looks = within(read_looks(self._looks), begun, ended)
        assert {look.status for look in looks} == {"200"}
        seen.health_seconds = max(look.own_seconds for look in looks)

    async def _looked_since(self, moment: float) -> None:
        """Wait until a look has ended after a moment."""
        async with asyncio.timeout(_LOOK_SECONDS):
            while not any(look.ended >= moment for look in read_looks(self._looks)[-1:]):
                assert self.node.exit_code is None, self.node.log.read_text()
                await asyncio.sleep(0.02)


@asynccontextmanager
async def probed(node: NodeProcess) -> AsyncIterator[Probed]:
    """A probe of the node for the block."""
    looks = node.log.with_suffix(".looks")
    command = [sys.executable, "-m", "tests.hostile.probe", str(node.pid), node.url, str(looks)]
    probe = subprocess.Popen(command)
    try:
        yield Probed(node, looks)
    finally:
        probe.kill()
        probe.wait()
