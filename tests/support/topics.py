"""Topics of their own for each test."""

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import astuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from clients.topics import create_topics
from schemas.topics import Topics

PARTITIONS = 4
"""Of the topics that a test gets which asks for no number. Each costs a node a producer, which
begins with a transaction: with 12 of them brokers and nodes did little else."""


@asynccontextmanager
async def created_topics(bootstrap_servers: str, partitions: int) -> AsyncIterator[Topics]:
    """The four topics with a fresh prefix, as `sluice topics create` makes them.

    They can be used at once, and are deleted at the end.
    """
    topics = Topics.named(f"t-{uuid.uuid4().hex[:12]}")
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await create_topics(topics, partitions, 1, bootstrap_servers=bootstrap_servers)
        yield topics
        await admin.delete_topics(list(astuple(topics)))
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
