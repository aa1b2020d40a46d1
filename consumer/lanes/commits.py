"""One partition's commits: at most one transaction in flight while the next one fills.

A turn does not wait for a transaction: the results of turns meanwhile go into the next.
Invariant: a ``Checkpoint`` is taken between turns and goes into exactly one transaction.

An event whose manifest already existed is skipped if the completions topic has it already.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from consumer.core.resume import ResumePoint
from consumer.exports.messages import Outcome
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import Checkpoint
from consumer.lanes.published_events import PublishedEvents
from consumer.lanes.transactions import PartitionProducer
from consumer.metrics import Metrics

log = structlog.get_logger(__name__)

COMMIT_SECONDS = 1.0
"""How often progress without events is committed; events never wait for it."""


class Commits:
    """Commits the outcomes of one partition's exports; ``done`` is called after each commit."""

    def __init__(
        self,
        producer: PartitionProducer,
        published_events: PublishedEvents,
        exports: PartitionExports,
        metrics: Metrics,
        committed: ResumePoint | None,
        done: Callable[[], None],
    ) -> None:
        self._producer = producer
        self._published_events = published_events
        self._exports = exports
        self._metrics = metrics
        self._committed = committed
        self._done = done
        self._begun_at = 0.0
        self._transaction: asyncio.Task[None] | None = None
        self._look_since: float | None = None

    @property
    def looked_for_seconds(self) -> float:
        """For how long the completions have been searched for events; 0 if no search is running."""
        return time.monotonic() - self._look_since if self._look_since else 0.0

    def advance(self, *, at_once: bool = False) -> bool:
        """Start a transaction if one is due and none is in flight. Call it between turns.

        Returns whether one is in flight now.

        Raises:
            KafkaError, TimeoutError: the previous one failed; the producer is unusable.
        """
        if self._transaction and self._transaction.done():
            # Raise the failure in the lane's task; the transaction's own task ends here.
            finished, self._transaction = self._transaction, None
            finished.result()
        if self._transaction is None:
            # 1. Take a checkpoint, between turns.
            progress = at_once or time.monotonic() >= self._begun_at + COMMIT_SECONDS
            checkpoint = self._exports.take_checkpoint(self._committed, progress=progress)
            if checkpoint:
                self._start(checkpoint)
        return self._transaction is not None

    async def wait(self) -> None:
        """Wait for the transaction in flight to end; never raises."""
        if self._transaction:
            await asyncio.wait([self._transaction])

    async def drop(self) -> None:
        """Abandon the transaction in flight, whatever its result; never raises."""
        if self._transaction:
            self._transaction.cancel()
            await asyncio.gather(self._transaction, return_exceptions=True)
            self._transaction = None

    def _start(self, checkpoint: Checkpoint) -> None:
        self._begun_at = time.monotonic()
        self._transaction = asyncio.create_task(self._commit(checkpoint))
        self._transaction.add_done_callback(lambda _: self._done())

    async def _commit(self, checkpoint: Checkpoint) -> None:
        outcome, point = checkpoint.outcome, checkpoint.point
        # 2. Skip events that the topic already has.
        await self._skip_published(outcome)
        # Steps 3 to 6 are in PartitionProducer.commit.
        begun = time.monotonic()
        committed = False
        try:
            await self._producer.commit(outcome, point)
            committed = True
        finally:
            self._metrics.transaction(time.monotonic() - begun, committed)
        # Only now: equal checkpoints need no transaction.
        self._committed = point
        # 7. Count what is committed. Count nothing for a failed transaction: the one that commits
        # its events will.
        for event in outcome.events:
            self._metrics.ended(event)
        for letter in outcome.dead_letters:
            self._metrics.dead_letter(letter.reason)

    async def _skip_published(self, outcome: Outcome) -> None:
        """Skip events that are in the topic; only events with an earlier manifest can be."""
        candidates = [
            event for event in outcome.events if event.export_id in outcome.maybe_published
        ]
        if not candidates:
            return
        self._look_since = time.monotonic()
        published = await self._published_events.find(candidates)
        # If this raises, the lane reloads and this object goes; nothing resets the time.
        self._look_since = None
        unpublished = [event for event in outcome.events if event.event_id not in published]
        if skipped := len(outcome.events) - len(unpublished):
            log.warning(
                "terminal events already published, skipped: were group offsets lost or reset?",
                partition=self._exports.partition,
                events=skipped,
            )
        outcome.events = unpublished
