"""Runs a command's coroutine until it ends or a signal ends it.

Nothing of what commands do lives here. Invariant: SIGINT and SIGTERM cancel the coroutine once, and
it may still tidy up; from ``catch_signals`` on neither kills the process, however often it comes.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from types import FrameType
from typing import Any, NoReturn

from sluice.logs import quiet_libraries

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def catch_signals() -> None:
    """Until an event loop takes over: either signal ends the program with 0."""
    for number in _SIGNALS:
        signal.signal(number, _leave)


def run(
    main: Coroutine[Any, Any, int],
    *,
    code_on_signal: int | None = None,
    tidy_seconds: float | None = None,
    quiet: bool = True,
) -> int:
    """The exit code of ``main``; after a signal ``code_on_signal``, or 128 + the signal's number.

    After a signal ``main`` may tidy up, for ``tidy_seconds`` at most; then the process ends, be it
    that ``main`` doesn't, or that a thread of the loop's own hangs.
    ``quiet`` keeps the libraries' own log off the user's terminal.
    """
    if quiet:
        quiet_libraries()
    return asyncio.run(_until_signalled(main, code_on_signal, tidy_seconds))


async def _until_signalled(
    main: Coroutine[Any, Any, int], code_on_signal: int | None, tidy_seconds: float | None
) -> int:
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[int] = loop.create_future()
    for number in _SIGNALS:
        loop.add_signal_handler(number, _note, signalled, number)
    task = asyncio.ensure_future(main)
    await asyncio.wait([task, signalled], return_when=asyncio.FIRST_COMPLETED)
    if not signalled.done():
        return task.result()
    code = 128 + signalled.result() if code_on_signal is None else code_on_signal
    if tidy_seconds is not None:
        _end_after(tidy_seconds, code)
    task.cancel()
    await asyncio.wait([task])
    # It may have ended at that moment, or made a result of the cancellation.
    return code if task.cancelled() else task.result()


def _end_after(seconds: float, code: int) -> None:
    """End the process then, if it is still there: the loop waits without end for what hangs.

    A thread does this: nothing else runs during the loop's last steps, in which it joins its
    threads.
    """

    def end() -> None:
        # ``_exit`` flushes nothing.
        sys.stderr.flush()
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _note(signalled: asyncio.Future[int], number: int) -> None:
    if not signalled.done():
        signalled.set_result(number)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # Python resets its own handlers while it ends
    sys.exit(0)
