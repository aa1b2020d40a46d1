"""Turns of one partition: a slot, a thread, and retries while the storage refuses.

Encoding is CPU work and writing blocks, so a turn runs on a thread while heartbeats continue. A
thread can't be cancelled: cancelling ``run`` waits for the turn to end, and the turn makes no more
decisions. Invariant: no slot is held while the storage refuses or a storage call hangs.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager

import structlog

from consumer.core.fair_queue import Claim
from consumer.core.storage_retry import RetryBudget
from consumer.errors import PartUnsynced, StorageUnavailable
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd, TurnResult
from consumer.lanes.health import WORKING
from consumer.lanes.slots import Slots
from consumer.metrics import Metrics

log = structlog.get_logger(__name__)

HANGS_SECONDS = 2.0
"""A longer storage call counts as hanging: disks and network file systems take milliseconds."""
_LOOK_SECONDS = 1.0


class Turns:
    """Runs the turns of one partition's exports, one at a time."""

    def __init__(
        self,
        exports: PartitionExports,
        slots: Slots,
        threads: Executor,
        metrics: Metrics,
        retry_budget: RetryBudget,
    ) -> None:
        self._exports = exports
        self._slots = slots
        self._threads = threads
        self._metrics = metrics
        self._retry_budget = retry_budget
        self._read_refused = False
        self.health = WORKING
        """``FAILING`` if the storage refuses for too long something that can't be given up."""

    @property
    def wait_seconds(self) -> float:
        """How long to wait before the next turn; 0 except after a refusal."""
        return self._retry_budget.wait_seconds(time.monotonic())

    async def run(self) -> TurnResult:
        """Take one turn; call again after one that the storage refused.

        Raises:
            PartLost, AttemptAgain, MessageFault, LaneStopped: as ``PartitionExports.turn``.
        """
        try:
            result = await self._taken()
        except PartUnsynced as error:
            self._metrics.storage_retried(error)
            # The lane reloads; this budget outlives that.
            self._retry_budget.unsynced(error.export_id, time.monotonic())
            raise
        self._metrics.wrote(result.formats)
        if result.refusal:
            return await self._refused(result, result.refusal)
        self.health = WORKING
        self._exports.in_hand.answered()
        # Searching for an owner says nothing about the storage.
        read = self._read_refused and result.end is not TurnEnd.OWNER_UNKNOWN
        if result.served or read:
            self._read_refused = False
            self._retry_budget.served()
            self._retry_budget.ended(result.ended)
        return result

    async def _taken(self) -> TurnResult:
        """Take the turn, holding a slot while it works."""
        turn: asyncio.Future[TurnResult] | None = None
        try:
            async with self._slot():
                loop = asyncio.get_running_loop()
                turn = loop.run_in_executor(self._threads, self._exports.turn)
                await self._worked(turn)
            # Out of the slot: the turn hangs, and continues by itself once the storage answers.
            if not turn.done():
                await asyncio.wait([turn])
        except asyncio.CancelledError:
            if turn:
                # Wait all the same: the exports are discarded next, which must not happen while a
                # thread works on them.
                self._exports.abandon()
                await asyncio.wait([turn])
            raise
        return turn.result()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        claim = self._exports.claim
        async with self._slots.turn(claim) as waited_turns:
            self._log_turn(claim, waited_turns)
            begun = time.monotonic()
            try:
                yield
            finally:
                self._metrics.turn(time.monotonic() - begun)

    async def _worked(self, turn: "asyncio.Future[TurnResult]") -> None:
        """Wait until the turn ends or hangs in the storage, even if cancelled.

        A hanging turn computes nothing, and five such partitions would leave no slot to others.
        When the storage answers at last, its work exceeds the capacity; but a turn that has lasted
        this long ends with its next message.
        """
        try:
            while not turn.done() and not self._hangs:
                # Not ``wait_for``, which would cancel the future while the thread keeps running.
                await asyncio.wait([turn], timeout=_LOOK_SECONDS)
        except asyncio.CancelledError:
            self._exports.abandon()
            while not turn.done() and not self._hangs:
                await asyncio.wait([turn], timeout=_LOOK_SECONDS)
            raise
        if not turn.done():
            log.warning("a turn hangs in the storage", partition=self._exports.partition)

    @property
    def _hangs(self) -> bool:
        return self._exports.in_hand.storage_seconds() > HANGS_SECONDS

    def _log_turn(self, claim: Claim, waited_turns: int) -> None:
        log.debug(
            "turn",
            partition=self._exports.partition,
            user=claim.user,
            priority=claim.priority,
            waited_turns=waited_turns,
        )

    async def _refused(self, result: TurnResult, error: StorageUnavailable) -> TurnResult:
        self._metrics.storage_retried(error)
        # If no write is due, a read was refused. The next turn repeats it first, so a turn without
        # a refusal shows that the storage has recovered.
        self._read_refused = not self._exports.writes_due
        too_long = self._retry_budget.refused(time.monotonic())
        given_up = await self._give_up(str(error)) if too_long else None
        stuck = too_long and not given_up
        if given_up:
            self._exports.in_hand.answered()
        self.health = WORKING.failing(f"the storage refuses: {error}") if stuck else WORKING
        log.warning(
            "storage given up" if given_up else "storage refuses",
            partition=self._exports.partition,
            error=str(error),
        )
        return given_up or result

    async def _give_up(self, why: str) -> TurnResult | None:
        """Give up what was refused, on a thread: a dead letter's value may have to be unpacked."""
        loop = asyncio.get_running_loop()
        giving_up = loop.run_in_executor(self._threads, self._exports.give_up, why)
        try:
            await asyncio.wait([giving_up])
        except asyncio.CancelledError:
            # A thread can't be cancelled; it works on the exports until it returns.
            await asyncio.wait([giving_up])
            raise
        return giving_up.result()
