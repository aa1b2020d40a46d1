"""What a message is taken to hold, against what Python says that it holds."""

import tracemalloc

import pytest
from aiokafka import ConsumerRecord

from clients.bounded_fetch import held_bytes
from clients.record_stream import PackedBatch
from consumer.unpacking import Unpacking
from tests.support.batches import packed, record

MESSAGES = 2_000


@pytest.mark.parametrize(
    "headers", [[], [(b"trace", b"x" * 20)], [(b"h%d" % n, b"text") for n in range(20)]], ids=len
)
def test_a_message_holds_about_what_it_counts_as(headers: list[tuple[bytes, bytes]]) -> None:
    records = [record(n, b"export-1", b"x" * 20, headers=headers) for n in range(MESSAGES)]
    batch = ConsumerRecord(
        "t", 0, MESSAGES - 1, 0, 0, None, PackedBatch(packed(0, records)), None, -1, 0, ()
    )
    unpacking = Unpacking(batch)
    messages = []
    tracemalloc.start()
    while not unpacking.ended:
        messages += unpacking.piece()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(messages) == MESSAGES
    assert sum(map(held_bytes, messages)) == pytest.approx(held, rel=0.25)
