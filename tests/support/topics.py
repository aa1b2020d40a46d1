"""Topics of their own for each test."""

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import astuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from clients.topics import require_topics
from schemas.topics import Topics

PARTITIONS = 4
"""Of the topics that a test gets which asks for no number. Each costs a node a producer, which
begins with a transaction: with 12 of them brokers and nodes did little else."""


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


async def configure(
    bootstrap_servers: str, names: Iterable[str], configs: Mapping[str, str]
) -> None:
    """Set the configuration of topics; what is not named goes back to its default."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, configs=configs) for name in names]
        )
    finally:
        await admin.close()
