"""Runs a command's coroutine until it ends or a signal ends it.

Independent of what commands do. Invariant: SIGINT and SIGTERM cancel the coroutine once, and it may
still clean up; from ``catch_signals`` on neither kills the process, and later signals don't
interrupt the cleanup.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, NoReturn

from sluice.logs import quiet_libraries

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def catch_signals(code: int | None = 0) -> None:
    """Until an event loop runs: either signal ends the program with ``SystemExit``.

    With that code; None is 128 + the signal's number.
    """

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        ignore_signals()
        sys.exit(128 + number if code is None else code)

    _handle(leave)


def ignore_signals() -> None:
    """From here on signals are ignored: the program is ending and must not be interrupted."""
    # Python removes its own handlers before it ends; this one stays.
    _handle(signal.SIG_IGN)


def _handle(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
    for number in _SIGNALS:
        signal.signal(number, handler)


def run(
    main: Coroutine[Any, Any, int],
    *,
    code_on_signal: int | None = None,
    tidy_seconds: float | None = None,
    quiet: bool = True,
) -> int:
    """The exit code of ``main``; after a signal ``code_on_signal``, or 128 + the signal's number.

    After a signal ``main`` may clean up for at most ``tidy_seconds``; then the process ends, even
    if ``main`` doesn't or a thread of the loop hangs. ``quiet`` keeps the libraries' own log off
    the user's terminal. Afterwards signals are handled as before, or ignored if one came.
    """
    if quiet:
        quiet_libraries()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    came: list[int] = []
    try:
        return asyncio.run(_until_signalled(main, code_on_signal, tidy_seconds, came))
    finally:
        # The loop has reset both to the system's default.
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if came else handler)


async def _until_signalled(
    main: Coroutine[Any, Any, int],
    code_on_signal: int | None,
    tidy_seconds: float | None,
    came: list[int],
) -> int:
    """As ``run``, which sees in ``came`` which signals came."""
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[None] = loop.create_future()

    def note(number: int) -> None:
        came.append(number)
        if not signalled.done():
            signalled.set_result(None)

    for number in _SIGNALS:
        loop.add_signal_handler(number, note, number)
    task = asyncio.ensure_future(main)
    await asyncio.wait((task, signalled), return_when=asyncio.FIRST_COMPLETED)
    if not signalled.done():
        return task.result()
    code = 128 + came[0] if code_on_signal is None else code_on_signal
    if tidy_seconds is not None:
        _end_after(tidy_seconds, code)
    task.cancel()
    await asyncio.wait([task])
    # It may have ended at that moment, or turned the cancellation into a result.
    return code if task.cancelled() else task.result()


def _end_after(seconds: float, code: int) -> None:
    """End the process after this time: the loop would wait forever for a hanging thread.

    Done by a thread: nothing else runs while the loop joins its threads at the end.
    """

    def end() -> None:
        # ``_exit`` flushes nothing.
        sys.stderr.flush()
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
