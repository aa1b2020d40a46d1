"""A consumer without a group, for reads outside the consumer group. It commits nothing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer

from clients.aiokafka_private import close_connections, drop_fetched
from clients.lenient_records import batches_handed_on, read_leniently

_START_SECONDS = 10.0
_STOP_SECONDS = 2.0
_OPTIONS = {
    "group_id": None,
    "enable_auto_commit": False,
    "isolation_level": "read_committed",
    # Skip records that retention has removed.
    "auto_offset_reset": "earliest",
    # Small fetches: it shares the memory of a node's lanes.
    "fetch_max_bytes": 1024 * 1024,
    "max_partition_fetch_bytes": 256 * 1024,
}


@asynccontextmanager
async def groupless_consumer(
    client_options: Mapping[str, Any], **more: object
) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of committed messages, for the block; ``more`` are aiokafka's options.

    Batches that aren't light come unparsed: pass its messages through ``unpacked``.

    Raises:
        KafkaError, TimeoutError, OSError: Kafka doesn't answer.
    """
    # The caller's connection options come last: nothing here may override them.
    consumer = AIOKafkaConsumer(**{**_OPTIONS, **more, **client_options})
    read_leniently()
    try:
        async with asyncio.timeout(_START_SECONDS):
            with batches_handed_on():
                await consumer.start()
        yield consumer
    finally:
        await _stop(consumer)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Stop the consumer in any state; never raises.

    While the broker is down, aiokafka's ``stop`` may be cancelled through a fetch that it cancels
    itself between two attempts; its connections then stay open.
    """
    # In a task of its own, so that a cancellation from inside aiokafka ends only that task.
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([stopping], timeout=_STOP_SECONDS)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await asyncio.gather(close_connections(consumer), return_exceptions=True)
    drop_fetched(consumer)
