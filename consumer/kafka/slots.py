"""Slots: how many partitions of a node may work at a time.

A slot is held for one bounded turn, never for an export's life: with more exports interleaved in
a partition than slots, that would be a deadlock. Waiting lanes are served in order of arrival.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """``capacity`` slots; ``running`` are held now."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.running = 0
        self._semaphore = asyncio.Semaphore(capacity)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a slot for the block. Cancelled while waiting, none is held."""
        async with self._semaphore:
            self.running += 1
            try:
                yield
            finally:
                self.running -= 1
