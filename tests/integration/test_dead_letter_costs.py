"""What dead letters cost the event loop: a node's heartbeats and ``/health`` share it."""

import asyncio
import gc
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import astuple
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient

from clients.bounded_fetch import held_bytes
from clients.topics import create_topics
from consumer.cluster import Cluster
from consumer.core.budget import TURN_BYTES
from consumer.core.resume import ResumePoint
from consumer.exports.messages import DeadLetter, KeptMessage, Outcome
from consumer.lanes.transactions import Destination, PartitionProducer
from schemas.limits import MOST_FORWARDED_BYTES
from schemas.topics import Topics
from schemas.vocabulary import DeadLetterReason
from tests.support.outcomes import committed, headers

pytestmark = pytest.mark.kafka

MOST_SECONDS = 0.1
"""Of the loop's own CPU time at a stretch; 250 ms are promised, of a busy machine too."""
BEAT_SECONDS = 0.001
POINT = ResumePoint(0, (), 0, 0)
RANDOM = random.Random(1)


def random_ab(size: int) -> bytes:
    """What gzip takes longest over: its matches are short and many."""
    return bytes(RANDOM.choices(b"ab", k=size))


def letters(value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> Iterator[DeadLetter]:
    """As many as an outcome has before it is committed."""
    held = 0
    while held <= TURN_BYTES:
        key = f"key-{RANDOM.randrange(1_000_000)}".encode()
        message = KeptMessage("export.records", 0, 1, 0, key, value, headers)
        yield DeadLetter(DeadLetterReason.UNREADABLE, message)
        held += held_bytes(message)


KINDS = {
    "two of nearly 2 MiB": lambda: [*letters(random_ab(MOST_FORWARDED_BYTES - 1_000))] * 2,
    "those of 100 KB": lambda: [*letters(random_ab(100_000))],
    "those of 10 KB": lambda: [*letters(random_ab(10_000))],
    "the smallest": lambda: [*letters(b"{")],
    "those of many headers": lambda: [*letters(b"{", ((("h", b""),) * 1_000))],
}


@asynccontextmanager
async def watched_loop() -> AsyncIterator[list[float]]:
    """The CPU seconds of the loop's thread between two beats, for the block."""
    stretches: list[float] = []

    async def beat() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now = time.thread_time()
            stretches.append(now - last)
            last = now

    # A test session holds millions of objects: a full collection of them is not a node's.
    gc.collect()
    gc.freeze()
    beating = asyncio.create_task(beat())
    try:
        yield stretches
    finally:
        await asyncio.sleep(2 * BEAT_SECONDS)
        beating.cancel()
        gc.unfreeze()


@pytest.fixture
async def destination(bootstrap_servers: str) -> AsyncIterator[Destination]:
    """Topics as ``sluice topics create`` makes them."""
    topics = Topics.named(f"t-{uuid.uuid4().hex[:12]}")
    options: dict[str, Any] = {"bootstrap_servers": bootstrap_servers}
    await create_topics(topics, 12, 1, **options)
    async with Cluster(topics, topics.requests, options) as cluster:
        most_bytes = await cluster.check_topics()
    yield Destination(topics, topics.requests, options, most_bytes)
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    await admin.delete_topics(list(astuple(topics)))
    await admin.close()


async def forwarded(to: Destination, sent: list[DeadLetter]) -> list[ConsumerRecord]:
    servers = to.client_options["bootstrap_servers"]
    return await committed(servers, to.topics.dead_letters, at_least=len(sent))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_transaction_full_of_them_lets_the_loop_go_on(
    kind: str, destination: Destination
) -> None:
    sent = KINDS[kind]()
    producer = PartitionProducer(3, destination)
    await producer.start()
    try:
        await producer.commit(Outcome(), POINT)
        async with watched_loop() as stretches:
            await producer.commit(Outcome(dead_letters=sent), POINT)
    finally:
        await producer.drop()
    print(f"\n{kind}: {len(sent)} letters, {max(stretches) * 1000:.0f} ms at a stretch")
    assert max(stretches) < MOST_SECONDS
    found = await forwarded(destination, sent)
    wanted = [(letter.message.key, letter.message.value) for letter in sent]
    assert sorted((it.key, it.value) for it in found) == sorted(wanted)
    assert not any("sluice_truncated" in headers(it) for it in found)
