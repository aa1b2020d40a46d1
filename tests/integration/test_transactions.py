"""The traps of transactions, sprung on a real Kafka: each shows that it can't bite."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, ProducerFenced

from broker.embedded import EmbeddedKafka
from consumer.cluster import Cluster
from consumer.core.resume import Committed, ResumePoint
from consumer.exports.messages import Outcome
from consumer.lanes.transactions import Destination, PartitionProducer
from schemas.topics import Topics
from tests.support.nodes import node_on
from tests.support.outcomes import committed, events, headers
from tests.support.storages import cancelled
from tests.support.topics import PARTITIONS, configure, created_topics
from tests.support.upstream import Upstream, csv_bytes, file_names, rows_of

pytestmark = pytest.mark.kafka

PARTITION = 3


def destination(bootstrap_servers: str, topics: Topics) -> Destination:
    options = {"bootstrap_servers": bootstrap_servers}
    group_id = f"group-{topics.requests.removesuffix('.requests')}"  # as in settings_for
    return Destination(topics, group_id, options, 1_000_000)


@contextlib.asynccontextmanager
async def producer_of(to: Destination) -> AsyncIterator[PartitionProducer]:
    producer = PartitionProducer(PARTITION, to)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.drop()


async def committed_offsets(to: Destination) -> tuple[Committed | None, Committed | None]:
    async with Cluster(to.topics, to.group_id, to.client_options) as cluster:
        return await cluster.fetch_committed(PARTITION)


def point(requests: int, records: int) -> ResumePoint:
    return ResumePoint(requests, (1, 2), records - 1, records)


async def test_events_and_offsets_are_committed_together(
    bootstrap_servers: str, topics: Topics
) -> None:
    to = destination(bootstrap_servers, topics)
    async with producer_of(to) as producer:
        await producer.commit(Outcome([cancelled("a")]), point(5, 9))
    assert await events(bootstrap_servers, topics.completions) == [cancelled("a")]
    assert await committed_offsets(to) == (
        point(5, 9).committed_requests(),
        point(5, 9).committed_records(),
    )


async def test_a_refused_send_fails_the_commit(bootstrap_servers: str, topics: Topics) -> None:
    """In aiokafka a failed send does not fail the transaction; here it does."""
    tiny = Topics.named(f"{topics.requests}-tiny")
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    limit = {"max.message.bytes": "200"}
    await admin.create_topics([NewTopic(tiny.completions, 1, 1, topic_configs=limit)])
    await admin.close()
    to = destination(
        bootstrap_servers,
        Topics(topics.requests, topics.records, tiny.completions, topics.dead_letters),
    )
    async with producer_of(to) as producer:
        with pytest.raises(KafkaError):
            await producer.commit(Outcome([cancelled("a")]), point(5, 9))
    async with producer_of(to):
        assert await committed_offsets(to) == (None, None)
    assert await committed(bootstrap_servers, tiny.completions) == []


async def test_a_dead_letter_that_is_refused_after_all_goes_without_its_value(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    """The topic's limit shrinks while the node runs: nothing is retried for ever."""
    async with node_on(bootstrap_servers, topics, tmp_path):
        limit = {"max.message.bytes": "20000"}
        await configure(bootstrap_servers, [topics.dead_letters], limit)
        await asyncio.sleep(1)
        noise = random.Random(1).randbytes(500_000)
        await upstream.send(topics.records, "a", noise)
        await upstream.request("a")
        await upstream.batch("a", 0, rows_of(0, 1), last=True)
        await events(bootstrap_servers, topics.completions, at_least=1, seconds=60)
        (letter,) = await committed(bootstrap_servers, topics.dead_letters, at_least=1)
    assert letter.value == b""
    assert headers(letter)["sluice_truncated"] == "true"


async def test_a_fenced_producer_commits_nothing(bootstrap_servers: str, topics: Topics) -> None:
    to = destination(bootstrap_servers, topics)
    async with producer_of(to) as zombie, producer_of(to) as owner:
        with pytest.raises(ProducerFenced):
            await zombie.commit(Outcome([cancelled("zombie")]), point(7, 7))
        await owner.commit(Outcome([cancelled("owner")]), point(5, 9))
    found = await events(bootstrap_servers, topics.completions)
    assert [event.export_id for event in found] == ["owner"]
    assert (await committed_offsets(to))[0] == point(5, 9).committed_requests()


@pytest.mark.parametrize("milliseconds", [0, 2, 5, 10, 20, 40])
async def test_a_commit_with_an_unknown_outcome_is_whole_or_nothing(
    bootstrap_servers: str, topics: Topics, milliseconds: int
) -> None:
    """The commit is cut off at some moment; after the next start either all of it is there."""
    to = destination(bootstrap_servers, topics)
    async with producer_of(to) as producer:
        commit = asyncio.create_task(producer.commit(Outcome([cancelled("a")]), point(5, 9)))
        await asyncio.wait([commit], timeout=milliseconds / 1000)
        commit.cancel()
        await asyncio.gather(commit, return_exceptions=True)
    async with producer_of(to):
        requests, records = await committed_offsets(to)
    found = await events(bootstrap_servers, topics.completions)
    assert (requests is None) == (records is None) == (found == [])


@pytest.mark.slow
async def test_a_producer_can_be_dropped_while_its_broker_is_down(
    mortal_kafka: EmbeddedKafka,
) -> None:
    kafka, servers = mortal_kafka, mortal_kafka.bootstrap_servers
    async with created_topics(servers, 4) as topics:
        to = destination(servers, topics)
        before = asyncio.all_tasks()
        producer = PartitionProducer(PARTITION, to)
        await producer.start()
        await producer.commit(Outcome(), point(1, 1))
        kafka.kill()
        commit = asyncio.create_task(producer.commit(Outcome([cancelled("a")]), point(5, 9)))
        await asyncio.sleep(1)
        assert not commit.done()
        commit.cancel()
        await asyncio.gather(commit, return_exceptions=True)
        begun = asyncio.get_running_loop().time()
        await producer.drop()
        assert asyncio.get_running_loop().time() - begun < 8  # its calls have 20 s
        await asyncio.sleep(0.1)
        assert not asyncio.all_tasks() - before, "nothing of it goes on trying"
        kafka.start()


async def test_a_lane_that_is_fenced_without_another_owner_comes_back(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    """``ProducerFenced`` is also what one's own timed-out transaction gets."""
    async with node_on(bootstrap_servers, topics, tmp_path) as node:
        await upstream.request("a")
        await upstream.batch("a", 0, rows_of(0, 500))
        while not file_names(tmp_path):
            await asyncio.sleep(0.02)
        for partition in range(PARTITIONS):
            stranger = AIOKafkaProducer(
                bootstrap_servers=bootstrap_servers,
                transactional_id=destination(bootstrap_servers, topics).transactional_id(partition),
            )
            await stranger.start()
            await stranger.stop()
        await upstream.batch("a", 1, rows_of(500, 500), last=True)
        (event,) = await events(bootstrap_servers, topics.completions, at_least=1)
        reloads = [line for line in node.lines() if line.get("event") == "lane reloads"]
    assert event.rows == 1_000
    assert any("ProducerFenced" in line["reason"] for line in reloads), "it did strike"
    assert (tmp_path / "exports" / "a.csv").read_bytes() == csv_bytes(rows_of(0, 1_000))
    assert file_names(tmp_path) == {"a.csv", "a.manifest.json"}
