"""A read beside the group that goes on in the back, and begins again when it breaks off.

Invariant: a reason why it broke off is given once, until it is followed again or there is another.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError

from clients.diagnosis import NO_CONNECTION
from consumer.errors import BacklogUnavailable

AWAY = "Kafka doesn't answer"
FORESEEN = (BacklogUnavailable, KafkaError, OSError, TimeoutError, ValueError)
"""What such a read breaks off with; anything else is a fault of our own."""

# Between two tries, so that a Kafka that is away isn't called in a tight loop.
_AGAIN_SECONDS = 1.0


class BackgroundRead:
    """``read`` goes on until it breaks off; then ``on_break`` is called, in the handler."""

    def __init__(
        self, name: str, read: Callable[[], Awaitable[None]], on_break: Callable[[Exception], None]
    ) -> None:
        self._name = name
        self._read = read
        self._on_break = on_break
        self._reason: str | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read; returns at once, whether Kafka answers or not."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Stop reading."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def followed(self) -> None:
        """It reads what is new by now."""
        self._reason = None

    def new_reason(self, error: Exception) -> str | None:
        """Why it broke off; None: for the same reason as before."""
        before, self._reason = self._reason, in_words(error)
        return None if self._reason == before else self._reason

    async def _run(self) -> None:
        while True:
            try:
                await self._read()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is read again
                self._on_break(error)
            await asyncio.sleep(_AGAIN_SECONDS)


def in_words(error: Exception) -> str:
    """For people: why such a read broke off."""
    if isinstance(error, (OSError, *NO_CONNECTION)):
        return AWAY
    return str(error) or type(error).__name__
