"""Work that a node does in the background for as long as it runs."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 10.0


async def keep_running(
    task: str, work: Callable[[], Awaitable[None]], again_seconds: float = _AGAIN_SECONDS
) -> None:
    """Run ``work`` until cancelled. Where it fails, that is logged, and it begins again.

    Nobody awaits such a task while the node runs: without this it would end unnoticed.
    """
    while True:
        try:
            await work()
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            # A panic of a native library is no ``Exception``.
            log.exception("background task failed, begins again", task=task)
        await asyncio.sleep(again_seconds)
