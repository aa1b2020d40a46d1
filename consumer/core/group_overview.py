"""The consumer group as operators see it: its nodes, who owns which partition, and the lag.

Pure; ``consumer.group.group_reader`` reads Kafka for it. Invariant: each partition is listed once,
owned or not, and the lags add up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from consumer.core.resume import Committed

Pair: TypeAlias = tuple[int, int]
"""Offsets of requests and records of one partition."""
CommittedPair: TypeAlias = tuple[Committed | None, Committed | None]
"""The group's commits for both; None where there is no commit."""


@dataclass(frozen=True, slots=True)
class GroupNode:
    """A member of the group: its client id, its address, and its partitions, ascending."""

    name: str
    host: str
    partitions: Sequence[int]


@dataclass(frozen=True, slots=True)
class GroupPartition:
    """A partition, its lag in records, and the name of the node that owns it, if one does."""

    partition: int
    lag: int
    node: str | None


@dataclass(frozen=True, slots=True)
class GroupOverview:
    """The response of ``GET /group``.

    ``state`` is Kafka's word for it, such as ``Stable``. ``lag`` is that of all partitions.
    ``answered_by`` is the name of the node that answers, which may be no member at the moment.
    """

    group_id: str
    state: str
    nodes: Sequence[GroupNode]
    partitions: Sequence[GroupPartition]
    lag: int
    answered_by: str


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """Offsets by partition. ``log_starts`` has at least those of which a commit is missing."""

    committed: Mapping[int, CommittedPair]
    ends: Mapping[int, Pair]
    log_starts: Mapping[int, Pair]

    def lag(self, partition: int) -> int:
        """Records of both topics above the group's commits, or in the log where there are none."""
        starts = self.log_starts.get(partition, (0, 0))
        ranges = zip(self.committed[partition], starts, self.ends[partition], strict=True)
        # The end may be below a commit if the topic was created again under the same name.
        return sum(max(0, end - (one.offset if one else start)) for one, start, end in ranges)


def overview_of(
    group_id: str, state: str, nodes: Iterable[GroupNode], offsets: GroupOffsets, answered_by: str
) -> GroupOverview:
    """Put it together: nodes by name, partitions by number."""
    ordered = sorted(nodes, key=lambda node: (node.name, node.host))
    owners = {number: node.name for node in ordered for number in node.partitions}
    partitions = [
        GroupPartition(number, offsets.lag(number), owners.get(number))
        for number in sorted(offsets.committed)
    ]
    lag = sum(one.lag for one in partitions)
    return GroupOverview(group_id, state, ordered, partitions, lag, answered_by)
