"""What downstream sees: committed events and dead letters."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from schemas.codec import decode_request
from schemas.completions import TerminalEvent, decode_event
from schemas.records import decode_batch
from schemas.topics import Topics


async def committed(
    bootstrap_servers: str, topic: str, *, at_least: int = 0, seconds: float = 30.0
) -> list[ConsumerRecord]:
    """All committed messages of a topic, once there are ``at_least`` so many."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    found: list[ConsumerRecord] = []
    try:
        partitions = consumer.assignment()
        assert partitions, f"{topic} has no partitions"
        async with asyncio.timeout(seconds):
            while True:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
                ends = await consumer.end_offsets(partitions)
                at_end = [await consumer.position(p) >= ends[p] for p in partitions]
                if len(found) >= at_least and all(at_end):
                    return found
    except TimeoutError:
        values = [record.value for record in found]
        raise AssertionError(f"{len(found)} of {at_least} messages came: {values}") from None
    finally:
        await consumer.stop()


async def events(
    bootstrap_servers: str, topic: str, *, at_least: int = 0, seconds: float = 30.0
) -> list[TerminalEvent]:
    """All committed terminal events, once there are ``at_least`` so many."""
    found = await committed(bootstrap_servers, topic, at_least=at_least, seconds=seconds)
    return [decode_event(record.value) for record in found]


async def requests_of(bootstrap_servers: str, topics: Topics) -> list[Any]:
    """What was published to the topic of requests."""
    records = await committed(bootstrap_servers, topics.requests)
    return [decode_request(record.value) for record in records]


async def rows_of(bootstrap_servers: str, topics: Topics, export_id: str) -> list[Any]:
    """The rows that were published for one export."""
    records = await committed(bootstrap_servers, topics.records, at_least=1)
    batches = [decode_batch(r.value) for r in records if r.key == export_id.encode()]
    return [row for batch in batches for row in batch.rows]


def headers(record: ConsumerRecord) -> dict[str, str]:
    """A record's headers as text."""
    return {name: value.decode() for name, value in record.headers}


def by_id(found: list[TerminalEvent]) -> dict[str, Any]:
    """Events by export id; each has one."""
    events_by_id = {event.export_id: event for event in found}
    assert len(events_by_id) == len(found), "an export has more than one event"
    return events_by_id
