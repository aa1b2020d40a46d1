"""What a client that asks for little notices of a node that others press hard, and its memory."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.nodes import NodeProcess

# In a process of its own: the one that sends large bodies is slow itself.
_LOOK = """
import httpx, sys, time
small = {"format": "csv", "columns": ["a"], "data": [[1]]}
with httpx.Client(base_url=sys.argv[1], timeout=60) as client:
    while True:
        began = time.monotonic()
        assert client.get("/health").status_code == 200
        seconds = time.monotonic() - began
        status = client.post("/export/run", json=small).status_code
        print(seconds, status, flush=True)
        time.sleep(0.2)
"""


@dataclass
class Beside:
    """Seconds until /health answered, and what small POSTs were answered; full after the block."""

    health_seconds: list[float] = field(default_factory=list)
    small_statuses: list[int] = field(default_factory=list)


@asynccontextmanager
async def beside(node: NodeProcess) -> AsyncIterator[Beside]:
    """Ask for little, all through the block."""
    seen = Beside()
    looking = subprocess.Popen(
        [sys.executable, "-c", _LOOK, node.url], stdout=subprocess.PIPE, text=True
    )
    try:
        yield seen
    finally:
        looking.terminate()
        shown, _ = looking.communicate()
    for line in shown.splitlines():
        seconds, status = line.split()
        seen.health_seconds.append(float(seconds))
        seen.small_statuses.append(int(status))
    assert seen.small_statuses


def peak_bytes(node: NodeProcess) -> int:
    """The most that was resident since the node's start."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{node.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024
