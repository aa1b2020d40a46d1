"""``sluice serve``: run one node."""

import asyncio
import os
import sys
import threading

from sluice.logs import configure_logging
from sluice.node import run_node
from sluice.settings import load_settings
from sluice.signals import catch_signals, until_signalled

_MARGIN_SECONDS = 4.5  # over the drain: to drop producers, leave the group and close connections


def serve() -> None:
    """Run one node: a member of the consumer group plus the HTTP server.

    Settings come from the environment (SLUICE_*). SIGTERM drains and exits 0.
    """
    settings = load_settings()
    catch_signals()
    configure_logging(settings.log_level, settings.log_format)
    most_seconds = settings.drain_timeout_seconds + _MARGIN_SECONDS
    asyncio.run(until_signalled(run_node(settings), most_seconds))
    _leave_stuck_turns()


def _leave_stuck_turns() -> None:
    """A thread that hangs in a dead storage can't be cancelled, and must not keep the process."""
    turns = [thread for thread in threading.enumerate() if thread.name.startswith("turn")]
    for turn in turns:
        turn.join(timeout=0.2)
    if any(turn.is_alive() for turn in turns):
        sys.stderr.flush()
        os._exit(0)
