"""Sends recorded messages to Kafka under new ids.

An export's batches wait for the acknowledgement of its request, and are sent in order. Invariant:
at most ``_MOST_BYTES`` of batches and one more wait for their acknowledgement.
"""

from collections import deque
from typing import NamedTuple

from clients.send_window import Delivery
from producer.publisher import ExportPublisher
from producer.replay.rewriting import batch_with_id
from schemas.topics import Topics

_MOST_BYTES = 8 * 1024 * 1024


class _Batch(NamedTuple):
    """A batch that was sent; ``ended_id`` is its export's, if it is the last."""

    delivery: Delivery
    size_bytes: int
    ended_id: str | None


class Forwarding:
    """For one task."""

    def __init__(self, topics: Topics, publisher: ExportPublisher) -> None:
        self.half: dict[str, Delivery | None] = {}
        """Exports that are sent in part: each with its request, until that is acknowledged."""
        self._topics = topics
        self._publisher = publisher
        self._batches: deque[_Batch] = deque()
        self._waiting_bytes = 0

    async def request(self, export_id: str, partition: int, value: bytes) -> None:
        """Send a request that already has its new id. Raises as ``ExportPublisher.forward``."""
        # Before it is sent: a send that fails may have reached Kafka all the same.
        self.begin(export_id)
        self.half[export_id] = await self._publisher.forward(
            self._topics.requests, export_id, value, partition
        )

    def begin(self, export_id: str) -> None:
        """Note that the export's request is in Kafka, or about to be."""
        self.half[export_id] = None

    async def batch(self, export_id: str, partition: int, recorded: bytes, *, last: bool) -> None:
        """Send a recorded batch under the id of a new export.

        Raises:
            ClientError: this message or an earlier one was refused.
        """
        # No batch may overtake its request.
        if request := self.half[export_id]:
            await request.acknowledged()
            self.half[export_id] = None
        value = batch_with_id(recorded, export_id)
        delivery = await self._publisher.forward(self._topics.records, export_id, value, partition)
        self._batches.append(_Batch(delivery, len(value), export_id if last else None))
        self._waiting_bytes += len(value)
        await self._acknowledged(wait=False)

    async def finish(self) -> None:
        """Wait until all batches are acknowledged. Raises as ``batch``."""
        await self._acknowledged(wait=True)

    async def _acknowledged(self, *, wait: bool) -> None:
        """Process acknowledgements that have arrived; or wait for all, or until there is room."""
        while self._batches and (
            wait or self._batches[0].delivery.settled or self._waiting_bytes > _MOST_BYTES
        ):
            batch = self._batches.popleft()
            await batch.delivery.acknowledged()
            self._waiting_bytes -= batch.size_bytes
            if batch.ended_id:
                del self.half[batch.ended_id]
