"""The completions topic: as a node writes it, in transactions, and a service that reads it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from producer.downstream import Completions, completions
from schemas.completions import (
    ExportCancelled,
    Source,
    TerminalEvent,
    cloud_event_headers,
    encode_event,
)
from schemas.topics import Topics
from schemas.vocabulary import Format

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def ended(topics: Topics, export_id: str, offset: int = 0) -> ExportCancelled:
    """A terminal event."""
    return ExportCancelled(
        export_id=export_id,
        format=Format.CSV,
        user="alice",
        rows=1,
        requested_at=NOON,
        started_at=None,
        completed_at=NOON,
        duration_ms=1,
        message="cancelled on request",
        source=Source(topic=topics.requests, partition=0, offset=offset),
    )


class CompletionsWriter:
    """Commits terminal events in transactions, as a node does."""

    def __init__(self, servers: str, topics: Topics, name: str = "node") -> None:
        self.topic = topics.completions
        self.producer = AIOKafkaProducer(
            bootstrap_servers=servers, transactional_id=f"{name}-{topics.requests}"
        )

    async def send(self, event: TerminalEvent) -> None:
        """Within a transaction."""
        await self.producer.send_and_wait(
            self.topic,
            encode_event(event),
            key=event.export_id.encode(),
            headers=cloud_event_headers(event),
        )

    async def commit(self, *events: TerminalEvent) -> None:
        """All events in one transaction."""
        async with self.producer.transaction():
            for event in events:
                await self.send(event)


class CrashError(Exception):
    """What a body may raise."""


@asynccontextmanager
async def writing(servers: str, topics: Topics) -> AsyncIterator[CompletionsWriter]:
    writer = CompletionsWriter(servers, topics)
    await writer.producer.start()
    yield writer
    await writer.producer.stop()


class Service:
    """A downstream service, whose group is the test's own."""

    def __init__(self, servers: str, topics: Topics) -> None:
        self._servers = servers
        self.topics = topics
        self.group = f"billing-{topics.requests}"

    def joined(self, **options: Any) -> AbstractAsyncContextManager[Completions]:
        """Another member of it."""
        return completions(self.topics, self.group, bootstrap_servers=self._servers, **options)

    async def committed(self) -> dict[int, int]:
        """The group's offsets by partition."""
        async with admin_of(self._servers) as admin:
            offsets = await admin.list_consumer_group_offsets(self.group)
        return {partition.partition: place.offset for partition, place in offsets.items()}

    async def members(self) -> int:
        """How many the group has now; -1 in the middle of a rebalance."""
        async with admin_of(self._servers) as admin:
            (answer,) = await admin.describe_consumer_groups([self.group])
        ((_, _, state, _, _, members, *_),) = answer.groups
        return len(members) if state in {"Stable", "Empty"} else -1

    async def crash_on(self, export_id: str) -> list[str]:
        """A member whose body raises at an event: ids of what it was given."""
        given = []
        with suppress(CrashError):
            async with self.joined() as events:
                async for event in events:
                    given.append(event.export_id)
                    if event.export_id == export_id:
                        raise CrashError
        return given


@asynccontextmanager
async def admin_of(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
