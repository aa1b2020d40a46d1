"""The group put together: owners, and lag of both topics from commits, ends and log starts."""

from consumer.core.group_overview import (
    GroupNode,
    GroupOffsets,
    GroupPartition,
    overview_of,
)
from consumer.core.resume import Committed


def at(offset: int) -> Committed:
    return Committed(offset, "")


OFFSETS = GroupOffsets(
    committed={2: (at(5), at(40)), 0: (None, None), 1: (at(9), None)},
    ends={0: (3, 20), 1: (9, 7), 2: (6, 44)},
    log_starts={0: (1, 20), 1: (2, 4)},
)


def test_lag_is_above_the_commits_or_all_there_is() -> None:
    assert [OFFSETS.lag(number) for number in range(3)] == [2, 3, 5]


def test_lag_is_never_below_zero() -> None:
    recreated = GroupOffsets({0: (at(100), at(3))}, {0: (0, 5)}, {})
    assert recreated.lag(0) == 2


def test_each_partition_is_listed_once_with_its_owner() -> None:
    nodes = [GroupNode("b", "10.0.0.8", [2]), GroupNode("a", "10.0.0.7", [0])]
    found = overview_of("sluice", "Stable", nodes, OFFSETS, "b")
    assert found.nodes == [nodes[1], nodes[0]]
    assert found.partitions == [
        GroupPartition(0, 2, "a"),
        GroupPartition(1, 3, None),
        GroupPartition(2, 5, "b"),
    ]
    assert (found.group_id, found.state, found.lag) == ("sluice", "Stable", 10)
    assert found.answered_by == "b"


def test_a_group_without_members_has_partitions_all_the_same() -> None:
    found = overview_of("sluice", "Empty", [], OFFSETS, "a")
    assert [one.node for one in found.partitions] == [None, None, None]
    assert found.lag == 10


def test_a_partition_that_only_one_topic_has_is_not_listed() -> None:
    """Its node has it, as for Kafka; it isn't read until the other topic has it too."""
    found = overview_of("sluice", "Stable", [GroupNode("a", "h", [0, 3])], OFFSETS, "a")
    assert [one.partition for one in found.partitions] == [0, 1, 2]
    assert found.nodes[0].partitions == [0, 3]
