"""Sends recorded messages again, at their time, under new ids.

Copy n of an export goes n partitions further than the original, request and batches alike. So
exports that shared a partition still do, and copies are spread. In memory are only the messages in
the publisher's window, and the ids of partly sent exports. Invariant: no export is left half
published; if sending ends early, these are cancelled.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from clients.errors import ClientError
from clients.send_window import Delivery
from producer.errors import ProducerError
from producer.publisher import ExportPublisher
from producer.replay.merge import ReplayMessage
from producer.replay.pacing import Pace
from producer.replay.results import ReplayResults
from producer.replay.rewriting import batch_with_id, replay_id, request_with_id
from schemas.codec import decode_request
from schemas.requests import ExportRequested
from schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class Plan:
    """How to send exports that begin at ``began_ms``; ``run`` is in the id of each copy."""

    topics: Topics
    partitions: int
    pace: Pace
    copies: int
    run: str
    began_ms: int


class Sender:
    """Sends messages once, and adds their exports to the results."""

    def __init__(self, plan: Plan, publisher: ExportPublisher, results: ReplayResults) -> None:
        self.last_due_seconds = 0.0
        """When the last request sent so far was due."""
        self._plan = plan
        self._publisher = publisher
        self._results = results
        self._started_at: float | None = None  # when the first message was at hand
        self._half: dict[str, Delivery | None] = {}  # with its request, until that is acknowledged
        self._batches: deque[tuple[Delivery, str | None]] = (
            deque()
        )  # with the id of an ended export

    async def send(self, messages: AsyncIterator[ReplayMessage]) -> None:
        """Send all of them, and return when all are acknowledged.

        Raises:
            ClientError: a message can't be read or sent; half published exports are cancelled.
        """
        try:
            async for message in messages:
                await self._send(message)
                await self._process_acknowledgements(wait=False)
            await self._process_acknowledgements(wait=True)
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
            if message.is_request:
                await self._send_request(message, copy, due_at)
            else:
                await self._send_batch(message, copy)

    async def _send_request(self, message: ReplayMessage, copy: int, due_at: float) -> None:
        request = decode_request(message.value)
        if not isinstance(request, ExportRequested):
            raise TypeError(f"{message.export_id}: its request was read as another message")
        new_id = self._id_of(message, copy)
        value = request_with_id(request, new_id)
        # Before it is sent: a send that fails may have reached Kafka all the same.
        self._half[new_id] = None
        delivery = await self._forward(self._plan.topics.requests, message, copy, value)
        self._half[new_id] = delivery
        self._results.add(new_id, due_at, time.monotonic())

    async def _send_batch(self, message: ReplayMessage, copy: int) -> None:
        new_id = self._id_of(message, copy)
        # No batch may overtake its request.
        if request := self._half[new_id]:
            await request.acknowledged()
            self._half[new_id] = None
        value = batch_with_id(message.value, new_id)
        delivery = await self._forward(self._plan.topics.records, message, copy, value)
        self._batches.append((delivery, new_id if message.is_last else None))

    def _id_of(self, message: ReplayMessage, copy: int) -> str:
        return replay_id(message.export_id, self._plan.run, message.number, copy)

    async def _forward(
        self, topic: str, message: ReplayMessage, copy: int, value: bytes
    ) -> Delivery:
        partition = (message.partition + copy) % self._plan.partitions
        return await self._publisher.forward(topic, self._id_of(message, copy), value, partition)

    async def _process_acknowledgements(self, *, wait: bool) -> None:
        """Process the acknowledgements that have come, or wait for all."""
        while self._batches and (wait or self._batches[0][0].settled):
            delivery, ended_id = self._batches.popleft()
            await delivery.acknowledged()
            if ended_id:
                del self._half[ended_id]

    async def _cancel_half(self, error: BaseException) -> None:
        what = str(error) or "interrupted"
        try:
            for export_id in self._half:
                await self._publisher.cancel(export_id, what)
        except ClientError as second:
            raise ProducerError(
                f"{what}; of {len(self._half)} half published exports not all can be cancelled: "
                f"{second}"
            ) from error
