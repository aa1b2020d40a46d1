"""Follows replayed exports until they end.

Invariant: an event of an export that this replay didn't send is ignored.
"""

import asyncio
import time
from collections.abc import Callable

from producer.completions import CompletionFeed
from producer.replay.results import CANCELLED, COMPLETED, ReplayResults
from schemas.completions import ExportCompleted, ExportFailed, TerminalEvent


class Follower:
    """Writes ends into the results; ``on_end`` is called after each."""

    def __init__(
        self, feed: CompletionFeed, results: ReplayResults, on_end: Callable[[], None]
    ) -> None:
        self._feed = feed
        self._results = results
        self._on_end = on_end
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            ClientError: the completions topic can't be read.
        """
        async for completion in self._feed:
            if self._results.waits_for(completion.export_id):
                outcome = _outcome(completion.event())
                self._results.end(completion.export_id, outcome, time.monotonic())
                self._ended.set()
                self._on_end()

    async def all_ended(self) -> None:
        """Wait until every export that was sent has ended."""
        while self._results.waiting:
            self._ended.clear()
            await self._ended.wait()


def _outcome(event: TerminalEvent) -> str:
    match event:
        case ExportCompleted():
            return COMPLETED
        case ExportFailed():
            return event.reason
        case _:
            return CANCELLED
