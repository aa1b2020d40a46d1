"""Reading the group: concurrent callers share a read, and its failures are one kind of error."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from consumer.cluster import Cluster, CommitsWentBack
from consumer.core.group_overview import CommittedPair, GroupNode, Pair
from consumer.core.resume import Committed
from consumer.errors import BacklogUnavailable
from consumer.group.group_reader import GroupReader
from consumer.group.member import Membership
from consumer.lanes.lane_context import LaneLimits


class TwoPartitions:
    """A cluster of two partitions, of which one has a commit."""

    group_id = "sluice"

    def __init__(self) -> None:
        self.reads = 0
        self.goes_on = asyncio.Event()
        self.failure: Exception | None = None

    async def fetch_members(self) -> tuple[str, list[GroupNode]]:
        self.reads += 1
        await self.goes_on.wait()
        if self.failure:
            raise self.failure
        return "Stable", [GroupNode("a", "10.0.0.7", [0])]

    async def fetch_pair_count(self) -> int:
        return 2

    async def fetch_all_committed(self, partitions: Iterable[int]) -> dict[int, CommittedPair]:
        assert [*partitions] == [0, 1]
        return {0: (Committed(3, ""), Committed(5, "")), 1: (None, None)}

    async def fetch_pair_ends(self, partitions: Iterable[int]) -> dict[int, Pair]:
        return dict.fromkeys(partitions, (3, 9))

    async def fetch_all_log_starts(self, partitions: Iterable[int]) -> dict[int, Pair]:
        return dict.fromkeys(partitions, (1, 1))


def reader_of(cluster: TwoPartitions) -> GroupReader:
    return GroupReader(cast("Cluster", cluster), "a")


async def test_concurrent_callers_share_a_read_and_later_ones_read_again() -> None:
    cluster = TwoPartitions()
    async with reader_of(cluster) as reader:
        asking = [asyncio.create_task(reader.overview()) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
        await asyncio.sleep(0)
        cluster.goes_on.set()
        first, second = await asyncio.gather(*asking[1:])
        assert first is second
        assert cluster.reads == 1
        assert [(one.partition, one.lag, one.node) for one in first.partitions] == [
            *((0, 4, "a"), (1, 10, None))
        ]
        await reader.overview()
        assert cluster.reads == 2


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (CommitsWentBack("the group's commits went back"), "the group's commits went back"),
        (KafkaConnectionError(), "Kafka doesn't answer"),
        (TimeoutError(), "Kafka doesn't answer"),
    ],
)
async def test_failures_of_kafka_are_one_error(failure: Exception, message: str) -> None:
    cluster = TwoPartitions()
    cluster.goes_on.set()
    cluster.failure = failure
    async with reader_of(cluster) as reader:
        with pytest.raises(BacklogUnavailable, match=message):
            await reader.overview()
        cluster.failure = None
        assert (await reader.overview()).lag == 14


async def test_a_read_under_way_ends_with_the_node() -> None:
    async with reader_of(TwoPartitions()) as reader:
        asking = asyncio.create_task(reader.overview())
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await asking


def membership(**more: Any) -> Membership:
    fields: dict[str, Any] = {"group_instance_id": None, "session_timeout_seconds": 10}
    limits = LaneLimits(800, 300, 300)
    return Membership(**{**fields, "drain_timeout_seconds": 5, "limits": limits, **more})


def test_a_member_has_a_name_that_people_know(monkeypatch: pytest.MonkeyPatch) -> None:
    for host, expected in (
        ("web-1.example", "web-1.example"),
        ("ü b", "__b"),
        ("h" * 200, "h" * 80),
    ):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        monkeypatch.setattr("os.getpid", lambda: 1234567)
        assert membership().client_id == f"sluice-{expected}-1234567"
    assert membership(group_instance_id="node-0").client_id == "node-0"
    assert membership(group_instance_id="n" * 249).client_id == "n" * 100
    assert membership().consumer_options()["client_id"] == membership().client_id
