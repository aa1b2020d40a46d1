"""A background read outside the consumer group that restarts when it fails.

Invariant: each reason for a failure is reported once, until the read works again or fails for
another reason.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError

from clients.diagnosis import NO_CONNECTION
from consumer.errors import BacklogUnavailable

AWAY = "Kafka doesn't answer"
FORESEEN = (BacklogUnavailable, KafkaError, OSError, TimeoutError, ValueError)
"""The expected failures of such a read; anything else is a bug."""

# Between attempts: don't call an unreachable Kafka in a tight loop.
_AGAIN_SECONDS = 1.0


class BackgroundRead:
    """Runs ``read`` until it fails; then calls ``on_break``, inside the exception handler."""

    def __init__(
        self, name: str, read: Callable[[], Awaitable[None]], on_break: Callable[[Exception], None]
    ) -> None:
        self._name = name
        self._read = read
        self._on_break = on_break
        self._reason: str | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start reading in the background; returns at once, even if Kafka is unreachable."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Stop reading."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def followed(self) -> None:
        """The read has caught up and now follows new messages."""
        self._reason = None

    def new_reason(self, error: Exception) -> str | None:
        """Why the read failed; None if the reason is the one already reported."""
        before, self._reason = self._reason, in_words(error)
        return None if self._reason == before else self._reason

    async def _run(self) -> None:
        while True:
            try:
                await self._read()
            except Exception as error:  # noqa: BLE001 - any failure leads to another read
                self._on_break(error)
            await asyncio.sleep(_AGAIN_SECONDS)


def in_words(error: Exception) -> str:
    """Why such a read failed, as text for people."""
    if isinstance(error, (OSError, *NO_CONNECTION)):
        return AWAY
    return str(error) or type(error).__name__
