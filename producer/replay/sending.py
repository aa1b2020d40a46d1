"""Sends recorded messages again, at their time, under new ids.

Copy n of an export goes n partitions further than the original, request and batches alike. So
exports that shared a partition still do, and copies are spread. In memory are only the messages in
the publisher's window, and the ids of partly sent exports. Invariant: no export is left half
published; if sending ends early, these are cancelled.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from clients.errors import ClientError
from producer.errors import ProducerError
from producer.publisher import ExportPublisher
from producer.replay.forwarding import Forwarding
from producer.replay.merge import ReplayMessage, requested
from producer.replay.pacing import ReplayPace
from producer.replay.results import ReplayResults
from producer.replay.rewriting import replay_id, request_with_id
from schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """How to send exports that begin at ``began_ms``; ``run`` is in the id of each copy."""

    topics: Topics
    partitions: int
    pace: ReplayPace
    copies: int
    run: str
    began_ms: int


class Sender:
    """Sends messages once, and adds their exports to the results."""

    def __init__(
        self, plan: ReplayPlan, publisher: ExportPublisher, results: ReplayResults
    ) -> None:
        self.last_due_seconds = 0.0
        """When the last request sent so far was due."""
        self._plan = plan
        self._publisher = publisher
        self._results = results
        self._forwarding = Forwarding(plan.topics, publisher)
        self._started_at: float | None = None  # when the first message was at hand

    async def send(self, messages: AsyncIterator[ReplayMessage]) -> None:
        """Send all of them, and return when all are acknowledged.

        Raises:
            ClientError: a message can't be read or sent; half published exports are cancelled.
        """
        try:
            async for message in messages:
                await self._send(message)
            await self._forwarding.finish()
        except BaseException as error:
            await self._cancel_half(error)
            raise

    async def _send(self, message: ReplayMessage) -> None:
        recorded_seconds = (message.at_ms - self._plan.began_ms) / 1000
        if message.is_request:
            due = self._plan.pace.request_due(self._results.sent, recorded_seconds)
            self.last_due_seconds = due
        else:
            due = self._plan.pace.batch_due(recorded_seconds)
        self._started_at = self._started_at or time.monotonic()
        due_at = self._started_at + due
        await asyncio.sleep(due_at - time.monotonic())
        for copy in range(self._plan.copies):
            new_id = replay_id(message.export_id, self._plan.run, message.number, copy)
            partition = (message.partition + copy) % self._plan.partitions
            if message.is_request:
                value = request_with_id(requested(message), new_id)
                await self._forwarding.request(new_id, partition, value)
                self._results.add(new_id, due_at, time.monotonic())
            else:
                await self._forwarding.batch(new_id, partition, message.value, last=message.is_last)

    async def _cancel_half(self, error: BaseException) -> None:
        what = str(error) or "interrupted"
        half = self._forwarding.half
        try:
            for export_id in half:
                await self._publisher.cancel(export_id, what)
        except ClientError as second:
            raise ProducerError(
                f"{what}; of {len(half)} half published exports not all can be cancelled: {second}"
            ) from error
