"""Topics of their own for each test."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from clients.topics import require_topics
from schemas.topics import Topics


@asynccontextmanager
async def created_topics(bootstrap_servers: str, partitions: int) -> AsyncIterator[Topics]:
    """The four topics with a fresh prefix; deleted afterwards."""
    topics = Topics.named(f"t-{uuid.uuid4().hex[:12]}")
    names = list(astuple(topics))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
        assert all(error[1] == 0 for error in answer.topic_errors), answer
        # A node that starts at once would find that they are missing: a broker learns of them late.
        await require_topics(names, bootstrap_servers=bootstrap_servers)
        yield topics
        await admin.delete_topics(names)
    finally:
        await admin.close()
