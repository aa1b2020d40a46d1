"""Commits that go back, as a Kafka that lost some tells them: nothing is said twice."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumer.core.resume import ResumePoint
from consumer.kafka.cluster import Cluster
from consumer.kafka.said import SaidEvents
from schemas.completions import TerminalEvent
from schemas.topics import Topics
from tests.integration.test_backlog import commit, group_of
from tests.support.downstream import CompletionsWriter, ended
from tests.support.nodes import node_on
from tests.support.outcomes import by_id, committed, events
from tests.support.upstream import Upstream, rows_of

pytestmark = pytest.mark.kafka

EXPORTS = 30


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_node_that_is_told_old_commits_says_nothing_twice(
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
    left_out = [line["events"] for line in again.lines() if "said before" in line["event"]]
    assert sum(left_out) >= EXPORTS - 9


def contents(directory: Path) -> dict[str, bytes]:
    files = (directory / "exports").iterdir()
    return {path.name: path.read_bytes() for path in files if path.is_file()}


def an_event(topics: Topics, export_id: str, seconds_ago: float = 0.0) -> TerminalEvent:
    now = datetime.now(UTC).replace(microsecond=0)
    event = ended(topics, export_id)
    return event.model_copy(update={"completed_at": now - timedelta(seconds=seconds_ago)})


async def said(servers: str, topics: Topics, *asked: TerminalEvent) -> set[str]:
    options = {"bootstrap_servers": servers}
    async with Cluster(topics, group_of(topics), options) as cluster:
        return await SaidEvents(cluster, options).among(asked)


async def test_what_is_committed_is_said_and_what_is_aborted_is_not(
    bootstrap_servers: str, topics: Topics
) -> None:
    there, aborted, absent = (an_event(topics, name) for name in ("there", "aborted", "absent"))
    assert await said(bootstrap_servers, topics, there) == set()
    writer = CompletionsWriter(bootstrap_servers, topics)
    await writer.producer.start()
    try:
        await writer.commit(*(an_event(topics, f"e{number}") for number in range(700)), there)
        await writer.producer.begin_transaction()
        await writer.send(aborted)
        await writer.producer.abort_transaction()
    finally:
        await writer.producer.stop()
    assert await said(bootstrap_servers, topics, there, aborted, absent) == {"there"}
    earlier = an_event(topics, "e5", seconds_ago=3600.0)
    assert await said(bootstrap_servers, topics, earlier) == {"e5"}, "the id tells, not the rest"


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
        asked = asyncio.create_task(said(bootstrap_servers, topics, second, first))
        begun = time.monotonic()
        await asyncio.sleep(1.0)
        assert not asked.done(), "a committed event lies behind what is open"
        await slow.producer.abort_transaction()
        assert await asked == {"second"}
        assert time.monotonic() - begun < 10.0
    finally:
        await slow.producer.stop()
        await quick.producer.stop()
    assert len(await committed(bootstrap_servers, topics.completions)) == 1
