"""The completions topic as a node writes it: events in transactions, committed or aborted."""

from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer

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
