"""Whose turns come first on a real Kafka: one slot, many partitions, all of the load there at once.

The slot is held until all batches were fetched, and by the clock of the slots each turn takes as
long as any other. So their order doesn't depend on how busy the machine is.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from consumer.core.fair_queue import Claim
from consumer.group.group import ConsumerGroup
from consumer.storage.local import LocalStorage
from schemas.topics import Topics
from tests.support.groups import context_of, group_of
from tests.support.outcomes import by_id, events
from tests.support.upstream import Upstream
from tests.support.waiting import until

PARTITIONS = 9
pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.parametrize("topics", [PARTITIONS], indirect=True),
]


class OneSlot:
    """A group that has one slot, and an upstream of it."""

    def __init__(
        self, servers: str, topics: Topics, group: ConsumerGroup, upstream: Upstream
    ) -> None:
        self._servers = servers
        self._group = group
        self._upstream = upstream
        self._topics = topics
        self._opened = 0
        self._sent: Counter[int] = Counter()

    async def open(self, export_id: str, partition: int, **fields: object) -> None:
        """Request an export; returns once it is open."""
        request = {"type": "export.requested", "export_id": export_id, "format": "csv"}
        sent = {**request, "columns": ["t"], **fields}
        await self._upstream.send(self._topics.requests, export_id, sent, partition)
        self._opened += 1
        await until(lambda: sum(lane.open_count for lane in self._group.lanes) == self._opened)

    async def fill(self, export_id: str, partition: int, turns: int) -> None:
        """Send its batches, two a turn; returns once all are fetched and the lane wants a slot.

        A lane that wants one may have taken the first batch alone; then there is one turn more.
        """
        for seq in range(2 * turns):
            batch = {"export_id": export_id, "seq": seq, "rows": [["x" * 6_000]] * 100}
            last = {"last": seq == 2 * turns - 1}
            await self._upstream.send(self._topics.records, export_id, batch | last, partition)
        self._sent[partition] += 2 * turns
        feed = self._group.lanes[partition].records
        await until(lambda: feed.position == self._sent[partition])
        await until(lambda: len(self._group.slots._waiting) == len(self._sent))

    @asynccontextmanager
    async def held(self) -> AsyncIterator[list[tuple[str, int]]]:
        """Hold the slot for the block; gives the user and priority of each turn after it.

        The turns are in it once all exports have completed, which is waited for.
        """
        turns: list[tuple[str, int]] = []
        with capture_logs() as lines:
            async with self._group.slots.turn(Claim("nobody", 0)):
                yield turns
            done = await events(self._servers, self._topics.completions, at_least=self._opened)
        assert {event.type for event in by_id(done).values()} == {"export.completed"}
        turns += [(line["user"], line["priority"]) for line in lines if line["event"] == "turn"]


@pytest.fixture
async def one_slot(
    bootstrap_servers: str,
    topics: Topics,
    upstream: Upstream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[OneSlot]:
    """A turn ends by its bytes alone, and takes a second."""
    clock = SimpleNamespace(monotonic=count().__next__)
    monkeypatch.setattr("consumer.lanes.slots.time", clock)
    storage = LocalStorage(tmp_path / "exports")
    storage.check()
    now = time.monotonic()
    context = replace(context_of(storage), monotonic=lambda: now)
    async with group_of(bootstrap_servers, topics, context, capacity=1) as group:
        await until(lambda: sum(lane.working for lane in group.lanes) == PARTITIONS)
        yield OneSlot(bootstrap_servers, topics, group, upstream)


async def test_a_user_with_one_export_does_not_wait_for_another_with_sixteen(
    one_slot: OneSlot,
) -> None:
    of_alice = {f"a-{number}": number % 8 for number in range(16)}
    for export_id, partition in of_alice.items():
        await one_slot.open(export_id, partition, user="alice")
    await one_slot.open("bob", 8, user="bob")
    async with one_slot.held() as turns:
        for export_id, partition in of_alice.items():
            await one_slot.fill(export_id, partition, turns=1)
        await one_slot.fill("bob", 8, turns=3)
    # In order of arrival eight turns of alice's would come before each of bob's.
    users = [user for user, _ in turns]
    of_bob = users.count("bob")
    assert of_bob >= 3
    assert users[: 2 * of_bob] == ["alice", "bob"] * of_bob


async def test_priority_counts_among_ones_own_and_takes_nothing_from_others(
    one_slot: OneSlot,
) -> None:
    for partition in (0, 1, 2):
        await one_slot.open(f"later-{partition}", partition, user="alice", priority=0)
    await one_slot.open("first", 3, user="alice", priority=9)
    await one_slot.open("carol", 4, user="carol", priority=0)
    async with one_slot.held() as turns:
        for partition in (0, 1, 2):
            await one_slot.fill(f"later-{partition}", partition, turns=2)
        await one_slot.fill("first", 3, turns=3)
        await one_slot.fill("carol", 4, turns=3)
    first, carol = ("alice", 9), ("carol", 0)
    of_first = turns.count(first)
    assert of_first >= 3
    assert turns[: 2 * of_first - 1] == ([first, carol] * of_first)[:-1]
