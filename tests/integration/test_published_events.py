"""Commits that go back, as of a Kafka that lost some: nothing is published twice."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from consumer.cluster import Cluster
from consumer.core.resume import ResumePoint
from consumer.exports.messages import Outcome
from consumer.lanes.published_events import PublishedEvents
from consumer.lanes.transactions import Destination, PartitionProducer
from schemas.completions import TerminalEvent, encode_event
from schemas.topics import Topics
from tests.integration.test_backlog import commit, group_of
from tests.support.clients import http_client
from tests.support.downstream import CompletionsWriter, ended
from tests.support.hasty_node import hasty
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, committed, events
from tests.support.upstream import Upstream, rows_of

pytestmark = pytest.mark.kafka

EXPORTS = 30


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_node_that_reads_old_commits_publishes_nothing_twice(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    for number in range(EXPORTS):
        await upstream.request(f"e{number}")
        await upstream.batch(f"e{number}", number % 3 // 2, rows_of(0, 10), last=number % 3 == 0)
        if number % 3 == 1:
            cancel = {"type": "export.cancel_requested", "export_id": f"e{number}"}
            await upstream.publish(cancel)
    await upstream.request("e0")
    async with node_on(bootstrap_servers, topics, tmp_path, log="first.log") as node:
        await events(bootstrap_servers, topics.completions, at_least=EXPORTS)
        assert node.terminate() == 0
    before = contents(tmp_path)
    for point in (ResumePoint(0, (), 0, 0), ResumePoint(9, (3, 5), 2, 7, ((3, 2),))):
        await commit(bootstrap_servers, topics, point)
        async with node_on(bootstrap_servers, topics, tmp_path, log="again.log") as again:
            await upstream.request(f"new-{point.requests_position}")
            await upstream.batch(f"new-{point.requests_position}", 0, [], last=True)
            news = 1 if point.requests_position == 0 else 2
            done = await events(bootstrap_servers, topics.completions, at_least=EXPORTS + news)
            assert again.terminate() == 0
    assert len(by_id(done)) == EXPORTS + 2
    assert contents(tmp_path).items() >= before.items()
    left_out = [line["events"] for line in again.lines() if "already published" in line["event"]]
    assert sum(left_out) >= EXPORTS - 9


def contents(directory: Path) -> dict[str, bytes]:
    files = (directory / "exports").iterdir()
    return {path.name: path.read_bytes() for path in files if path.is_file()}


def an_event(topics: Topics, export_id: str, seconds_ago: float = 0.0) -> TerminalEvent:
    now = datetime.now(UTC).replace(microsecond=0)
    event = ended(topics, export_id)
    return event.model_copy(update={"completed_at": now - timedelta(seconds=seconds_ago)})


async def published(servers: str, topics: Topics, *candidates: TerminalEvent) -> set[str]:
    options = {"bootstrap_servers": servers}
    async with Cluster(topics, group_of(topics), options) as cluster:
        found = await PublishedEvents(cluster, options).find(candidates)
    return {event.export_id for event in candidates if event.event_id in found}


async def test_what_is_committed_is_published_and_what_is_aborted_is_not(
    bootstrap_servers: str, topics: Topics
) -> None:
    there, aborted, absent = (an_event(topics, name) for name in ("there", "aborted", "absent"))
    assert await published(bootstrap_servers, topics, there) == set()
    writer = CompletionsWriter(bootstrap_servers, topics)
    await writer.producer.start()
    try:
        await writer.commit(*(an_event(topics, f"e{number}") for number in range(700)), there)
        await writer.producer.begin_transaction()
        await writer.send(aborted)
        await writer.producer.abort_transaction()
    finally:
        await writer.producer.stop()
    assert await published(bootstrap_servers, topics, there, aborted, absent) == {"there"}
    earlier = an_event(topics, "e5", seconds_ago=3600.0)
    assert await published(bootstrap_servers, topics, earlier) == {"e5"}, (
        "the id decides, not the rest"
    )


async def test_what_comes_during_a_look_is_looked_for_together(
    bootstrap_servers: str, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [an_event(topics, f"there-{number}") for number in range(12)]
    writer = CompletionsWriter(bootstrap_servers, topics)
    await writer.producer.start()
    await writer.commit(*there)
    await writer.producer.stop()
    options = {"bootstrap_servers": bootstrap_servers}
    looks: list[int] = []
    look = Cluster.fetch_completions_since

    async def counted(self: Cluster, millis: int) -> dict[TopicPartition, tuple[int, int]]:
        looks.append(millis)
        return await look(self, millis)

    monkeypatch.setattr(Cluster, "fetch_completions_since", counted)
    async with Cluster(topics, group_of(topics), options) as cluster:
        published_events = PublishedEvents(cluster, options)
        absent = an_event(topics, "absent")
        answers = await asyncio.gather(*(published_events.find([one, absent]) for one in there))
        for one, answer in zip(there, answers, strict=True):
            assert one.event_id in answer
            assert absent.event_id not in answer
        assert len(looks) == 2
        first, second = (asyncio.create_task(published_events.find([one])) for one in there[:2])
        await asyncio.sleep(0)
        first.cancel()
        assert there[1].event_id in await second


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_transaction_that_is_open_is_waited_for(
    bootstrap_servers: str, topics: Topics
) -> None:
    first, second = an_event(topics, "first"), an_event(topics, "second")
    slow, quick = (CompletionsWriter(bootstrap_servers, topics, name) for name in ("one", "two"))
    await slow.producer.start()
    await quick.producer.start()
    try:
        await slow.producer.begin_transaction()
        await slow.send(first)
        await quick.commit(second)
        found = asyncio.create_task(published(bootstrap_servers, topics, second, first))
        begun = time.monotonic()
        await asyncio.sleep(1.0)
        assert not found.done(), "a committed event lies behind what is open"
        await slow.producer.abort_transaction()
        assert await found == {"second"}
        assert time.monotonic() - begun < 10.0
    finally:
        await slow.producer.stop()
        await quick.producer.stop()
    assert len(await committed(bootstrap_servers, topics.completions)) == 1


async def ready(node: NodeProcess) -> tuple[int, str]:
    async with http_client() as client:
        answer = await client.get(f"{node.url}/ready", timeout=15.0)
    return answer.status_code, answer.text


async def until_ready_says(node: NodeProcess, words: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while (answer := await ready(node))[0] != 503 or words not in answer[1]:
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_living_node_stands_still_where_commits_went_back_and_says_so(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    ids = [f"e{number}" for number in range(6)]
    command = hasty("consumer.lanes.lane:LASTING_SECONDS=1")
    async with node_on(bootstrap_servers, topics, tmp_path, command=command) as node:
        for export_id in ids:
            await upstream.request(export_id)
            await upstream.batch(export_id, 0, rows_of(0, 3), last=True)
        await events(bootstrap_servers, topics.completions, at_least=6)
        await asyncio.sleep(2)  # it has worked for a while: no trouble before
        to = Destination(topics, group_of(topics), {"bootstrap_servers": bootstrap_servers}, 9_999)
        thief = PartitionProducer(0, to)
        await thief.start()
        await thief.commit(Outcome(), ResumePoint(2, (), 2, 2))
        await thief.drop()
        await upstream.request("new")
        await upstream.batch("new", 0, rows_of(0, 3), last=True)
        await until_ready_says(node, "commits went back")
        assert len(await events(bootstrap_servers, topics.completions)) == 6
        assert node.terminate() == 0
    async with node_on(bootstrap_servers, topics, tmp_path, log="restarted.log"):
        done = by_id(await events(bootstrap_servers, topics.completions, at_least=7))
        assert done.keys() == {*ids, "new"}


@pytest.mark.slow
@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_look_that_a_foreign_transaction_holds_up_is_reported(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    await upstream.request("decided")
    unsaid = ended(topics, "decided")
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "decided.manifest.json").write_bytes(encode_event(unsaid))
    foreign = CompletionsWriter(bootstrap_servers, topics)
    await foreign.producer.start()
    await foreign.producer.begin_transaction()
    await foreign.send(an_event(topics, "foreign"))
    try:
        async with node_on(bootstrap_servers, topics, tmp_path) as node:
            await until_ready_says(node, "a transaction is open on the completions topic")
            assert not await events(bootstrap_servers, topics.completions)
            await foreign.producer.abort_transaction()
            done = await events(bootstrap_servers, topics.completions, at_least=1)
            assert done == [unsaid]
    finally:
        await foreign.producer.stop()
