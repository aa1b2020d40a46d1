"""Transactions that are cut off for real: between a request and its answer, or by their timeout.

A proxy between the producer and its broker knows which request passes. Each test asserts that the
cut was where it was meant to be.
"""

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import astuple
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import ProducerFenced

from consumer.cluster import Cluster
from consumer.core.resume import ResumePoint
from consumer.exports.messages import Outcome
from consumer.lanes.transactions import Destination, PartitionProducer
from schemas.topics import Topics
from tests.chaos.broker import StormBroker
from tests.support.outcomes import events
from tests.support.storages import cancelled

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

END_TXN = 26
POINT = ResumePoint(5, (1, 2), 8, 9)
COMMITTED = (POINT.committed_requests(), POINT.committed_records())
TOPICS = Topics.named("cut")


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StormBroker]:
    """With the topics, and a look for transactions that timed out every half a second."""
    often = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"}
    broker = StormBroker(tmp_path_factory.mktemp("cut"), **often)
    await broker.start()
    try:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.servers)
        await admin.start()
        await admin.create_topics([NewTopic(name, 1, 1) for name in astuple(TOPICS)])
        await admin.close()
        async with broker.proxy:
            yield broker
    finally:
        broker.stop()


@pytest.fixture
def group_id() -> str:
    return f"group-{uuid.uuid4().hex}"


@pytest.fixture
def export_id() -> str:
    return f"export-{uuid.uuid4().hex}"


@pytest.fixture
def _restored(broker: StormBroker) -> Iterator[None]:
    yield
    broker.proxy.restore()


def destination(servers: str, group_id: str) -> Destination:
    return Destination(TOPICS, group_id, {"bootstrap_servers": servers}, 1_000_000)


async def after_the_next_start(broker: StormBroker, group_id: str) -> Any:
    """What is committed once the next owner has fenced those before."""
    to = destination(broker.servers, group_id)
    owner = PartitionProducer(0, to)
    try:
        await owner.start()
        async with Cluster(TOPICS, group_id, to.client_options) as cluster:
            return await cluster.fetch_committed(0)
    finally:
        await owner.drop()


async def events_of(broker: StormBroker, export_id: str) -> int:
    found = await events(broker.servers, TOPICS.completions)
    return [event.export_id for event in found].count(export_id)


@pytest.mark.parametrize("answer", [True, False], ids=["answer", "request"])
@pytest.mark.usefixtures("_restored")
async def test_a_commit_whose_end_is_cut_off_is_whole_or_nothing(
    broker: StormBroker, group_id: str, export_id: str, answer: bool
) -> None:
    """EndTxn arrives and its answer is lost, or it does not arrive; the producer can't tell."""
    producer = PartitionProducer(0, destination(broker.proxied_servers, group_id))
    await producer.start()
    broker.proxy.cut_at(END_TXN, answer=answer)
    commit = asyncio.create_task(producer.commit(Outcome([cancelled(export_id)]), POINT))
    async with asyncio.timeout(10):
        await broker.proxy.struck.wait()
        while answer and not await events_of(broker, export_id):
            await asyncio.sleep(0.05)
    assert not commit.done(), "for all the producer knows, it may be committed or not"
    commit.cancel()
    await asyncio.gather(commit, return_exceptions=True)
    found = await after_the_next_start(broker, group_id)
    assert found == (COMMITTED if answer else (None, None))
    assert await events_of(broker, export_id) == int(answer)
    assert broker.proxy.held_bytes > 0
    broker.proxy.restore()
    await producer.drop()
    assert await events_of(broker, export_id) == int(answer), "what comes late changes nothing"


@pytest.mark.usefixtures("_restored")
async def test_a_transaction_that_times_out_by_itself_commits_nothing(
    broker: StormBroker, group_id: str, export_id: str
) -> None:
    to = destination(broker.proxied_servers, group_id)
    producer = PartitionProducer(0, to, transaction_timeout_ms=1_000)
    await producer.start()
    broker.proxy.cut_at(END_TXN, answer=False)
    commit = asyncio.create_task(producer.commit(Outcome([cancelled(export_id)]), POINT))
    completions = [TopicPartition(TOPICS.completions, 0)]
    async with asyncio.timeout(10):
        await broker.proxy.struck.wait()
        async with Cluster(TOPICS, group_id, {"bootstrap_servers": broker.servers}) as cluster:
            assert await cluster.fetch_stable_ends(completions) != await cluster.fetch_ends(
                completions
            )
            while await cluster.fetch_stable_ends(completions) != await cluster.fetch_ends(
                completions
            ):
                await asyncio.sleep(0.1)  # until the broker has aborted it
    broker.proxy.restore()
    with pytest.raises(ProducerFenced):
        await commit
    await producer.drop()
    assert await after_the_next_start(broker, group_id) == (None, None)
    assert await events_of(broker, export_id) == 0


async def test_a_fenced_producer_leaves_no_complaint_behind(
    broker: StormBroker, group_id: str
) -> None:
    """Of many sends the first one's failure is raised; those of the others are nobody's."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    zombie = PartitionProducer(0, destination(broker.servers, group_id))
    await zombie.start()
    await after_the_next_start(broker, group_id)
    with pytest.raises(ProducerFenced):
        await zombie.commit(Outcome([cancelled(f"zombie-{n}") for n in range(50)]), POINT)
    await zombie.drop()
    del zombie
    gc.collect()
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert [it for it in complaints if "future" in it] == []
