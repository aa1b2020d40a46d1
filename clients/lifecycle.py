"""Starts and stops aiokafka's clients within time limits; errors name the cause in one line.

Nothing of exports lives here. Invariant: a client that failed to start is closed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, for_code

from clients.aiokafka_private import drop_fetched
from clients.diagnosis import NO_CONNECTION, why_unreachable
from clients.errors import ClientError, KafkaUnreachable

# With the two seconds of a diagnosis these are the ten that docstrings promise.
CONNECT_TIMEOUT_SECONDS = 8.0
_STOP_TIMEOUT_SECONDS = 4.0


class Client(Protocol):
    """What aiokafka's producer and consumer have in common."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Flush and disconnect."""


AnyClient = TypeVar("AnyClient", bound=Client)


@asynccontextmanager
async def started(client: AnyClient, options: dict[str, Any]) -> AsyncIterator[AnyClient]:
    """Run a client for the block; ``options`` are its connection options.

    Raises:
        ClientError: Kafka can't be reached, or refuses us; within ten seconds.
    """
    try:
        # Inside the ``try``: a client that failed to start may have connections and tasks that only
        # a stop ends.
        await _start(client, options)
        yield client
    finally:
        await _stop(client)


class RunsClients:
    """Base class for owners of clients: ``__aenter__`` starts them, the block's end stops them."""

    def __init__(self) -> None:
        self._running = AsyncExitStack()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self._running.aclose()


async def _start(client: Client, options: dict[str, Any]) -> None:
    servers = options.get("bootstrap_servers", "localhost:9092")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            await client.start()
    except TimeoutError:
        raise ClientError(
            f"Kafka at {servers} doesn't answer within {CONNECT_TIMEOUT_SECONDS:g} s"
        ) from None
    except ValueError as error:
        raise ClientError(f"{servers!r} is no list of host:port: {error}") from None
    except KafkaError as error:
        # aiokafka raises only that it can't connect, and logs why.
        raise await unusable(options, error) from None


async def _stop(client: Client) -> None:
    """Stop a client; give up after a timeout, as when its broker is unreachable."""
    with suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(_STOP_TIMEOUT_SECONDS):
            await client.stop()
    if isinstance(client, AIOKafkaConsumer):
        drop_fetched(client)


async def unusable(options: dict[str, Any], error: KafkaError) -> ClientError:
    """The error to raise, with the reason that aiokafka only logs."""
    reason = await why_unreachable(options)
    kind = ClientError
    if isinstance(error, NO_CONNECTION):
        kind, reason = KafkaUnreachable, reason or "it doesn't answer"
    return kind(f"Kafka at {options['bootstrap_servers']} can't be used: {reason or error}")


def response_error(code: int, message: str | None) -> str | None:
    """The text of a broker's error code; None for success."""
    # The message is optional in Kafka's protocol.
    kind = for_code(code)
    return None if code == 0 else message or kind.description or kind.__name__
