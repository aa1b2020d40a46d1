"""Upstream's client on a real Kafka: what lies on the topics afterwards, and what it refuses."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from clients.errors import ClientError
from clients.topics import TopicState, create_topics, partition_counts
from producer.batching import ROW_MAX_BYTES
from producer.completions import Completion, CompletionFeed
from producer.publisher import ExportPublisher
from producer.seed.scenarios import Scenario, publish
from schemas.codec import decode_request
from schemas.completions import Source, encode_event
from schemas.records import Batch, decode_batch
from schemas.requests import CancelRequested, ExportRequested
from schemas.topics import Topics
from schemas.vocabulary import Format
from tests.support.downstream import CompletionsWriter, ended
from tests.support.outcomes import committed
from tests.support.topics import PARTITIONS

pytestmark = pytest.mark.kafka

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def request(export_id: str, **fields: Any) -> ExportRequested:
    return ExportRequested.model_validate(
        {"export_id": export_id, "format": "csv", "columns": ["n", "t"], **fields}
    )


@pytest.fixture
async def publisher(bootstrap_servers: str, topics: Topics) -> AsyncIterator[ExportPublisher]:
    async with ExportPublisher(topics, bootstrap_servers=bootstrap_servers) as publisher:
        yield publisher


@asynccontextmanager
async def admin_of(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
async def missing(bootstrap_servers: str) -> AsyncIterator[Topics]:
    """Names of topics that don't exist; what a test creates of them is deleted."""
    topics = Topics.named(f"t-{uuid.uuid4().hex[:12]}", f"t-out-{uuid.uuid4().hex[:12]}")
    yield topics
    async with admin_of(bootstrap_servers) as admin:
        await admin.delete_topics(list(astuple(topics)))


async def batches_of(servers: str, topics: Topics, export_id: str) -> list[Batch]:
    records = await committed(servers, topics.records, at_least=1)
    return [decode_batch(r.value) for r in records if r.key == export_id.encode()]


async def requests_of(servers: str, topics: Topics) -> list[ConsumerRecord]:
    return await committed(servers, topics.requests, at_least=1)


async def cancelled_in(servers: str, topics: Topics, export_id: str) -> list[int]:
    """The partitions in which a cancellation of the export lies."""
    requests = [(r.partition, decode_request(r.value)) for r in await requests_of(servers, topics)]
    return sorted(
        partition
        for partition, one in requests
        if isinstance(one, CancelRequested) and one.export_id == export_id
    )


async def test_an_export_lies_on_one_partition_number_in_order_under_its_id(
    bootstrap_servers: str, topics: Topics, publisher: ExportPublisher
) -> None:
    wanted = request("ord-1", title="Siparişler", priority=9, options={"delimiter": ";"})
    rows = [[n, 2**70 + n] for n in range(2_500)]
    async with publisher.export(wanted) as export:
        await export.send(rows[:10])
        await export.send(rows[10:])
        assert export.rows == 2_500
    (sent,) = await requests_of(bootstrap_servers, topics)
    assert (sent.key, decode_request(sent.value)) == (b"ord-1", wanted)
    assert export.source == Source(
        topic=topics.requests, partition=sent.partition, offset=sent.offset
    )
    records = await committed(bootstrap_servers, topics.records, at_least=5)
    assert {(r.key, r.partition) for r in records} == {(b"ord-1", sent.partition)}
    batches = [decode_batch(record.value) for record in records]
    assert [batch.seq for batch in batches] == [0, 1, 2, 3, 4]
    assert [len(batch.rows) for batch in batches] == [10, 1_000, 1_000, 490, 0]
    assert [row for batch in batches for row in batch.rows] == rows
    assert (batches[-1].last, batches[-1].total_rows) == (True, 2_500)


async def test_many_exports_at_once_don_t_mix(
    bootstrap_servers: str, topics: Topics, publisher: ExportPublisher
) -> None:
    scenario = Scenario(Format.CSV, 3_000)
    exports = await asyncio.gather(*(publish(publisher, scenario, index=n) for n in range(12)))
    records = await committed(bootstrap_servers, topics.records, at_least=12 * 4)
    for index, export in enumerate(exports):
        batches = [decode_batch(r.value) for r in records if r.key == export.export_id.encode()]
        assert [batch.seq for batch in batches] == [0, 1, 2, 3]
        assert [row for b in batches for row in b.rows] == list(scenario.rows(index=index))


async def test_a_block_that_raises_cancels_on_every_partition(
    bootstrap_servers: str, topics: Topics, publisher: ExportPublisher
) -> None:
    async def work() -> None:
        async with publisher.export(request("ord-1")) as export:
            await export.send([[1, 2]])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert await cancelled_in(bootstrap_servers, topics, "ord-1") == [*range(PARTITIONS)]
    assert not any(b.last for b in await batches_of(bootstrap_servers, topics, "ord-1"))


async def test_a_task_that_is_cancelled_cancels_its_export(
    bootstrap_servers: str, topics: Topics, publisher: ExportPublisher
) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with publisher.export(request("ord-1")) as export:
            await export.send([[1, 2]])
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await cancelled_in(bootstrap_servers, topics, "ord-1") == [*range(PARTITIONS)]


async def test_an_ended_export_takes_nothing_more(
    bootstrap_servers: str, topics: Topics, publisher: ExportPublisher
) -> None:
    async with publisher.export(request("ord-1")) as export:
        await export.finish()
    with pytest.raises(ClientError, match="ord-1 has ended"):
        await export.send([[1, 2]])
    assert [b.last for b in await batches_of(bootstrap_servers, topics, "ord-1")] == [True]
    assert await cancelled_in(bootstrap_servers, topics, "ord-1") == []


async def test_the_largest_row_passes_though_it_hardly_compresses(
    bootstrap_servers: str, topics: Topics, publisher: ExportPublisher
) -> None:
    # Base64 of chance: the compressor makes six bits of eight, and no less.
    row = [secrets.token_urlsafe(ROW_MAX_BYTES)[: ROW_MAX_BYTES - len('[""]')]]
    async with publisher.export(request("ord-1")) as export:
        await export.send([row])
    (first, _) = await batches_of(bootstrap_servers, topics, "ord-1")
    assert first.rows == [row]


async def test_a_row_that_is_too_large_cancels_and_is_named(
    bootstrap_servers: str, topics: Topics, publisher: ExportPublisher
) -> None:
    async def work() -> None:
        async with publisher.export(request("ord-1")) as export:
            await export.send([[1, 2]] * 1_500)
            await export.send([["x" * ROW_MAX_BYTES]])

    with pytest.raises(ClientError, match=r"^row 1501: its 1,000,00\d bytes don't fit"):
        await work()
    assert await cancelled_in(bootstrap_servers, topics, "ord-1") == [*range(PARTITIONS)]


async def test_missing_topics_are_named_and_not_created(
    bootstrap_servers: str, missing: Topics
) -> None:
    with pytest.raises(ClientError, match=f"{missing.requests}, {missing.records} .*create"):
        async with ExportPublisher(missing, bootstrap_servers=bootstrap_servers):
            pass
    with pytest.raises(ClientError, match=f"no such topic: {missing.completions}"):
        async with CompletionFeed(missing, bootstrap_servers=bootstrap_servers):
            pass
    assert await partition_counts(astuple(missing), bootstrap_servers=bootstrap_servers) == {}


async def test_topics_are_created_once(bootstrap_servers: str, missing: Topics) -> None:
    names = astuple(missing)
    first = await create_topics(missing, 3, 1, bootstrap_servers=bootstrap_servers)
    assert first == [TopicState(name, 3, created=True) for name in names]
    again = await create_topics(missing, 5, 1, bootstrap_servers=bootstrap_servers)
    assert again == [TopicState(name, 3, created=False) for name in names]
    async with admin_of(bootstrap_servers) as admin:
        await admin.delete_topics([missing.completions])
        while missing.completions in await admin.list_topics():
            await asyncio.sleep(0.05)
        (answer,) = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in names[:2]]
        )
    configured = [{entry[0]: entry[1] for entry in resource[4]} for resource in answer.resources]
    assert [one["cleanup.policy"] for one in configured] == ["delete", "delete"]
    partly = await create_topics(missing, 5, 1, bootstrap_servers=bootstrap_servers)
    assert [(state.partitions, state.created) for state in partly] == [
        (3, False),
        (3, False),
        (3, True),
        (3, False),
    ]


async def test_the_broker_compresses_completions_as_every_client_can_read_them(
    bootstrap_servers: str, missing: Topics
) -> None:
    await create_topics(missing, 1, 1, bootstrap_servers=bootstrap_servers)
    async with admin_of(bootstrap_servers) as admin:
        (answer,) = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, missing.completions)]
        )
    configured = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert configured["compression.type"] == "gzip"


async def test_two_that_create_at_once_both_succeed(
    bootstrap_servers: str, missing: Topics
) -> None:
    async with asyncio.TaskGroup() as group:
        creating = [
            group.create_task(create_topics(missing, 3, 1, bootstrap_servers=bootstrap_servers))
            for _ in range(3)
        ]
    assert all([state.partitions for state in task.result()] == [3] * 4 for task in creating)


@pytest.mark.parametrize("present", [{"requests": 2, "records": 3}, {"requests": 2}])
async def test_unequal_partition_counts_are_refused_and_nothing_is_created(
    bootstrap_servers: str, missing: Topics, present: dict[str, int]
) -> None:
    existing = {getattr(missing, which): count for which, count in present.items()}
    async with admin_of(bootstrap_servers) as admin:
        await admin.create_topics([NewTopic(name, n, 1) for name, n in existing.items()])
        while not set(existing) <= set(await admin.list_topics()):
            await asyncio.sleep(0.05)
    unequal = f"unequal partition counts: {missing.requests} 2, {missing.records} 3"
    with pytest.raises(ClientError, match=unequal):
        await create_topics(missing, 3, 1, bootstrap_servers=bootstrap_servers)
    found = await partition_counts(astuple(missing), bootstrap_servers=bootstrap_servers)
    assert found == existing


@pytest.mark.parametrize("topics", [2], indirect=True)
async def test_an_unequal_pair_is_not_published_to(
    bootstrap_servers: str, topics: Topics, missing: Topics
) -> None:
    await create_topics(missing, 1, 1, bootstrap_servers=bootstrap_servers)
    mixed = Topics(topics.requests, missing.records, topics.completions, topics.dead_letters)
    with pytest.raises(ClientError, match="unequal partition counts"):
        async with ExportPublisher(mixed, bootstrap_servers=bootstrap_servers):
            pass


async def test_what_the_broker_refuses_to_create_is_named(
    bootstrap_servers: str, missing: Topics
) -> None:
    with pytest.raises(ClientError, match=f"^{missing.requests} can't be created: .*eplication"):
        await create_topics(missing, 1, 30, bootstrap_servers=bootstrap_servers)


@pytest.fixture
async def node(bootstrap_servers: str, topics: Topics) -> AsyncIterator[CompletionsWriter]:
    node = CompletionsWriter(bootstrap_servers, topics)
    await node.producer.start()
    yield node
    await node.producer.stop()


async def take(feed: CompletionFeed, count: int) -> list[Completion]:
    async with asyncio.timeout(20):
        return [await anext(feed) for _ in range(count)]


def ids(completions: list[Completion]) -> set[str]:
    return {completion.export_id for completion in completions}


async def test_the_feed_gives_committed_events_of_all_partitions(
    bootstrap_servers: str, topics: Topics, node: CompletionsWriter
) -> None:
    events = [ended(topics, f"ord-{n}") for n in range(40)]
    async with CompletionFeed(topics, bootstrap_servers=bootstrap_servers) as feed:
        await node.producer.begin_transaction()
        await node.send(ended(topics, "aborted"))
        await node.producer.abort_transaction()
        await node.commit(*events)
        found = await take(feed, 40)
    assert {one.export_id: one.event() for one in found} == {e.export_id: e for e in events}
    assert {one.value for one in found} == {encode_event(event) for event in events}
    assert {one.partition for one in found} == {*range(PARTITIONS)}


async def test_the_feed_begins_where_it_was_entered_or_at_the_beginning(
    bootstrap_servers: str, topics: Topics, node: CompletionsWriter
) -> None:
    await node.commit(ended(topics, "before"))
    now = CompletionFeed(topics, bootstrap_servers=bootstrap_servers)
    oldest = CompletionFeed(topics, from_beginning=True, bootstrap_servers=bootstrap_servers)
    async with now, oldest:
        await node.commit(ended(topics, "after"))
        assert ids(await take(now, 1)) == {"after"}
        assert ids(await take(oldest, 2)) == {"before", "after"}


async def test_an_event_sent_before_but_committed_after_is_not_missed(
    bootstrap_servers: str, topics: Topics, node: CompletionsWriter
) -> None:
    await node.producer.begin_transaction()
    await node.send(ended(topics, "ord-1"))
    async with CompletionFeed(topics, bootstrap_servers=bootstrap_servers) as feed:
        await node.producer.commit_transaction()
        assert ids(await take(feed, 1)) == {"ord-1"}


async def test_endings_are_those_of_the_very_requests(
    bootstrap_servers: str, topics: Topics, node: CompletionsWriter
) -> None:
    events = [ended(topics, f"ord-{n}", offset=n) for n in range(5)]
    async with CompletionFeed(topics, bootstrap_servers=bootstrap_servers) as feed:
        await node.commit(*events)
        wanted = {event.export_id: event.source for event in events[1:3]}
        async with asyncio.timeout(20):
            found = [event async for event in feed.endings(wanted)]
        assert {event.export_id for event in found} == {"ord-1", "ord-2"}
        assert [event async for event in feed.endings({})] == []


async def test_that_a_repeated_id_is_ignored_is_logged(
    bootstrap_servers: str, topics: Topics, node: CompletionsWriter
) -> None:
    await node.commit(ended(topics, "ord-1", offset=4))
    feed = CompletionFeed(topics, from_beginning=True, bootstrap_servers=bootstrap_servers)
    async with feed:
        ours = Source(topic=topics.requests, partition=0, offset=5)
        with pytest.raises(ClientError, match=r"ord-1 was requested before, .* as cancelled"):
            async for _ in feed.endings({"ord-1": ours}):
                pass


async def test_a_record_that_is_no_event_is_named_by_its_place(
    bootstrap_servers: str, topics: Topics, node: CompletionsWriter
) -> None:
    async with CompletionFeed(topics, bootstrap_servers=bootstrap_servers) as feed:
        async with node.producer.transaction():
            await node.producer.send_and_wait(topics.completions, b"{}", key=b"x", partition=2)
            await node.producer.send_and_wait(topics.completions, None, key=b"x", partition=2)
        for completion in await take(feed, 2):
            with pytest.raises(
                ClientError, match=rf"^{topics.completions} partition 2 offset \d is no terminal"
            ):
                completion.event()
