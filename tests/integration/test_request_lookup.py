"""Single requests by their place on a real Kafka, whatever record batch they came in."""

import json
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from consumer.backlog.request_lookup import RequestLookup
from schemas.completions import Source
from schemas.topics import Topics
from schemas.unread_value import UnreadValue
from tests.support.batches import CODECS, packed, record, send_batch

pytestmark = pytest.mark.kafka

PARTITION = 3
REQUESTS = 30
MIB = 1024 * 1024


def value_of(number: int) -> bytes:
    """100 KB, so that thirty are no light batch."""
    title = f"{number:06}" * 16_000
    return json.dumps({"type": "export.requested", "export_id": f"e-{number}", "t": title}).encode()


@pytest.fixture
async def producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        yield producer


@pytest.mark.parametrize("kind", ["gzip", "snappy", "lz4", "zstd"])
async def test_each_of_a_large_compressed_batch_is_found(
    kind: str, bootstrap_servers: str, topics: Topics, producer: AIOKafkaProducer
) -> None:
    def source(offset: int) -> Source:
        return Source(topic=topics.requests, partition=PARTITION, offset=offset)

    await producer.send_and_wait(topics.requests, b"before", partition=PARTITION)
    batch = [
        *(record(n, b"%d" % n, value_of(n), headers=[(b"h", b"x")]) for n in range(REQUESTS)),
        record(REQUESTS, b"large", b"[" * 2 * MIB),
    ]
    first = await send_batch(producer, topics.requests, PARTITION, packed(CODECS[kind], batch))
    after = await producer.send_and_wait(topics.requests, b"after", partition=PARTITION)
    async with RequestLookup({"bootstrap_servers": bootstrap_servers}) as lookup:
        for number in (0, 17, REQUESTS - 1, 3):
            found = await lookup.at(source(first + number))
            assert found is not None
            assert (found.offset, found.value) == (first + number, value_of(number))
            assert list(found.headers) == [("h", b"x")]
        large = await lookup.at(source(first + REQUESTS))
        assert large is not None
        assert isinstance(large.value, UnreadValue)
        for offset, value in ((first - 1, b"before"), (after.offset, b"after")):
            found = await lookup.at(source(offset))
            assert found is not None
            assert found.value == value
        assert await lookup.at(source(after.offset + 1)) is None


async def test_a_batch_is_found_that_a_transaction_before_it_holds_back(
    bootstrap_servers: str, topics: Topics, producer: AIOKafkaProducer
) -> None:
    sent = await producer.send_and_wait(topics.requests, b"r", key=b"e-1", partition=PARTITION)
    source = Source(topic=topics.requests, partition=PARTITION, offset=sent.offset)
    other = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, transactional_id=topics.records)
    async with (
        other,
        other.transaction(),
        RequestLookup({"bootstrap_servers": bootstrap_servers}) as lookup,
    ):
        await other.send_and_wait(topics.records, b"x", key=b"e-2", partition=PARTITION)
        assert not await lookup.has_batch(topics.records, source, "e-1")
        await producer.send_and_wait(topics.records, b"x", key=b"e-1", partition=PARTITION)
        assert await lookup.has_batch(topics.records, source, "e-1")
        assert not await lookup.has_batch(topics.records, source, "e-3")
