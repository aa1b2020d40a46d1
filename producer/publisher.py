"""The client of an upstream service: a request, then its batches in order.

Reads only topic metadata from Kafka. Invariant: when ``finish`` returns, all of the export is
acknowledged; when an error leaves the block of ``export``, the export is cancelled.

    async with ExportPublisher(topics, bootstrap_servers="kafka:9092") as publisher:
        async with publisher.export(request) as export:
            await export.send(rows)
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from clients.errors import ClientError
from clients.lifecycle import RunsClients, started
from clients.send_window import Delivery, Producer, Window
from clients.topics import check_pair, require_topics
from producer.batching import BATCH_BYTES, Batcher, most_rows
from producer.errors import ProducerError
from schemas.codec import encode_request
from schemas.completions import Source
from schemas.records import Row
from schemas.requests import MOST_CANCEL_CHARACTERS, CancelRequested, ExportRequested
from schemas.topics import Topics

# As long as Kafka's own clients try by default (delivery.timeout.ms).
DELIVERY_TIMEOUT_SECONDS = 120.0
# Kafka's own clients refuse more by default (max.request.size), before they compress.
MAX_MESSAGE_BYTES = 1024 * 1024
_CANCEL_TIMEOUT_SECONDS = 5.0


class ExportPublisher(RunsClients):
    """Publishes any number of exports at once. After a Kafka error, create a new one.

    Idempotent and compressed; an export's request and batches share a partition number, by
    Kafka's default partitioner on its id. ``client_options`` are aiokafka's: bootstrap servers
    and security. Leaving the block flushes for two seconds at most.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        delivery_timeout_seconds: float = DELIVERY_TIMEOUT_SECONDS,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        **client_options: Any,  # noqa: ANN401 - aiokafka's own
    ) -> None:
        super().__init__()
        self._topics = topics
        self._timeout_seconds = delivery_timeout_seconds
        self._max_message_bytes = max_message_bytes
        self._options = client_options
        self._request_partitions = 0
        self._window: Window

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ClientError: Kafka can't be reached, a topic is missing, or the two have unequal
                partition counts; within ten seconds.
        """
        names = [self._topics.requests, self._topics.records]
        counts = await require_topics(names, **self._options)
        check_pair(self._topics, counts)
        self._request_partitions = counts[self._topics.requests]
        producer = Producer(
            enable_idempotence=True,
            # aiokafka's lz4 is its level 9: a sixth of zstd's speed, and larger.
            compression_type="zstd",
            max_batch_size=BATCH_BYTES,
            max_request_size=self._max_message_bytes,
            **self._options,
        )
        await self._running.enter_async_context(started(producer, self._options))
        self._window = Window(producer, self._timeout_seconds)
        return self

    @asynccontextmanager
    async def export(self, request: ExportRequested) -> AsyncIterator["Export"]:
        """Request an export, finish it at the end of the block, cancel it if the block raises.

        Raises:
            ClientError: as ``request`` and ``Export.finish``; the message adds it if the export
                can't be cancelled either.
        """
        try:
            export = await self.request(request)
            yield export
            if not export.ended:
                await export.finish()
        except BaseException as error:
            # On interruption too: a half-published export would stay open until it times out.
            await self._abandon(request.export_id, error)
            raise

    async def request(
        self, request: ExportRequested, headers: Sequence[tuple[str, bytes]] = ()
    ) -> "Export":
        """Send the request and wait for its acknowledgement, so that batches come after it.

        Raises:
            ClientError: it can't be sent.
        """
        topic, value = self._topics.requests, encode_request(request)
        delivery = await self._window.send(topic, request.export_id, value, headers=headers)
        partition, offset = await delivery.acknowledged()
        source = Source(topic=topic, partition=partition, offset=offset)
        batcher = Batcher(request.export_id, most_rows(request))
        return Export(request.export_id, source, self._window, self._topics.records, batcher)

    async def forward(self, topic: str, export_id: str, value: bytes, partition: int) -> Delivery:
        """Send a message unchanged to a partition; the caller is responsible for the order.

        Raises:
            ClientError: it is too large, or Kafka doesn't take it in time.
        """
        return await self._window.send(topic, export_id, value, partition)

    async def cancel(self, export_id: str, message: str | None = None) -> None:
        """Request an export's cancellation, for any publisher's export; ``message`` is why.

        The cancellation goes to every partition, as another upstream may use another partitioner.
        A long message is cut.

        Raises:
            ClientError: it can't be sent within five seconds.
        """
        wanted = CancelRequested(export_id=export_id, message=_bounded(message))
        topic, value = self._topics.requests, encode_request(wanted)
        try:
            async with asyncio.timeout(_CANCEL_TIMEOUT_SECONDS):
                # Send all before waiting for any: each acknowledgement is a round trip.
                deliveries = [
                    await self._window.send(topic, export_id, value, partition)
                    for partition in range(self._request_partitions)
                ]
                for delivery in deliveries:
                    await delivery.acknowledged()
        except TimeoutError:
            raise ClientError(
                f"{topic}: Kafka acknowledges nothing within {_CANCEL_TIMEOUT_SECONDS:g} s"
            ) from None

    async def _abandon(self, export_id: str, error: BaseException) -> None:
        what = str(error) or "interrupted"
        try:
            await self.cancel(export_id, what)
        except ClientError as second:
            raise ClientError(f"{what}; {export_id} can't be cancelled: {second}") from error


def _bounded(message: str | None) -> str | None:
    """A text that the topic accepts; file names may hold bytes that are not UTF-8."""
    text = (message or "").encode(errors="replace").decode()
    return text[:MOST_CANCEL_CHARACTERS] or None


class Export:
    """One requested export, for one task at a time."""

    def __init__(
        self, export_id: str, source: Source, window: Window, records: str, batcher: Batcher
    ) -> None:
        self.export_id = export_id
        self.source = source
        """The request's place in Kafka, which its terminal event names."""
        self.ended = False
        """Whether all of it was sent and acknowledged."""
        self._window = window
        self._topic = records
        self._batcher = batcher
        self._deliveries: deque[Delivery] = deque()

    @property
    def rows(self) -> int:
        """Rows sent so far."""
        return self._batcher.rows

    async def send(self, rows: Iterable[Row | bytes]) -> None:
        """Send rows, in as many messages as they need; ``seq`` counts on.

        Returns when Kafka's client has queued them; ``finish`` waits for their acknowledgement.
        Cancelled, some of the rows may have been sent: the export can then only be cancelled.

        Raises:
            ClientError: a row can't be sent (see ``Batcher.batches``), or this message or an
                earlier one was refused.
        """
        for message in self._batcher.batches(rows):
            await self._send(message)

    async def finish(self) -> None:
        """End the export, and wait until all of it is acknowledged.

        Raises:
            ClientError: a message was refused.
        """
        await self._send(self._batcher.last())
        while self._deliveries:
            await self._deliveries.popleft().acknowledged()
        self.ended = True

    async def _send(self, message: bytes) -> None:
        if self.ended:
            raise ProducerError(f"{self.export_id} has ended: nothing can be added")
        # Notice a refusal with the next message, not only at the export's end.
        while self._deliveries and self._deliveries[0].settled:
            await self._deliveries.popleft().acknowledged()
        self._deliveries.append(await self._window.send(self._topic, self.export_id, message))
