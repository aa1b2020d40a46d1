"""Whose turns come first on a real Kafka: one slot, many partitions, all of the load there at once.

Judged by the order of the node's own log lines, never by a clock.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import Topics
from tests.support.nodes import NodeProcess, node_on
from tests.support.outcomes import by_id, events
from tests.support.upstream import Upstream

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@asynccontextmanager
async def one_slot(servers: str, topics: Topics, directory: Path) -> AsyncIterator[NodeProcess]:
    """A node with one slot that has taken all partitions over."""
    async with node_on(servers, topics, directory, MAX_CONCURRENCY=1, LOG_LEVEL="debug") as node:
        while len(logged(node, "partition taken over", "partition")) < 12:
            await asyncio.sleep(0.05)
        yield node


@asynccontextmanager
async def all_at_once(servers: str, topics: Topics) -> AsyncIterator[Upstream]:
    """An upstream whose messages can be read by nobody before the block has ended, then all can."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, transactional_id=topics.requests, compression_type="gzip"
    )
    await producer.start()
    try:
        async with producer.transaction():
            yield Upstream(producer, topics)
    finally:
        await producer.stop()


async def publish(
    upstream: Upstream, topics: Topics, export_id: str, partition: int, turns: int, **fields: object
) -> None:
    """An export of so many turns, as two of its batches are a turn's bytes."""
    request = {"type": "export.requested", "export_id": export_id, "format": "csv"}
    await upstream.send(
        topics.requests, export_id, {**request, "columns": ["t"], **fields}, partition
    )
    for seq in range(2 * turns):
        batch = {"export_id": export_id, "seq": seq, "rows": [["x" * 6_000]] * 100}
        last = {"last": seq == 2 * turns - 1}
        await upstream.send(topics.records, export_id, {**batch, **last}, partition)


def logged(node: NodeProcess, event: str, field: str) -> list[str]:
    return [str(line[field]) for line in node.lines() if line["event"] == event]


async def completed(node: NodeProcess, servers: str, topics: Topics, exports: int) -> list[str]:
    """The ids of the exports, in the order in which they completed; all have to."""
    done = by_id(await events(servers, topics.completions, at_least=exports))
    assert {event.type for event in done.values()} == {"export.completed"}
    ended = logged(node, "export.completed", "export_id")
    assert sorted(ended) == sorted(done)
    return ended


async def test_a_user_with_one_export_does_not_wait_for_another_with_twenty(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with one_slot(bootstrap_servers, topics, tmp_path) as node:
        async with all_at_once(bootstrap_servers, topics) as upstream:
            for number in range(20):
                where = number % 8
                await publish(upstream, topics, f"a-{number}", where, 2, user="alice")
            await publish(upstream, topics, "bob", 8, 6, user="bob")
        ended = await completed(node, bootstrap_servers, topics, 21)
        users = logged(node, "turn", "user")
    # In order of arrival eight turns of alice's would come before each of bob's.
    assert ended.index("bob") <= 5
    until_bob = users[: len(users) - users[::-1].index("bob")]
    assert until_bob.count("alice") <= users.count("alice") / 2


async def test_priority_counts_among_ones_own_and_takes_nothing_from_others(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    async with one_slot(bootstrap_servers, topics, tmp_path) as node:
        async with all_at_once(bootstrap_servers, topics) as upstream:
            for where in (0, 1, 2):
                own: dict[str, object] = {"user": "alice", "priority": 0}
                await publish(upstream, topics, f"later-{where}", where, 4, **own)
            await publish(upstream, topics, "first", 3, 6, user="alice", priority=9)
            await publish(upstream, topics, "carol", 4, 6, user="carol", priority=0)
        ended = await completed(node, bootstrap_servers, topics, 5)
        users, priorities = logged(node, "turn", "user"), logged(node, "turn", "priority")
    turns = list(zip(users, priorities, strict=True))
    first, of_carol = ("alice", "9"), ("carol", "0")
    while_first = turns[turns.index(first) : len(turns) - turns[::-1].index(first)]
    assert while_first.count(first) >= 6
    assert while_first.count(("alice", "0")) <= 1, "the others wait, unless a fetch is late"
    assert while_first.count(of_carol) >= 2, "another user's lowest is as good as one's highest"
    assert set(ended[-2:]) < {"later-0", "later-1", "later-2"}, ended
