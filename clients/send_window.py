"""Sends with a bound on unacknowledged messages, over an aiokafka producer that can be closed.

Nothing of exports lives here. Invariant: at most ``WINDOW_MESSAGES`` messages wait for their
acknowledgement, and none for longer than the delivery timeout without an error.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from clients.aiokafka_private import cut_off_producer
from clients.diagnosis import NO_CONNECTION
from clients.errors import ClientError, KafkaUnreachable

# With the bound of a message this bounds a publisher's memory.
WINDOW_MESSAGES = 16
_FLUSH_TIMEOUT_SECONDS = 2.0
# Sending has had its two seconds; this is for closing only.
_SENDER_TIMEOUT_SECONDS = 0.1


class Producer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka ships no types
    """aiokafka's producer, whose ``stop`` returns even while the broker is down."""

    async def stop(self) -> None:
        """Flush and disconnect; messages not flushed within two seconds are dropped."""
        try:
            async with asyncio.timeout(_FLUSH_TIMEOUT_SECONDS):
                await super().stop()
        except TimeoutError:
            await cut_off_producer(self, _SENDER_TIMEOUT_SECONDS)


class Window:
    """Shared by all exports of one publisher, so that memory doesn't grow with their number."""

    def __init__(self, producer: Producer, delivery_timeout_seconds: float) -> None:
        self._producer = producer
        self._timeout_seconds = delivery_timeout_seconds
        self._slots = asyncio.Semaphore(WINDOW_MESSAGES)

    async def send(
        self,
        topic: str,
        key: str | bytes | None,
        value: bytes | None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> "Delivery":
        """Hand over one message; waits while the window is full.

        Raises:
            ClientError: it is too large, or the window stays full.
        """
        try:
            # One deadline for both the window and aiokafka's own buffer.
            async with asyncio.timeout(self._timeout_seconds):
                await self._slots.acquire()
                try:
                    future = await self._producer.send(
                        topic,
                        value,
                        key=key.encode() if isinstance(key, str) else key,
                        partition=partition,
                        headers=list(headers),
                    )
                except BaseException:
                    self._slots.release()
                    raise
        except TimeoutError:
            raise ClientError(_late(topic, self._timeout_seconds)) from None
        except KafkaError as error:
            raise _refused(topic, error) from None
        future.add_done_callback(self._free)
        return Delivery(topic, future, self._timeout_seconds)

    def _free(self, future: asyncio.Future[Any]) -> None:
        self._slots.release()
        if not future.cancelled():
            # Retrieve the error, so that asyncio doesn't log it for an abandoned send.
            future.exception()


class Delivery:
    """A message that was sent and may not be acknowledged yet."""

    def __init__(self, topic: str, future: asyncio.Future[Any], timeout_seconds: float) -> None:
        self._topic = topic
        self._future = future
        self._timeout_seconds = timeout_seconds

    @property
    def settled(self) -> bool:
        """Whether ``acknowledged`` returns, or raises, at once."""
        return self._future.done()

    async def acknowledged(self) -> tuple[int, int]:
        """Wait until all in-sync replicas have the message; return its partition and offset.

        Cancelled, it may be called again: the message stays sent.

        Raises:
            ClientError: Kafka refused it, or doesn't answer.
        """
        # ``wait`` doesn't cancel the future when the caller is cancelled or the time is over.
        done, _ = await asyncio.wait([self._future], timeout=self._timeout_seconds)
        if not done:
            raise ClientError(_late(self._topic, self._timeout_seconds))
        try:
            metadata = self._future.result()
        except KafkaError as error:
            raise _refused(self._topic, error) from None
        return metadata.partition, metadata.offset


def _refused(topic: str, error: KafkaError) -> ClientError:
    if isinstance(error, NO_CONNECTION):
        return KafkaUnreachable(f"{topic}: Kafka doesn't answer")
    return ClientError(f"{topic}: {error}")


def _late(topic: str, timeout_seconds: float) -> str:
    return f"{topic}: Kafka acknowledges nothing within {timeout_seconds:g} s"
