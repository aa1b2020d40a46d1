"""What the cluster answers while a coordinator loads, by the bytes that it sends then."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from consumer import cluster
from consumer.cluster import Cluster, CommitsWentBack
from consumer.core.resume import Committed
from schemas.topics import Topics

TOPICS = Topics.named("x")
LOADS = OffsetFetchResponse_v3(0, [], 14)
"""COORDINATOR_LOAD_IN_PROGRESS: an error of the whole answer, and no partitions."""


class Coordinator(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka has no types
    """The real admin client on answers that a broker gave, instead of a connection."""

    def __init__(self, *answers: OffsetFetchResponse_v3) -> None:
        super().__init__()
        self.answers = list(answers)

    async def find_coordinator(self, *_: Any, **__: Any) -> int:
        return 0

    async def _send_request(self, *_: Any, **__: Any) -> OffsetFetchResponse_v3:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class LocalCluster(Cluster):
    """A cluster without a connection, whose logs all end at ``log_end``."""

    log_end = 100

    async def fetch_ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.log_end)


def answer(requests: int, records: int) -> OffsetFetchResponse_v3:
    topics = [(TOPICS.requests, [(3, requests, "", 0)]), (TOPICS.records, [(3, records, "", 0)])]
    return OffsetFetchResponse_v3(0, topics, 0)


async def committed(*answers: OffsetFetchResponse_v3) -> tuple[Committed | None, Committed | None]:
    async with cluster_on(*answers) as one:
        return await one.fetch_committed(3)


@asynccontextmanager
async def cluster_on(*answers: OffsetFetchResponse_v3) -> AsyncIterator[LocalCluster]:
    """A cluster that gets these answers, all of which have to be fetched; the last one for ever."""
    one = LocalCluster(TOPICS, "g", {"bootstrap_servers": "127.0.0.1:1"})
    one._admin = coordinator = Coordinator(*answers)
    try:
        yield one
    finally:
        await one.__aexit__()
    assert len(coordinator.answers) == 1


async def test_a_coordinator_that_loads_is_called_again() -> None:
    assert await committed(LOADS, LOADS, answer(5, 9)) == (Committed(5, ""), Committed(9, ""))


async def test_a_group_that_never_committed_is_known_at_once() -> None:
    assert await committed(answer(-1, -1)) == (None, None)


async def test_a_coordinator_with_an_older_commit_is_called_again() -> None:
    async with cluster_on(answer(5, 9), answer(3, 9), answer(5, 8), LOADS, answer(6, 9)) as one:
        await one.fetch_committed(3)
        assert await one.fetch_committed(3) == (Committed(6, ""), Committed(9, ""))


@pytest.mark.parametrize("older", [answer(4, 9), answer(5, 0), answer(-1, -1)])
async def test_no_commit_is_believed_that_is_older_than_one_before(
    older: OffsetFetchResponse_v3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_BACK_SECONDS", 0.2)
    async with cluster_on(answer(5, 9), older) as one:
        await one.fetch_committed(3)
        for _ in range(2):
            with pytest.raises(CommitsWentBack, match=r"went back, of x\.re\w+ 3 from \d to -?\d"):
                await one.fetch_committed(3)


async def test_commits_of_topics_that_were_made_again_are_believed() -> None:
    async with cluster_on(answer(5, 9), answer(-1, -1), answer(1, 0)) as one:
        await one.fetch_committed(3)
        one.log_end = 1
        assert await one.fetch_committed(3) == (None, None)
        assert await one.fetch_committed(3) == (Committed(1, ""), Committed(0, ""))
