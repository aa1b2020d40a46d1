"""Waiting for what happens elsewhere, instead of for a time."""

import asyncio
import time
from collections.abc import Callable

_LOOK_SECONDS = 0.01


async def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait on the event loop until something is so."""
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(_LOOK_SECONDS)


def wait_until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait on a thread until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it is not so in time"
        time.sleep(_LOOK_SECONDS)
