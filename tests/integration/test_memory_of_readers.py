"""What readers and writers held is freed when they have ended, not when Python looks for cycles."""

import gc
import json
import time
from collections.abc import Callable, Iterator

import pytest
from aiokafka import AIOKafkaProducer

from clients.topic_reader import TopicReader
from producer.retry.retrying import Retry, run_again
from schemas.completions import Source
from schemas.retries import RetryAttempt
from schemas.topics import Topics
from tests.support import batches
from tests.support.batches import CODECS, packed, record, send_batch
from tests.support.upstream import Upstream

pytestmark = pytest.mark.kafka

LARGE_BYTES = 2_000_000


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry looks for batches from a minute before its request on."""
    monkeypatch.setattr(batches, "TIME_MS", int(time.time() * 1000))


def large_texts() -> dict[int, str]:
    """What holds large texts that are reachable, or in cycles."""
    found: dict[int, str] = {}
    for one in gc.get_objects():
        for other in gc.get_referents(one):
            if isinstance(other, bytes | bytearray | str) and len(other) >= LARGE_BYTES:
                found[id(other)] = f"{type(other).__name__} in {type(one).__name__}"
    return found


@pytest.fixture
def held() -> Iterator[Callable[[], list[str]]]:
    """What holds large texts, but for those of other tests. No cycle is freed meanwhile."""
    gc.collect()
    gc.disable()
    before = large_texts()
    yield lambda: [holder for text, holder in large_texts().items() if text not in before]
    gc.enable()


async def send_large(bootstrap_servers: str, topics: Topics, export_ids: list[str]) -> None:
    """A batch for each of these exports, in one Kafka batch."""
    rows = [["x" * LARGE_BYTES, 1]]
    values = [
        json.dumps({"export_id": one, "seq": 0, "rows": rows, "last": True}).encode()
        for one in export_ids
    ]
    records = [record(n, b"k", value) for n, value in enumerate(values)]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        await send_batch(producer, topics.records, 0, packed(CODECS["zstd"], records))


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_reader_that_stops_in_the_middle_holds_nothing(
    bootstrap_servers: str, topics: Topics, held: Callable[[], list[str]]
) -> None:
    await send_large(bootstrap_servers, topics, ["a", "b", "c"])
    gc.collect()
    assert held() == []
    async with TopicReader(topics.records, bootstrap_servers=bootstrap_servers) as reader:
        (partition,) = reader.spans
        async for one in reader.records(partition, stop=2):
            assert len(one.value) > LARGE_BYTES
            del one
    assert held() == []


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_retry_holds_nothing_when_it_has_ended(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    held: Callable[[], list[str]],
) -> None:
    ids = ["a", "b", "c"]
    for one in ids:
        await upstream.request(one)
    await send_large(bootstrap_servers, topics, ids)
    gc.collect()
    assert held() == []
    for offset, one in enumerate(ids):
        source = Source(topic=topics.requests, partition=0, offset=offset)
        retries = [Retry(one, source, RetryAttempt(one, 1))]
        done = await run_again(retries, topics, bootstrap_servers=bootstrap_servers)
        assert done.published == [one]
        assert held() == []
