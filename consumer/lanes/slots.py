"""Slots limit how many of a node's partitions may work at a time.

A slot is held for one bounded turn, never for an export's lifetime: with more interleaved exports
in a partition than slots, that would deadlock. ``FairQueue`` decides who is next. It chooses on the
event loop's next iteration, not at once, so that the lane whose turn just ended can claim its next
turn and compete with the others. Invariant: a place in the queue is given up or ended exactly once,
whatever is cancelled and when.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumer.core.budget import TURN_SECONDS
from consumer.core.fair_queue import Claim, FairQueue, QueuePlace


class Slots:
    """``capacity`` slots, of which ``running`` are held now."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.running = 0
        self._order = FairQueue(TURN_SECONDS)
        self._waiting: dict[QueuePlace, asyncio.Future[int]] = {}
        self._turns_begun = 0
        self._to_be_granted = False

    @asynccontextmanager
    async def turn(self, claim: Claim) -> AsyncIterator[int]:
        """Hold a slot for the block; yields how many other turns it waited for.

        These are the turns that began meanwhile, plus one if no slot was free. If cancelled while
        waiting, no slot is held.
        """
        before = self._turns_begun - (self.running == self.capacity)
        place = self._order.wait(claim)
        begun = await self._wait_for_slot(place)
        since = time.monotonic()
        try:
            yield begun - before
        finally:
            self._end(place, time.monotonic() - since)

    async def _wait_for_slot(self, place: QueuePlace) -> int:
        """Wait for the slot; returns how many turns had begun before this one."""
        granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[place] = granted
        self._grant_soon()
        try:
            return await granted
        except asyncio.CancelledError:
            if self._waiting.pop(place, None) is None:
                self._end(place, 0.0)  # granted at the same moment
            else:
                self._order.leave(place)
            raise

    def _end(self, place: QueuePlace, seconds: float) -> None:
        self._order.end(place, seconds)
        self.running -= 1
        self._grant_soon()

    def _grant_soon(self) -> None:
        if not self._to_be_granted:
            self._to_be_granted = True
            asyncio.get_running_loop().call_soon(self._grant)

    def _grant(self) -> None:
        self._to_be_granted = False
        while self.running < self.capacity and (place := self._order.choose()):
            granted = self._waiting.pop(place)
            if not granted.done():  # otherwise it was cancelled, and returns the slot when it wakes
                granted.set_result(self._turns_begun)
            # Count cancelled waiters too: they end their turn when they wake.
            self.running += 1
            self._turns_begun += 1
