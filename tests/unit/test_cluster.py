"""What the cluster answers while a coordinator loads, by the bytes that it sends then."""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from consumer.core.resume import Committed
from consumer.kafka.cluster import Cluster
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
        return self.answers.pop(0)


def answer(requests: int, records: int) -> OffsetFetchResponse_v3:
    topics = [(TOPICS.requests, [(3, requests, "", 0)]), (TOPICS.records, [(3, records, "", 0)])]
    return OffsetFetchResponse_v3(0, topics, 0)


async def committed(*answers: OffsetFetchResponse_v3) -> tuple[Committed | None, Committed | None]:
    cluster = Cluster(TOPICS, "g", {"bootstrap_servers": "127.0.0.1:1"})
    cluster._admin = coordinator = Coordinator(*answers)
    try:
        found = await cluster.committed(3)
    finally:
        await cluster.__aexit__()
    assert coordinator.answers == []
    return found


async def test_a_coordinator_that_loads_is_asked_again() -> None:
    assert await committed(LOADS, LOADS, answer(5, 9)) == (Committed(5, ""), Committed(9, ""))


async def test_a_group_that_never_committed_is_told_at_once() -> None:
    assert await committed(answer(-1, -1)) == (None, None)
