"""Packed batches, unpacked beside an event loop: no step is long, whatever the frames hold."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from clients.lenient_records import LenientRecords, batches_handed_on
from consumer.unpacking import PIECE_SECONDS, Unpacking, unpacked
from tests.support.batches import CODECS, framed, record
from tests.support.cpu import cpu_time
from tests.support.tiny_frames import KINDS, tiny_frames

MIB = 1024 * 1024
VALUES = [b"a" * 250_000, b"b" * 10]


def handed_on(kind: str) -> tuple[ConsumerRecord, float]:
    """A batch of 4 MiB of tiny frames, as the consumer gives it; seconds of the event loop."""
    records = b"".join(piece for n in (0, 1) for piece in record(n, b"k", VALUES[n]))
    data = framed(CODECS[kind], tiny_frames(kind, records, 4 * MIB), 2)
    with cpu_time() as took, batches_handed_on():
        (given,) = LenientRecords(data).next_batch()
    message: Any = ("t", 0, given.offset, 0, 0, None, given.value, None, -1, -1, ())
    return ConsumerRecord(*message), took.seconds


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_tiny_frames_are_handed_on_at_once_and_unpacked_in_short_steps(kind: str) -> None:
    packed, loop_seconds = handed_on(kind)
    assert loop_seconds < PIECE_SECONDS
    unpacking, found, longest = Unpacking(packed), [], 0.0
    while not unpacking.ended:
        with cpu_time() as took:
            found += unpacking.piece()
        longest = max(longest, took.seconds)
    assert [message.value for message in found] == VALUES
    # zstd can't be stopped between frames, but reads more than 100 MB of them in a second.
    assert longest < 3 * PIECE_SECONDS


async def test_unpacking_has_threads_of_its_own() -> None:
    """Those of asyncio parse small bodies; all of them are busy here."""
    packed, _ = handed_on("zstd")
    go_on, loop = threading.Event(), asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as busy:
        loop.set_default_executor(busy)
        parsing = loop.run_in_executor(None, go_on.wait)
        try:
            async with asyncio.timeout(10):
                assert [it.value async for some in unpacked([packed]) for it in some] == VALUES
        finally:
            go_on.set()
        await parsing
