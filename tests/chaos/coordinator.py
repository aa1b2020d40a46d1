"""What a coordinator says of the lanes' commits, from the moment on at which it listens.

Invariant: an answer is of all lanes, or there is none.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.topics import Topics
from tests.chaos.ledger import Answer

LANES = 12
GROUP = "hunted"
TOPICS = Topics.named("hunt")
_ANSWER_SECONDS = 60.0


@contextlib.asynccontextmanager
async def client_of(servers: str) -> AsyncIterator[Callable[[], Awaitable[Answer]]]:
    """What asks it. TimeoutError: there was no answer in a minute."""
    pairs = {
        lane: (TopicPartition(TOPICS.requests, lane), TopicPartition(TOPICS.records, lane))
        for lane in range(LANES)
    }
    both = [one for pair in pairs.values() for one in pair]
    async with asyncio.timeout(_ANSWER_SECONDS):
        admin = await _admin(servers)

    async def ask() -> Answer:
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                found: dict[TopicPartition, Any] = {}
                with contextlib.suppress(KafkaError):  # it starts, or loads
                    found = await admin.list_consumer_group_offsets(GROUP, partitions=both)
                if found.keys() >= {*both}:
                    break
                await asyncio.sleep(0.01)
        offsets = {one: max(0, found[one].offset) for one in both}
        return {lane: (offsets[one], offsets[other]) for lane, (one, other) in pairs.items()}

    try:
        yield ask
    finally:
        await admin.close()


async def _admin(servers: str) -> AIOKafkaAdminClient:
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=5000)
        try:
            await admin.start()
        except KafkaError:
            await admin.close()
            await asyncio.sleep(0.03)
        else:
            return admin
