"""``completions()`` on a real Kafka: each event until it is handled, whatever comes in between."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import (
    AsyncExitStack,
)

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from broker.embedded import EmbeddedKafka
from clients.errors import ClientError
from producer.downstream import REMEMBERED_EVENTS, Completions, completions
from schemas.completions import TerminalEvent, encode_event
from schemas.topics import Topics
from tests.support.downstream import (
    CompletionsWriter,
    CrashError,
    Service,
    admin_of,
    ended,
    writing,
)
from tests.support.topics import created_topics

pytestmark = pytest.mark.kafka


@pytest.fixture
async def node(bootstrap_servers: str, topics: Topics) -> AsyncIterator[CompletionsWriter]:
    async with writing(bootstrap_servers, topics) as writer:
        yield writer


@pytest.fixture
def service(bootstrap_servers: str, topics: Topics) -> Service:
    return Service(bootstrap_servers, topics)


async def take(events: Completions, count: int, seconds: float = 20) -> list[TerminalEvent]:
    """So many events; the last one is not handled."""
    async with asyncio.timeout(seconds):
        return [await anext(events) for _ in range(count)]


async def handle_next(events: Completions) -> TerminalEvent:
    (event,) = await take(events, 1)
    await events.commit()
    return event


async def nothing_more(events: Completions, seconds: float = 1.0) -> bool:
    with pytest.raises(TimeoutError):
        await take(events, 1, seconds)
    return True


def ids(events: list[TerminalEvent]) -> list[str]:
    return [event.export_id for event in events]


async def test_committed_events_come_whole_and_aborted_ones_never(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    sent = [ended(topics, f"ord-{number}") for number in range(40)]
    await node.commit(*sent[:20])
    await node.producer.begin_transaction()
    await node.send(ended(topics, "aborted"))
    await node.producer.abort_transaction()
    async with service.joined() as events:
        found = await take(events, 20)
        await node.commit(*sent[20:])
        found += await take(events, 20)
        assert await nothing_more(events)
    assert {event.export_id: event for event in found} == {e.export_id: e for e in sent}
    assert len(found) == 40


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_an_offset_is_committed_when_the_next_event_is_taken(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    await node.commit(*(ended(topics, f"ord-{number}") for number in range(3)))
    committed = []
    async with service.joined() as events:
        async for event in events:
            committed.append((event.export_id, await service.committed()))
            if len(committed) == 3:
                break
    assert committed == [("ord-0", {}), ("ord-1", {0: 1}), ("ord-2", {0: 2})]
    assert await service.committed() == {0: 2}, "the body of the last one was left by break"


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_what_a_body_crashed_on_is_given_to_the_next_member(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    await node.commit(*(ended(topics, f"ord-{number}") for number in range(3)))
    assert await service.crash_on("ord-1") == ["ord-0", "ord-1"]
    async with service.joined() as events:
        assert ids(await take(events, 2)) == ["ord-1", "ord-2"]


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_loop_that_failed_begins_again_with_the_event_it_failed_on(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    await node.commit(*(ended(topics, f"ord-{number}") for number in range(3)))
    given: list[str] = []

    async def fail_once(events: Completions) -> None:
        async for event in events:
            given.append(event.export_id)
            if given.count("ord-1") == 1:
                raise CrashError
            if event.export_id == "ord-2":
                await events.commit()
                break

    async with service.joined() as events:
        with pytest.raises(CrashError):
            await fail_once(events)
        await fail_once(events)
    assert given == ["ord-0", "ord-1", "ord-1", "ord-2"]
    assert await service.committed() == {0: 3}


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_copy_is_given_once_and_its_offset_committed(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    first, second = ended(topics, "ord-1", offset=1), ended(topics, "ord-2", offset=2)
    await node.commit(first, first, second)
    await node.commit(first)
    async with service.joined() as events:
        assert ids(await take(events, 2)) == ["ord-1", "ord-2"]
        assert await nothing_more(events)
        assert events.repeated == 2
    assert max((await service.committed()).values()) == 5  # with the first transaction's marker


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_copy_of_an_event_that_was_not_handled_is_given(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    """The id counts when the body is done, not when it begins."""
    event = ended(topics, "ord-1")
    await node.commit(event, event)
    assert await service.crash_on("ord-1") == ["ord-1"]
    async with service.joined() as events:
        assert ids(await take(events, 1)) == ["ord-1"]


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_beyond_the_window_a_copy_is_given_again(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    others = [ended(topics, "other", offset=number) for number in range(REMEMBERED_EVENTS)]
    async with node.producer.transaction():
        for event in [ended(topics, "ord-1"), *others, ended(topics, "ord-1")]:
            await node.producer.send(node.topic, encode_event(event), key=b"one")
    async with service.joined() as events:
        found = ids(await take(events, REMEMBERED_EVENTS + 2, seconds=60))
        assert (found[0], found[-1], events.repeated) == ("ord-1", "ord-1", 0)


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_poison_is_skipped_counted_and_not_met_again(
    service: Service, topics: Topics, node: CompletionsWriter, bootstrap_servers: str
) -> None:
    async with node.producer.transaction():
        for value in (b"{}", None, b"\xff", b"[" * 5000, b'{"type": "export.completed"}'):
            await node.producer.send_and_wait(node.topic, value, key=b"x")
    odd_header = [sys.executable, "-m", "tests.support.odd_headers", bootstrap_servers]
    odd = encode_event(ended(topics, "odd", offset=1)).decode()
    subprocess.run(
        [*odd_header, node.topic, "odd", odd],
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
        check=True,
    )
    await node.commit(ended(topics, "ord-1"))
    async with service.joined() as events:
        assert ids(await take(events, 2)) == ["odd", "ord-1"]
        assert events.skipped == 5
    async with service.joined() as events:
        assert (await handle_next(events)).export_id == "ord-1"
        assert events.skipped == 0


async def test_a_cancelled_member_leaves_at_once_and_loses_nothing(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    await node.commit(ended(topics, "ord-1"))
    at_work = asyncio.Event()

    async def work() -> None:
        async with service.joined(session_timeout_seconds=60) as events:
            async for _ in events:
                at_work.set()
                await asyncio.Event().wait()

    for _ in range(2):  # in the body, and while it waits for an event
        task = asyncio.create_task(work())
        await asyncio.wait_for(at_work.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await service.members() == 0
        at_work.clear()
    async with service.joined() as events:
        assert (await handle_next(events)).export_id == "ord-1"
        waiting = asyncio.create_task(take(events, 1))
        await asyncio.sleep(0.5)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await node.commit(ended(topics, "ord-2"))
        assert ids(await take(events, 1)) == ["ord-2"]
    assert await service.members() == 0


@pytest.mark.parametrize("topics", [12], indirect=True)
async def test_two_members_share_and_each_event_goes_to_one(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    given: dict[str, list[str]] = {"one": [], "two": []}
    members: list[Completions] = []

    async def work(name: str) -> None:
        async with service.joined() as events:
            members.append(events)
            async for event in events:
                given[name].append(event.export_id)
                await asyncio.sleep(0.02)  # so that rebalances meet a body at work

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        one = group.create_task(work("one"))
        await node.commit(*(ended(topics, f"a-{number}") for number in range(200)))
        while not given["one"]:
            await asyncio.sleep(0.01)
        two = group.create_task(work("two"))
        while not given["two"]:
            await asyncio.sleep(0.01)
        await node.commit(*(ended(topics, f"b-{number}") for number in range(100)))
        while len(given["one"]) + len(given["two"]) < 250:
            await asyncio.sleep(0.01)
        two.cancel()
        await asyncio.gather(two, return_exceptions=True)
        left_over = given["two"].pop()  # in hand as it was cancelled
        while len(given["one"]) + len(given["two"]) < 300:
            await asyncio.sleep(0.01)
        one.cancel()
    together = given["one"] + given["two"]
    assert sorted(together) == sorted(
        [*(f"a-{number}" for number in range(200)), *(f"b-{number}" for number in range(100))]
    )
    assert left_over in given["one"]
    assert [member.repeated for member in members] == [0, 0], "rebalances waited for the body"
    assert len(given["two"]) > 20


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_body_that_outlasts_a_rebalance_has_its_event_given_again(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    """At least once: the next owner of the partition gets it; the late one moves no offset."""
    await node.commit(ended(topics, "ord-1"), ended(topics, "ord-2"))
    async with AsyncExitStack() as leaving:
        late = await leaving.enter_async_context(service.joined(handling_timeout_seconds=0.5))
        assert ids(await take(late, 1)) == ["ord-1"]
        async with service.joined() as other:
            first = asyncio.create_task(take(other, 1))
            while await service.members() != 2:
                await asyncio.sleep(0.1)
            await late.commit()
            assert await service.committed() == {}
            await leaving.aclose()
            assert ids(await first) == ["ord-1"]
            assert ids(await take(other, 1)) == ["ord-2"]
            assert await service.committed() == {0: 1}


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_a_member_that_gets_its_partition_back_passes_over_what_it_has_handled(
    service: Service, topics: Topics, node: CompletionsWriter
) -> None:
    await node.commit(ended(topics, "ord-1"), ended(topics, "ord-2"))
    async with service.joined(handling_timeout_seconds=0.5) as late:
        assert ids(await take(late, 1)) == ["ord-1"]
        async with service.joined():
            while await service.members() != 2:
                await asyncio.sleep(0.1)
        assert ids(await take(late, 1)) == ["ord-2"]
        assert late.repeated == 1
        assert await service.committed() == {0: 1}


@pytest.mark.parametrize("topics", [1], indirect=True)
async def test_events_that_retention_removed_are_an_error(
    service: Service, topics: Topics, node: CompletionsWriter, bootstrap_servers: str
) -> None:
    await node.commit(*(ended(topics, f"ord-{number}") for number in range(3)))
    async with service.joined() as events:
        assert (await handle_next(events)).export_id == "ord-0"
    async with admin_of(bootstrap_servers) as admin:
        partition = TopicPartition(topics.completions, 0)
        await admin.delete_records({partition: RecordsToDelete(before_offset=3)})
    async with service.joined() as events:
        with pytest.raises(ClientError, match=r"completions partition 0 offset 1 is gone"):
            await take(events, 1)


async def test_a_missing_topic_is_named(service: Service, bootstrap_servers: str) -> None:
    with pytest.raises(ClientError, match=r"no such topic: nobody\.completions"):
        async with completions(Topics.named("nobody"), "g", bootstrap_servers=bootstrap_servers):
            pass


@pytest.mark.slow
async def test_a_broker_that_is_killed_and_comes_back_loses_no_event(
    mortal_kafka: EmbeddedKafka,
) -> None:
    kafka, servers = mortal_kafka, mortal_kafka.bootstrap_servers
    async with created_topics(servers, 3) as topics:
        service = Service(servers, topics)
        async with writing(servers, topics) as node:
            await node.commit(*(ended(topics, f"a-{number}") for number in range(10)))
        async with service.joined() as events:
            found = ids(await take(events, 5))
            kafka.kill()
            rest = asyncio.create_task(take(events, 15, 120))
            await asyncio.sleep(3)
            assert not rest.done()
            kafka.spawn()
            await asyncio.to_thread(kafka.wait_ready)
            async with writing(servers, topics) as node:
                await node.commit(*(ended(topics, f"b-{number}") for number in range(10)))
            found += ids(await rest)
            await events.commit()
        assert sorted(found) == sorted(f"{kind}-{n}" for kind in "ab" for n in range(10))
        async with asyncio.timeout(60), service.joined() as events:
            assert await nothing_more(events)
