"""The most recently ended exports, known on every node.

Reads committed events from the completions topic, outside the group: first the tail, backwards by
offset, then new events. A node starts without waiting for it. Invariant: an answer is based on the
whole tail.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Self

import structlog

from clients.reader import groupless_consumer
from consumer.background_read import FORESEEN, BackgroundRead
from consumer.cluster import Cluster
from consumer.core.listing import MOST_ENDED, EndedExports, ListedExport
from consumer.errors import BacklogUnavailable
from consumer.history.history_reader import HistoryReader
from schemas.topics import Topics

log = structlog.get_logger(__name__)

_ANSWER_SECONDS = 3.0


class History:
    """An async context manager that reads in the background."""

    def __init__(
        self,
        cluster: Cluster,
        topics: Topics,
        client_options: Mapping[str, Any],
        most: int = MOST_ENDED,
    ) -> None:
        self._cluster = cluster
        self._topics = topics
        self._options = client_options
        self._ended = EndedExports(most)
        self._loaded = asyncio.Event()
        self._listeners: list[Callable[[ListedExport], None]] = []
        self._reading = BackgroundRead("history", self._read, self._note)

    async def __aenter__(self) -> Self:
        """Start reading in the background; returns at once, even if Kafka is unreachable."""
        self._reading.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading."""
        await self._reading.stop()

    async def ended(self, seconds: float = _ANSWER_SECONDS) -> EndedExports:
        """The most recently ended exports; changes as more end.

        Raises:
            BacklogUnavailable: the topic is still being read after ``seconds``.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._loaded.wait()
        except TimeoutError:
            raise BacklogUnavailable("the completions topic is still being read") from None
        return self._ended

    def on_end(self, listener: Callable[[ListedExport], None]) -> None:
        """Call the listener with each export that ends from now on, once ``ended`` has it."""
        self._listeners.append(listener)

    def _put_end(self, one: ListedExport) -> None:
        if self._loaded.is_set():  # exports that ended before the node started are no news
            for listener in self._listeners:
                listener(one)

    async def _read(self) -> None:
        async with groupless_consumer(self._options, fetch_max_wait_ms=500) as consumer:
            reader = HistoryReader(consumer, self._topics, self._ended, self._put_end)
            await reader.load(await self._cluster.fetch_partition_counts())
            self._reading.followed()
            # Never cleared: if reading fails later, what was read stays valid.
            self._loaded.set()
            await reader.follow()

    def _note(self, error: Exception) -> None:
        """Log why, once."""
        if not isinstance(error, FORESEEN):
            log.error("history failed", exc_info=error)
        elif reason := self._reading.new_reason(error):
            say = log.debug if self._cluster.contact.explains(error) else log.warning
            say("history is not followed", reason=reason)
