"""Batches that were handed on as they came, unpacked in pieces, on a thread.

What they hold may decompress to gigabytes; a piece is bounded by bytes and time, and a large value
is not read before a turn asks for it. Blocking code, but for ``unpacked``. Invariant: the messages
of a batch come in order, each once, and none below the first offset that is wanted.
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

# As a turn's share of bytes and time.
PIECE_BYTES = 1024 * 1024
PIECE_SECONDS = 0.05

# For reads beside the group. On the event loop's own threads, small bodies wait to be parsed.
THREADS = DaemonThreads(2, "unpack")

Consumed: TypeAlias = ConsumerRecord | LargeMessage


class Unpacking:
    """The messages of a packed batch, a piece at a time; ``ended`` once all were given."""

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
        """The next messages, up to a piece's bytes and time; it may be none yet."""
        given: list[Consumed] = []
        held, until = 0, time.monotonic() + PIECE_SECONDS
        for record in self._stream:
            if record:
                message = self._message(record)
                given.append(message)
                if isinstance(message, LargeMessage):
                    return given  # its value is next in the stream
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
    """Whether a message stands for a whole batch."""
    # A large message's value is read by looking at it.
    return not isinstance(message, LargeMessage) and type(message.value) is PackedBatch


async def unpacked(
    messages: Sequence[ConsumerRecord], first_offset: int = 0
) -> AsyncIterator[Sequence[Consumed]]:
    """The same messages, those of packed batches among them; in pieces, as these are read.

    A large one comes without its value: no event is large, and no large request is read.
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
