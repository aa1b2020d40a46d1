"""``sluice serve``: run one node."""

import gc
import os
import sys
import threading

from sluice.foreground import catch_signals, run
from sluice.logs import configure_logging
from sluice.node import run_node
from sluice.settings import Settings, load_settings

_COLLECTED_OBJECTS = 50_000
_MARGIN_SECONDS = 4.5  # over the drain: to drop producers, leave the group and close connections


def serve() -> int:
    """Run one node: a member of the consumer group plus the HTTP server.

    Settings come from the environment (SLUICE_*). SIGTERM drains and exits 0.
    """
    settings = load_settings()
    catch_signals()
    configure_logging(settings.log_level, settings.log_format)
    _collect_rarely()
    tidy_seconds = settings.drain_timeout_seconds + _MARGIN_SECONDS
    code = run(_serve(settings), code_on_signal=0, tidy_seconds=tidy_seconds, quiet=False)
    _leave_stuck_turns(code)
    return code


def _collect_rarely() -> None:
    """Have the collector of cycles look for work less often.

    A batch is thousands of lists that live for milliseconds and are in no cycle. By default every
    700 of them start a collection, and many of these look at all that was imported: a quarter of
    a node's CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_OBJECTS, 20, 20)


async def _serve(settings: Settings) -> int:
    await run_node(settings)
    return 0


def _leave_stuck_turns(code: int) -> None:
    """A thread that hangs in a dead storage can't be cancelled, and must not keep the process."""
    turns = [thread for thread in threading.enumerate() if thread.name.startswith("turn")]
    for turn in turns:
        turn.join(timeout=0.2)
    if any(turn.is_alive() for turn in turns):
        sys.stderr.flush()
        os._exit(code)
