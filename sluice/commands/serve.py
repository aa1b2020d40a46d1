"""``sluice serve``: run one node."""

import gc
import os
import sys
import threading
import time
from collections.abc import Awaitable

from sluice.foreground import catch_signals, run
from sluice.heap import return_memory
from sluice.logs import configure_logging
from sluice.settings import load_settings

_STUCK_SECONDS = 0.5
_COLLECTED_OBJECTS = 50_000
_MARGIN_SECONDS = 4.5  # beyond the drain: to drop producers, leave the group and close connections


def serve() -> int:
    """Run one node: a member of the consumer group plus the HTTP server.

    Settings come from the environment (SLUICE_*). SIGTERM drains and exits 0.
    """
    # Importing the node takes half a second, which other commands save. Import before the settings
    # are read, because from then on a signal ends the program with 0.
    from sluice.node import run_node  # noqa: PLC0415

    settings = load_settings(serves=True)
    catch_signals()
    configure_logging(settings.log_level, settings.log_format)
    _collect_rarely()
    return_memory()
    tidy_seconds = settings.drain_timeout_seconds + _MARGIN_SECONDS
    code = run(_serve(run_node(settings)), code_on_signal=0, tidy_seconds=tidy_seconds, quiet=False)
    _leave_stuck_threads(code)
    return code


def _collect_rarely() -> None:
    """Run the cyclic garbage collector less often.

    A batch is thousands of lists that live for milliseconds and form no cycle. By default every 700
    of them trigger a collection, many of which scan everything imported: a quarter of a node's CPU
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_OBJECTS, 20, 20)


async def _serve(node: Awaitable[None]) -> int:
    await node
    return 0


def _leave_stuck_threads(code: int) -> None:
    """A thread that hangs in a dead storage can't be cancelled.

    It doesn't keep the process alive, but might wake while the interpreter shuts down.
    """
    until = time.monotonic() + _STUCK_SECONDS
    threads = [one for one in threading.enumerate() if one.name.startswith(("turn-", "storage-"))]
    for thread in threads:
        thread.join(timeout=max(0.0, until - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        sys.stderr.flush()
        os._exit(code)
