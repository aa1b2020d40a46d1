"""Generated exports that are in Kafka before a group can read them, and the size of their topics.

They are in one open transaction: its commit makes all of them visible to a group at one moment.
Invariant: they are spread evenly over the partitions, always in the same order.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer

from producer.seed.scenarios import Scenario
from schemas.codec import encode_request
from schemas.records import Batch, Row, encode_batch
from schemas.topics import Topics

_BATCH_ROWS = 1_000
_MOST_SECONDS = 300


@asynccontextmanager
async def staged_exports(
    servers: str, topics: Topics, scenario: Scenario, *, exports: int, partitions: int
) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that has sent all of them; its ``commit_transaction`` releases them."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers,
        transactional_id=topics.requests,
        transaction_timeout_ms=_MOST_SECONDS * 1000,
        linger_ms=5,
        max_batch_size=256 * 1024,
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        rows, sent = list(scenario.rows()), []
        for number in range(exports):
            for topic, key, value in _messages(topics, scenario, rows):
                sent.append(await producer.send(topic, value, key, number % partitions))
        for acknowledged in sent:
            await acknowledged
        yield producer
    finally:
        await producer.stop()


def _messages(
    topics: Topics, scenario: Scenario, rows: list[Row]
) -> Iterator[tuple[str, bytes, bytes]]:
    """Topic, key and value of each message of one export, its request first."""
    request = scenario.request()
    key = request.export_id.encode()
    yield topics.requests, key, encode_request(request)
    for seq, start in enumerate(range(0, len(rows), _BATCH_ROWS)):
        some = rows[start : start + _BATCH_ROWS]
        last = start + _BATCH_ROWS >= len(rows)
        batch = Batch(request.export_id, seq, some, last=last)
        yield topics.records, key, encode_batch(batch)


def stored_bytes(kafka: Path, topics: Topics) -> int:
    """Bytes of the segments of requests, records and completions in a broker's data directory."""
    names = (topics.requests, topics.records, topics.completions)
    return sum(path.stat().st_size for name in names for path in kafka.rglob(f"{name}-*/*.log"))
