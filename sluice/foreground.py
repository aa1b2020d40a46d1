"""Runs a command's coroutine until it ends or a signal ends it.

Nothing of what commands do lives here. Invariant: SIGINT and SIGTERM cancel the coroutine once
each, and it may still tidy up; the libraries' own log is not on the user's terminal.
"""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from sluice.logs import quiet_libraries

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(main: Coroutine[Any, Any, int]) -> int:
    """The exit code that ``main`` returns, or 128 + the number of the signal that cancelled it."""
    quiet_libraries()
    return asyncio.run(_until_signalled(main))


async def _until_signalled(main: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(main)
    received: list[int] = []

    def on_signal(number: int) -> None:
        received.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
