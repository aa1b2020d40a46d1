"""A member in the test's own process: what its listener does when something is not as usual."""

import threading
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import IllegalStateError

from consumer.group.group import ConsumerGroup
from consumer.group.member import Member
from consumer.storage.local import LocalStorage
from schemas.completions import TerminalEvent
from schemas.topics import Topics
from tests.support.groups import context_of, group_of
from tests.support.nodes import node_on
from tests.support.outcomes import by_id, events
from tests.support.upstream import Upstream, csv_bytes, file_names, rows_of
from tests.support.waiting import until

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.parametrize("topics", [2], indirect=True),
]

SETTINGS: dict[str, Any] = {"SESSION_TIMEOUT_SECONDS": 6, "DRAIN_TIMEOUT_SECONDS": 1}


class SlowStorage(LocalStorage):
    """Takes its time to decide, until ``may_go_on``; ``hangs`` is set while it does."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.hangs = threading.Event()
        self.may_go_on = threading.Event()

    def decide(self, event: TerminalEvent) -> TerminalEvent:
        """See ``Storage.decide``."""
        self.hangs.set()
        assert self.may_go_on.wait(60)
        return super().decide(event)


def member_of(group: ConsumerGroup) -> Member:
    assert group._member
    return group._member


async def test_a_turn_that_hangs_past_the_drain_decides_nothing_when_it_wakes_up(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    """The rebalance does not wait for it; the other node ends the export meanwhile."""
    storage = SlowStorage(tmp_path / "exports")
    storage.check()
    ids = ["a", "b", "c", "d"]
    async with group_of(bootstrap_servers, topics, context_of(storage)) as group:
        for export_id in ids:
            await upstream.request(export_id)
            await upstream.batch(export_id, 0, rows_of(0, 10), last=True)
        await until(storage.hangs.is_set)
        hung = {lane.partition: lane for lane in group.lanes}
        async with node_on(bootstrap_servers, topics, tmp_path, **SETTINGS) as other:
            assert len(group.lanes) == 1, "it has given one of two up, hung as it was"
            (lost,) = hung.keys() - {lane.partition for lane in group.lanes}
            assert not hung[lost]._task.done()
            storage.may_go_on.set()
            done = by_id(await events(bootstrap_servers, topics.completions, at_least=len(ids)))
            await until(hung[lost]._task.done)
            assert other.terminate() == 0
    assert {event.type for event in done.values()} == {"export.completed"}
    for export_id in ids:
        content = (tmp_path / "exports" / f"{export_id}.csv").read_bytes()
        assert content == csv_bytes(rows_of(0, 10))
    assert len(file_names(tmp_path)) == 2 * len(ids)


async def test_what_a_listener_raises_ends_the_member_and_another_one_is_made(
    bootstrap_servers: str, topics: Topics, upstream: Upstream, tmp_path: Path
) -> None:
    """aiokafka would log and swallow it, and the node would serve nothing."""
    context = context_of(LocalStorage(tmp_path / "exports"))
    async with group_of(bootstrap_servers, topics, context) as group:
        first = member_of(group)
        await first.on_partitions_assigned([TopicPartition("of nobody", 0)])
        assert isinstance(first._failure.exception(), IllegalStateError)
        await until(lambda: group._member not in (None, first) and not group.problems())
        assert sorted(lane.partition for lane in group.lanes) == [0, 1]
        await upstream.request("a")
        await upstream.batch("a", 0, rows_of(0, 10), last=True)
        await events(bootstrap_servers, topics.completions, at_least=1)


async def test_half_a_pair_is_not_worked_on_and_reported(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    context = context_of(LocalStorage(tmp_path / "exports"))
    async with group_of(bootstrap_servers, topics, context) as group:
        whole = [TopicPartition(topics.records, 0), TopicPartition(topics.records, 1)]
        await member_of(group).on_partitions_assigned([*whole, TopicPartition(topics.requests, 1)])
        assert [lane.partition for lane in group.lanes] == [1]
        assert "partition 0 is assigned of one input topic only" in group.problems()


async def make_export(servers: str, topics: Topics, export_id: str) -> None:
    """By a producer of its own, which knows nothing of topics as they were."""
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        upstream = Upstream(producer, topics)
        await upstream.request(export_id)
        await upstream.batch(export_id, 0, rows_of(0, 10), last=True)


async def test_topics_that_are_made_again_are_found(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    context = context_of(LocalStorage(tmp_path / "exports"))
    async with group_of(bootstrap_servers, topics, context, metadata_age_seconds=1) as group:
        for number in range(3):  # so that the new topics end before what is committed of these
            await make_export(bootstrap_servers, topics, f"before-{number}")
        await events(bootstrap_servers, topics.completions, at_least=3)
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
        await admin.start()
        inputs = astuple(topics)[:2]
        await admin.delete_topics(list(inputs))
        await until(lambda: not group.lanes)
        await admin.create_topics([NewTopic(name, 2, 1) for name in inputs])
        await admin.close()
        await until(lambda: len(group.lanes) == 2 and not group.problems())
        await make_export(bootstrap_servers, topics, "a")
        await events(bootstrap_servers, topics.completions, at_least=4)
