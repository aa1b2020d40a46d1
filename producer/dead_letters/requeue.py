"""Publishes dead letters again where they came from.

Invariant: a letter is reported as requeued only after Kafka has acknowledged it; one that can't be
published unchanged is refused with the reason.
"""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Self

from clients.errors import ClientError
from clients.lifecycle import RunsClients, started
from clients.send_window import WINDOW_MESSAGES, Delivery, Producer, Window
from clients.topics import require_topics
from producer.dead_letters.records import DeadLetterRecord
from producer.publisher import DELIVERY_TIMEOUT_SECONDS
from schemas.topics import Topics

_MOST_MESSAGE_BYTES = 64 * 1024 * 1024  # before compression; the topic has its own limit


class Requeue(RunsClients):
    """Publishes letters to the two input topics, idempotently. An async context manager."""

    def __init__(
        self,
        topics: Topics,
        **client_options: Any,  # noqa: ANN401 - aiokafka's own
    ) -> None:
        super().__init__()
        self._names = (topics.requests, topics.records)
        self._options = client_options
        self._partitions: dict[str, int] = {}
        self._window: Window

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ClientError: Kafka can't be reached, or a topic is missing.
        """
        self._partitions = await require_topics(self._names, **self._options)
        producer = Producer(
            enable_idempotence=True,
            compression_type="zstd",
            max_request_size=_MOST_MESSAGE_BYTES,
            **self._options,
        )
        await self._running.enter_async_context(started(producer, self._options))
        self._window = Window(producer, DELIVERY_TIMEOUT_SECONDS)
        return self

    def why_refused(self, letter: DeadLetterRecord) -> str | None:
        """Why a letter can't be requeued; None if it can."""
        source = letter.source
        if source is None:
            return "its headers don't say where it came from"
        if source.topic not in self._names:
            return f"it came from {source.topic!r}, which is no input topic of these settings"
        if source.partition >= self._partitions[source.topic]:
            return f"{source.topic} has no partition {source.partition}"
        if letter.truncated:
            return "it was too large for the dead-letters topic: its value is not there"
        if letter.key is None and letter.value is None:
            return "it has neither key nor value: there is nothing to put back"
        return None

    async def republish(
        self, chosen: AsyncIterator[DeadLetterRecord]
    ) -> AsyncIterator[tuple[DeadLetterRecord, str | None]]:
        """Publish each letter; yield it with None once acknowledged, or with why it was refused.

        Raises:
            ClientError: no further letter can be read; those before were requeued and yielded.
        """
        waiting: deque[tuple[DeadLetterRecord, Delivery | str]] = deque()
        broken: ClientError | None = None
        try:
            async for letter in chosen:
                waiting.append((letter, self.why_refused(letter) or await self._send(letter)))
                while waiting and (len(waiting) > WINDOW_MESSAGES or _settled(waiting[0][1])):
                    yield await _outcome(*waiting.popleft())
        except ClientError as error:
            # Don't raise yet: letters already sent still have an outcome.
            broken = error
        while waiting:
            yield await _outcome(*waiting.popleft())
        if broken:
            raise broken

    async def _send(self, letter: DeadLetterRecord) -> Delivery | str:
        source = letter.source
        if source is None:
            raise ValueError(f"the source of {letter.place} is not known")
        try:
            return await self._window.send(
                source.topic, letter.key, letter.value, source.partition, letter.headers
            )
        except ClientError as error:
            # This letter only: the next one may be accepted.
            return str(error)


def _settled(what: Delivery | str) -> bool:
    return isinstance(what, str) or what.settled


async def _outcome(
    letter: DeadLetterRecord, what: Delivery | str
) -> tuple[DeadLetterRecord, str | None]:
    if isinstance(what, str):
        return letter, what
    try:
        await what.acknowledged()
    except ClientError as error:
        return letter, str(error)
    return letter, None
