"""SIGINT and SIGTERM end a long-running command in order.

Invariant: from ``catch_signals`` on, neither kills the process; the second one does not hurry it.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def catch_signals() -> None:
    """Until an event loop takes over: either signal ends the program with 0."""
    for number in _SIGNALS:
        signal.signal(number, _leave)


async def until_signalled(work: Coroutine[Any, Any, None], most_seconds: float) -> None:
    """Run ``work`` until it ends or a signal comes, which cancels it; whatever it raises comes out.

    After a signal it has ``most_seconds`` to clean up; then it is left as it is.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        working.cancel()
        await asyncio.wait([working], timeout=most_seconds)
    stopping.cancel()
    if working.done() and not working.cancelled():
        working.result()


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # Python resets its own handlers while it ends
    sys.exit(0)
