"""What is fetched of a full feed's partition waits at the consumer, on a real Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from clients.aiokafka_private import look_again
from clients.bounded_fetch import bounded_getmany
from clients.lenient_records import read_leniently
from schemas.topics import Topics

pytestmark = [pytest.mark.kafka, pytest.mark.parametrize("topics", [2], indirect=True)]

LONG_MS = 10_000


@pytest.fixture
async def producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        yield producer


@pytest.fixture
async def consumer(bootstrap_servers: str, topics: Topics) -> AsyncIterator[AIOKafkaConsumer]:
    read_leniently()
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap_servers) as consumer:
        consumer.assign([TopicPartition(topics.records, number) for number in range(2)])
        await consumer.seek_to_beginning()
        yield consumer


async def test_others_are_read_meanwhile_and_it_is_read_on_at_once(
    topics: Topics, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer
) -> None:
    full, other = (TopicPartition(topics.records, number) for number in range(2))
    unread = {full}
    await producer.send_and_wait(topics.records, b"held", partition=0)
    assert await bounded_getmany(consumer, 500, 100, unread) == {}
    sent = time.monotonic()
    await producer.send_and_wait(topics.records, b"quick", partition=1)
    found = await bounded_getmany(consumer, LONG_MS, 100, unread)
    assert {place: [it.value for it in some] for place, some in found.items()} == {
        other: [b"quick"]
    }
    assert time.monotonic() - sent < 5
    reading = asyncio.create_task(bounded_getmany(consumer, LONG_MS, 100, unread))
    await asyncio.sleep(0.1)
    unread.clear()
    begun = time.monotonic()
    look_again(consumer)
    found = await reading
    assert {place: [it.value for it in some] for place, some in found.items()} == {full: [b"held"]}
    assert time.monotonic() - begun < 5
    assert await consumer.position(full) == 1
