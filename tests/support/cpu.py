"""What a piece of code costs, whatever else the machine and the test session do."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass


@dataclass
class CpuTime:
    """Seconds of this thread on a core; known after the block."""

    seconds: float = 0.0


@contextmanager
def cpu_time() -> Iterator[CpuTime]:
    """Measure the block.

    Without the garbage collector: a test session holds millions of objects, a full collection of
    which takes 0.15 s, wherever it happens to strike.
    """
    took, was_enabled = CpuTime(), gc.isenabled()
    gc.disable()
    begun = time.thread_time()
    try:
        yield took
    finally:
        took.seconds = time.thread_time() - begun
        if was_enabled:
            gc.enable()


@asynccontextmanager
async def stretches() -> AsyncIterator[list[float]]:
    """CPU seconds of the loop's thread between two turns of another task, during the block."""
    found: list[float] = []
    at = time.thread_time()

    def note() -> None:
        nonlocal at
        found.append(time.thread_time() - at)
        at = time.thread_time()

    async def take_turns() -> None:
        while True:
            note()
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    try:
        yield found
        note()
    finally:
        other.cancel()
