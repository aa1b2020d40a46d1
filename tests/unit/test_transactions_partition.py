"""Which partition a record goes to that a node sends, and what its key costs."""

from aiokafka.partitioner import DefaultPartitioner

from consumer.lanes.transactions import partition_of
from tests.support.cpu import cpu_time

_PARTITIONS = list(range(12))


def test_usual_keys_go_where_every_client_sends_them() -> None:
    usual = DefaultPartitioner()
    for number in range(100):
        key = f"ord-2026-{number}".encode() * (number % 20 + 1)
        assert partition_of(key, _PARTITIONS, _PARTITIONS) == usual(key, _PARTITIONS, _PARTITIONS)
    assert partition_of(None, _PARTITIONS, [3]) == 3


def test_a_huge_key_costs_no_time() -> None:
    key = b"k" * 16_000_000
    with cpu_time() as took:
        assert partition_of(key, _PARTITIONS, _PARTITIONS) in _PARTITIONS
    assert took.seconds < 0.1
