"""What a client that asks for little notices of a node that others press hard, and its memory."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.hostile.bounds import PEAK_BYTES
from tests.support.nodes import NodeProcess
from tests.support.probed import Seen, probed

# In a process of its own: the one that sends large bodies is slow itself.
_POST = """
import httpx, sys, time
small = {"format": "csv", "columns": ["a"], "data": [[1]]}
with httpx.Client(base_url=sys.argv[1], timeout=60, trust_env=False, verify=False) as client:
    while True:
        for _ in range(int(sys.argv[2]) + 1):
            answer = client.post("/export/run", json=small)
            if answer.status_code != 503 or answer.headers.get("retry-after") != "1":
                break
            time.sleep(1)
        print(answer.status_code, flush=True)
        time.sleep(0.2)
"""


@dataclass
class Beside:
    """What a probe saw, and what small POSTs were answered; full after the block."""

    seen: Seen
    small_statuses: list[int] = field(default_factory=list)

    def check(self, most_grown_bytes: int = PEAK_BYTES) -> None:
        """Hold the node to its bounds; each small POST was accepted."""
        self.seen.check(most_grown_bytes)
        assert set(self.small_statuses) == {202}


@asynccontextmanager
async def beside(node: NodeProcess, most_retries: int = 1) -> AsyncIterator[Beside]:
    """Ask for little, all through the block.

    A POST that is to come again in a second does so ``most_retries`` times.
    """
    posting = subprocess.Popen(
        [sys.executable, "-c", _POST, node.url, str(most_retries)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        async with probed(node) as probe, probe.watched() as seen:
            answered = Beside(seen)
            yield answered
    finally:
        posting.terminate()
        shown, _ = posting.communicate()
    answered.small_statuses += map(int, shown.split())
