"""The group's backlog on a real Kafka: what is unfinished, as any node knows it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from broker.embedded import EmbeddedKafka
from consumer.backlog.backlog import Backlog
from consumer.cluster import Cluster
from consumer.core.resume import Committed, ResumePoint
from consumer.errors import BacklogUnavailable, RequestsHidden
from schemas.topics import Topics
from tests.support.nodes import node_on
from tests.support.topics import created_topics
from tests.support.upstream import Upstream

pytestmark = pytest.mark.kafka

ODD_HEADERS = Path(__file__).parents[1] / "support" / "odd_headers.py"
T = TypeVar("T")


@asynccontextmanager
async def backlog_on(
    servers: str, topics: Topics, most_followed: int = 1000
) -> AsyncIterator[Backlog]:
    """A backlog of the group that the nodes of a test are in."""
    options = {"bootstrap_servers": servers}
    async with (
        Cluster(topics, group_of(topics), options) as cluster,
        Backlog(cluster, options, most_followed) as backlog,
    ):
        yield backlog


def group_of(topics: Topics) -> str:
    return f"group-{topics.requests.removesuffix('.requests')}"


async def until(ask: Callable[[], Awaitable[T]], expected: T, seconds: float = 10.0) -> None:
    """Ask until the answer is as expected."""
    deadline = time.monotonic() + seconds
    while (answer := await ask()) != expected:
        assert time.monotonic() < deadline, f"{answer}, not {expected}"
        await asyncio.sleep(0.02)


async def test_a_request_is_found_as_soon_as_it_is_acknowledged(
    bootstrap_servers: str, topics: Topics, upstream: Upstream
) -> None:
    async with (
        backlog_on(bootstrap_servers, topics) as here,
        backlog_on(bootstrap_servers, topics) as there,
    ):
        assert await here.find("e0") is None
        assert await here.count() == 0
        for number in range(20):
            await upstream.request(f"e{number}", user="alice")
            found = await there.find(f"e{number}")
            assert found
            assert (found.user, found.format, found.begun) == ("alice", "csv", False)
            assert found.source.topic == topics.requests
            assert await here.count(fresh=True) == number + 1
        await until(there.count, 20)


async def test_an_answer_takes_no_longer_than_a_moment(
    bootstrap_servers: str, topics: Topics, upstream: Upstream
) -> None:
    async with backlog_on(bootstrap_servers, topics) as backlog:
        await backlog.find("e")
        begun = time.monotonic()
        for number in range(20):
            await upstream.request(f"e{number}")
            assert await backlog.find("nobody") is None
        assert (time.monotonic() - begun) / 20 < 0.5
        begun = time.monotonic()
        assert await backlog.find("nobody") is None
        one = time.monotonic() - begun
        await asyncio.gather(*(backlog.find(f"n{number}") for number in range(500)))
        assert time.monotonic() - begun - one < max(100 * one, 2), "they share a look"


@pytest.mark.slow
async def test_two_nodes_of_a_group_and_a_third_that_only_asks(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    ids = [f"e{number}" for number in range(24)]
    async with AsyncExitStack() as stack:
        for log in ("one.log", "two.log"):
            await stack.enter_async_context(node_on(bootstrap_servers, topics, tmp_path, log))
        backlog = await stack.enter_async_context(backlog_on(bootstrap_servers, topics))
        for export_id in ids:
            await upstream.request(export_id)
        assert await backlog.count(fresh=True) == len(ids)
        for export_id in ids[:12]:
            await upstream.batch(export_id, 0, [[1, "x"]])

        async def begun() -> list[bool]:
            return [bool((found := await backlog.find(one)) and found.begun) for one in ids]

        await until(begun, [True] * 12 + [False] * 12)
        again = await stack.enter_async_context(backlog_on(bootstrap_servers, topics))
        assert await again.count(fresh=True) == len(ids), "as one that has just begun"
        for export_id in ids[:12]:
            await upstream.batch(export_id, 1, [], last=True)
        await until(backlog.count, 12)
        assert await backlog.find(ids[0]) is None
        assert (tmp_path / "exports" / f"{ids[0]}.manifest.json").exists()
        for export_id in ids[12:]:
            await upstream.publish({"type": "export.cancel_requested", "export_id": export_id})
        await until(again.count, 0)
        assert await again.find(ids[-1]) is None


@pytest.mark.slow
async def test_repeats_and_wrong_requests_vanish(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    async with backlog_on(bootstrap_servers, topics) as backlog:
        await upstream.request("twice")
        await upstream.request("twice", user="mallory")
        await upstream.request("wrong", format="xls", user="bob")
        for value in (b"{", b"[]", None, b'{"type": "export.requested", "export_id": "/"}', b"7"):
            await upstream.send(topics.requests, "k", value)
        await upstream.publish({"type": "export.cancel_requested", "export_id": "nobody"})
        assert await backlog.count(fresh=True) == 2, "each id once"
        assert [await backlog.counts(user) for user in ("bob", "mallory")] == [(2, 1), (2, 0)]
        wrong = await backlog.find("wrong")
        assert wrong
        assert (wrong.user, wrong.format) == ("bob", "unknown")
        async with node_on(bootstrap_servers, topics, tmp_path):
            await until(backlog.count, 1)
            twice = await backlog.find("twice")
            assert twice
            assert twice.user == "anonymous"
            assert await backlog.find("wrong") is None
            await upstream.batch("twice", 0, [], last=True)
            await until(backlog.count, 0)


async def test_a_header_that_is_no_text_breaks_nothing(
    bootstrap_servers: str, topics: Topics, upstream: Upstream
) -> None:
    async with backlog_on(bootstrap_servers, topics) as backlog:
        request = '{"type": "export.requested", "export_id": "odd", "format": "csv"}'
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            ODD_HEADERS,
            *(bootstrap_servers, topics.requests, "odd", request),
            env=os.environ | {"AIOKAFKA_NO_EXTENSIONS": "1"},
        )
        assert await process.wait() == 0
        assert await backlog.find("odd")
        await upstream.request("even")
        assert await backlog.find("even")


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_what_a_transaction_aborts_was_never_there(
    bootstrap_servers: str, topics: Topics, upstream: Upstream
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, transactional_id="up")
    await producer.start()
    transactional = Upstream(producer, topics)
    try:
        async with backlog_on(bootstrap_servers, topics) as backlog:
            await producer.begin_transaction()
            await transactional.request("aborted")
            await upstream.request("behind")
            assert await backlog.count(fresh=True) == 0
            with pytest.raises(RequestsHidden):
                await backlog.find("behind")
            assert await backlog.find("behind", accepted=True) is None
            await producer.abort_transaction()
            assert await backlog.find("aborted") is None
            assert await backlog.find("behind")
            await producer.begin_transaction()
            await transactional.request("committed")
            finding = asyncio.create_task(backlog.find("committed"))
            await asyncio.sleep(0.3)
            await producer.commit_transaction()
            assert await finding, "it was waited for"
            assert await backlog.count(fresh=True) == 2
        async with backlog_on(bootstrap_servers, topics) as backlog:
            assert await backlog.count() == 2
            assert await backlog.find("nobody") is None
    finally:
        await producer.stop()


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_group_without_commits_begins_where_the_log_does(
    bootstrap_servers: str, topics: Topics, upstream: Upstream
) -> None:
    for number in range(10):
        await upstream.request(f"e{number}")
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topics.requests, 0): RecordsToDelete(4)})
    finally:
        await admin.close()
    async with backlog_on(bootstrap_servers, topics) as backlog:
        assert await backlog.count() == 6
        assert await backlog.find("e3") is None
        assert await backlog.find("e4")


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_requests_that_retention_removes_meanwhile_are_passed_over(
    bootstrap_servers: str, topics: Topics, upstream: Upstream
) -> None:
    """Room for two only, so that the log's start moves past where reading stands."""
    async with backlog_on(bootstrap_servers, topics, most_followed=2) as backlog:
        assert await backlog.count() == 0
        for number in range(2):
            await upstream.request(f"e{number}")
        assert await backlog.count(fresh=True) == 2
        for number in range(2, 10):
            await upstream.request(f"e{number}")
        assert await backlog.count(fresh=True) == 2, "as many as there is room for"
        assert await backlog.find("e1")
        with pytest.raises(BacklogUnavailable, match="2 exports and more"):
            await backlog.find("e9")
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(topics.requests, 0): RecordsToDelete(7)})
        finally:
            await admin.close()
        await commit(bootstrap_servers, topics, ResumePoint(8, (), 0, 0))
        await until(lambda: backlog.count(fresh=True), 2)
        found = await backlog.find("e8")
        assert found
        assert found.source.offset == 8
        assert await backlog.find("e7") is None


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_one_that_begins_in_the_middle_takes_up_what_is_open(
    bootstrap_servers: str, topics: Topics, upstream: Upstream
) -> None:
    for number in range(6):
        await upstream.request(f"e{number}")
    await commit(bootstrap_servers, topics, ResumePoint(4, (1, 2), 0, 7, ((2, 3),)))
    async with backlog_on(bootstrap_servers, topics) as backlog:
        assert await backlog.count() == 4
        begun = [bool((found := await backlog.find(f"e{n}")) and found.begun) for n in (1, 2, 4)]
        assert begun == [False, True, False]
        assert await backlog.find("e3") is None
        await commit(bootstrap_servers, topics, ResumePoint(5, (), 0, 0))
        await until(lambda: counted(backlog), 1)
        await commit_text(bootstrap_servers, topics, Committed(5, "?"), Committed(0, ""))
        with pytest.raises(BacklogUnavailable, match="metadata"):
            await backlog.find("e5")
        await commit(bootstrap_servers, topics, ResumePoint(6, (), 0, 0))
        await until(lambda: counted(backlog), 0)


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_commits_that_went_back_are_not_believed(
    bootstrap_servers: str, topics: Topics, upstream: Upstream
) -> None:
    for number in range(6):
        await upstream.request(f"e{number}")
    await commit(bootstrap_servers, topics, ResumePoint(5, (), 0, 0))
    async with backlog_on(bootstrap_servers, topics) as backlog:
        await until(lambda: counted(backlog), 1)
        await commit(bootstrap_servers, topics, ResumePoint(2, (), 0, 0))
        with pytest.raises(BacklogUnavailable, match="went back"):
            await backlog.find("e3")
        async with backlog_on(bootstrap_servers, topics) as second:
            await until(lambda: counted(second), 4)
        await commit(bootstrap_servers, topics, ResumePoint(6, (), 0, 0))
        await until(lambda: counted(backlog), 0)


async def test_more_partitions_than_before_are_read(
    bootstrap_servers: str,
) -> None:
    async with (
        created_topics(bootstrap_servers, 1) as topics,
        Cluster(topics, group_of(topics), {"bootstrap_servers": bootstrap_servers}) as cluster,
        Backlog(
            cluster, {"bootstrap_servers": bootstrap_servers, "metadata_max_age_ms": 200}
        ) as backlog,
    ):
        assert await backlog.count() == 0
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
        await admin.start()
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
        try:
            await admin.create_partitions({topics.requests: NewPartitions(3)})
            # A broker learns of them a little later, and the producer reads it once.
            numbers = [TopicPartition(topics.requests, number) for number in range(3)]
            await until(cluster.fetch_request_partitions, numbers)
            await producer.start()
            await Upstream(producer, topics).send(
                topics.requests, "k", {"type": "export.requested", "export_id": "new"}, 2
            )
            await until(lambda: counted(backlog), 1)
        finally:
            await admin.close()
            await producer.stop()


@pytest.mark.slow
async def test_a_broker_that_goes_away_comes_back(
    mortal_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka, servers = mortal_kafka, mortal_kafka.bootstrap_servers
    async with (
        created_topics(servers, 2) as topics,
        AIOKafkaProducer(bootstrap_servers=servers) as producer,
    ):
        await Upstream(producer, topics).request("kept")
        async with backlog_on(servers, topics) as backlog:
            assert await backlog.find("kept")
            monkeypatch.setattr("consumer.backlog.backlog._ANSWER_SECONDS", 1.0)
            assert kafka.pid
            os.kill(kafka.pid, signal.SIGSTOP)
            begun = time.monotonic()
            with pytest.raises(BacklogUnavailable):
                await backlog.find("kept")
            with pytest.raises(BacklogUnavailable):
                await backlog.count(fresh=True)
            assert time.monotonic() - begun < 10
            os.kill(kafka.pid, signal.SIGCONT)
            await until(lambda: counted(backlog), 1, 60)
            kafka.kill()
            await asyncio.sleep(2)
            with pytest.raises(BacklogUnavailable):
                await backlog.count(fresh=True)
            kafka.spawn()
            await asyncio.to_thread(kafka.wait_ready)
            await until(lambda: counted(backlog), 1, 60)
            assert await backlog.find("kept")


async def counted(backlog: Backlog) -> int:
    """Fresh; -1 while it isn't known."""
    try:
        return await backlog.count(fresh=True)
    except BacklogUnavailable:
        return -1


async def commit(servers: str, topics: Topics, point: ResumePoint) -> None:
    """As the owner of the only partition would."""
    await commit_text(servers, topics, point.committed_requests(), point.committed_records())


async def commit_text(
    servers: str, topics: Topics, requests: Committed, records: Committed
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"{topics.requests}.0")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_offsets_to_transaction(
                {
                    TopicPartition(name, 0): OffsetAndMetadata(one.offset, one.metadata)
                    for name, one in ((topics.requests, requests), (topics.records, records))
                },
                group_of(topics),
            )
    finally:
        await producer.stop()
