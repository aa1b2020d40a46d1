"""What the cluster answers while a coordinator loads, by the bytes that it sends then."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from consumer.core.resume import Committed
from consumer.kafka import cluster
from consumer.kafka.cluster import Cluster, CommitsWentBack
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


def answer(requests: int, records: int) -> OffsetFetchResponse_v3:
    topics = [(TOPICS.requests, [(3, requests, "", 0)]), (TOPICS.records, [(3, records, "", 0)])]
    return OffsetFetchResponse_v3(0, topics, 0)


async def committed(*answers: OffsetFetchResponse_v3) -> tuple[Committed | None, Committed | None]:
    async with asked(*answers) as one:
        return await one.committed(3)


@asynccontextmanager
async def asked(*answers: OffsetFetchResponse_v3) -> AsyncIterator[Cluster]:
    """A cluster that gets these answers, which have all to be asked for; the last one for ever."""
    one = Cluster(TOPICS, "g", {"bootstrap_servers": "127.0.0.1:1"})
    one._admin = coordinator = Coordinator(*answers)
    try:
        yield one
    finally:
        await one.__aexit__()
    assert len(coordinator.answers) == 1


async def test_a_coordinator_that_loads_is_asked_again() -> None:
    assert await committed(LOADS, LOADS, answer(5, 9)) == (Committed(5, ""), Committed(9, ""))


async def test_a_group_that_never_committed_is_told_at_once() -> None:
    assert await committed(answer(-1, -1)) == (None, None)


async def test_a_coordinator_that_tells_an_older_commit_is_asked_again() -> None:
    async with asked(answer(5, 9), answer(3, 9), answer(5, 8), LOADS, answer(6, 9)) as one:
        await one.committed(3)
        assert await one.committed(3) == (Committed(6, ""), Committed(9, ""))


@pytest.mark.parametrize("older", [answer(4, 9), answer(5, 0), answer(-1, -1)])
async def test_no_commit_is_believed_that_is_older_than_one_before(
    older: OffsetFetchResponse_v3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_BACK_SECONDS", 0.2)
    async with asked(answer(5, 9), older) as one:
        await one.committed(3)
        for _ in range(2):
            with pytest.raises(CommitsWentBack, match=r"went back, of x\.re\w+ 3 from \d to -?\d"):
                await one.committed(3)
