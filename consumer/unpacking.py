"""Unpacks packed record batches piece by piece, on a thread.

A batch may decompress to gigabytes, so each piece is bounded in bytes and time, and a large value
is read only when a turn needs it. Everything blocks except ``unpacked``. Invariant: the messages of
a batch come in order, each once, and none below the first offset wanted.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import TypeAlias

from aiokafka import ConsumerRecord

from clients.bounded_fetch import held_bytes
from clients.record_stream import (
    MAX_RECORD_BYTES,
    LargeValue,
    PackedBatch,
    RecordStream,
    StreamedRecord,
)
from consumer.daemon_threads import DaemonThreads
from consumer.exports.messages import LargeMessage
from schemas.limits import LARGE_BYTES

# The same limits as a turn's.
PIECE_BYTES = 1024 * 1024
PIECE_SECONDS = 0.05

# For reads outside the group. Not the event loop's own threads: HTTP bodies wait there.
THREADS = DaemonThreads(2, "unpack")

Consumed: TypeAlias = ConsumerRecord | LargeMessage


class Unpacking:
    """The messages of one packed batch, a piece at a time; ``ended`` once all were returned."""

    def __init__(
        self, packed: ConsumerRecord, first_offset: int = 0, most_bytes: int = MAX_RECORD_BYTES
    ) -> None:
        batch: PackedBatch = packed.value
        self.ended = False
        self._packed = packed
        self._stream = RecordStream(
            batch,
            first_offset=max(first_offset, batch.first_offset),
            most_bytes=most_bytes,
            large_bytes=LARGE_BYTES,
        )

    def piece(self) -> list[Consumed]:
        """The next messages, up to a piece's bytes and time; possibly none."""
        given: list[Consumed] = []
        held, until = 0, time.monotonic() + PIECE_SECONDS
        for record in self._stream:
            if record:
                message = self._message(record)
                given.append(message)
                if isinstance(message, LargeMessage):
                    return given  # the stream stands at its value
                held += held_bytes(message)
            if held >= PIECE_BYTES or time.monotonic() >= until:
                return given
        self.ended = True
        return given

    def _message(self, record: StreamedRecord) -> Consumed:
        packed, value, key = self._packed, record.value, record.key
        if isinstance(value, LargeValue):
            place = (packed.topic, packed.partition, record.offset, record.timestamp)
            return LargeMessage(*place, key, value.size_bytes, value.read)
        return ConsumerRecord(
            packed.topic,
            packed.partition,
            record.offset,
            record.timestamp,
            record.timestamp_type,
            key,
            value,
            None,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            record.headers,
        )


def is_packed(message: Consumed) -> bool:
    """Whether a message is a whole packed batch."""
    # Check the class first: accessing a large message's value reads it.
    return not isinstance(message, LargeMessage) and type(message.value) is PackedBatch


async def unpacked(
    messages: Sequence[ConsumerRecord], first_offset: int = 0
) -> AsyncIterator[Sequence[Consumed]]:
    """The messages, with packed batches unpacked, in pieces as they are read.

    Large messages come without their value: no event is large, and large requests aren't read.
    """
    begin, loop = 0, asyncio.get_running_loop()
    for end, message in enumerate(messages):
        if is_packed(message):
            yield messages[begin:end]
            begin = end + 1
            unpacking = Unpacking(message, first_offset, LARGE_BYTES)
            while not unpacking.ended:
                yield await loop.run_in_executor(THREADS, unpacking.piece)
    yield messages[begin:]
