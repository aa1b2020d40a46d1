"""Messages fetched from one topic partition and not handled yet, with backpressure.

Invariants: ``position`` is the offset after everything put in, markers included, so an empty feed
whose position has reached an end offset has been read to that end; and batches are unpacked before
they are taken.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from clients.bounded_fetch import held_bytes
from clients.record_stream import MAX_RECORD_BYTES
from consumer.exports.messages import LargeMessage
from consumer.unpacking import Consumed, Unpacking, is_packed

# Of one feed, and of all feeds of a member. A full feed holds back its partition, not the poll.
PAUSE_BYTES = 4 * 1024 * 1024
HELD_BYTES = 48 * 1024 * 1024
_LEAST_PAUSE_BYTES = 256 * 1024
# Full feeds whose next messages stay at the consumer, about 1 MiB each, undecompressed. Any other
# full feed pauses its partition, which drops what was fetched and costs a fetch on resuming.
MOST_UNREAD = 4
MOST_UNREAD_BYTES = 2 * 1024 * 1024
_BUSY_SECONDS = 1.0


class Held:
    """The memory that a member's feeds share.

    A feed may hold as much as is free, so a few hot partitions get all they can use and many share.
    Each feed may always hold a little, because messages of one topic can wait for messages of the
    other.
    """

    def __init__(
        self,
        look_again: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bytes = 0
        self.unread: set[TopicPartition] = set()
        """Partitions whose fetched messages stay at the consumer for now."""
        self._look_again = look_again
        self._monotonic = monotonic
        self._changed_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether a feed is full and still moves: it became full, or had room, within a second."""
        return bool(self.unread) and self._monotonic() - self._changed_at < _BUSY_SECONDS

    def leave_unread(self, partition: TopicPartition) -> bool:
        """Leave fetched messages at the consumer; False: too many partitions do already."""
        if partition not in self.unread:
            if len(self.unread) >= MOST_UNREAD:
                return False
            self.unread.add(partition)
            self._changed_at = self._monotonic()
        return True

    def read_on(self, partition: TopicPartition) -> None:
        """Let fetched messages be read again; calls ``look_again`` if they were left unread."""
        if partition in self.unread:
            self.unread.remove(partition)
            self._changed_at = self._monotonic()
            self._look_again()

    @property
    def pause_bytes(self) -> int:
        """A feed that holds more is full."""
        return min(PAUSE_BYTES, max(_LEAST_PAUSE_BYTES, HELD_BYTES - self.bytes))


class Feed:
    """A bounded queue for one partition of one topic; calls ``moved`` when it changes.

    A message above ``most_bytes`` is cut to its beginning; such messages always arrive packed.
    """

    def __init__(
        self,
        partition: TopicPartition,
        consumer: AIOKafkaConsumer,
        moved: Callable[[], None],
        held: Held | None = None,
        most_bytes: int = MAX_RECORD_BYTES,
    ) -> None:
        self.partition = partition
        self.position = 0
        self.started = False
        self._consumer = consumer
        self._moved = moved
        self._messages: deque[Consumed] = deque()
        self._held = held or Held()
        self._most_bytes = most_bytes
        self._first_offset = 0
        self._unpacking: Unpacking | None = None
        self._bytes = 0
        self._paused = False
        self._detached = False

    def __len__(self) -> int:
        return len(self._messages)

    def start_at(self, offset: int) -> None:
        """Read from ``offset`` on. Raises IllegalStateError if the partition isn't assigned."""
        self._clear()
        self._consumer.seek(self.partition, offset)
        self._consumer.resume(self.partition)
        # A packed batch may begin below the offset; skip its first records then.
        self.position = self._first_offset = offset
        self.started = True
        self._paused = False

    def stop(self) -> None:
        """Accept nothing more, and drop the contents."""
        self.started = False
        self._clear()
        if not self._detached:
            with contextlib.suppress(IllegalStateError):  # already revoked
                self._consumer.pause(self.partition)

    def detach(self) -> None:
        """Don't touch the consumer from now on: the partition may have a new feed."""
        self._detached = True
        self.stop()

    def put(self, messages: Sequence[ConsumerRecord], position: int) -> None:
        """Add fetched messages; ``position`` is the consumer's position after them."""
        if not self.started or (not messages and position == self.position):
            # Fetched before a seek, or empty.
            return
        for message in messages:
            self._messages.append(message)
            self._count(held_bytes(message))
        self.position = position
        full = self._bytes > self._held.pause_bytes and not self._paused
        if full and not self._held.leave_unread(self.partition):
            self._pause()
        self._moved()

    def bound_unread(self, waiting_bytes: int) -> None:
        """Pause instead if too much waits unread at the consumer: one batch may have 20 MiB."""
        if waiting_bytes > MOST_UNREAD_BYTES:
            self._held.read_on(self.partition)
            self._pause()

    @property
    def next_unpacking(self) -> Unpacking | None:
        """The batch to unpack before more can be taken, if any: call its ``piece``."""
        if not (self._messages and is_packed(self._messages[0])):
            return None
        if self._unpacking is None:
            packed = self._messages[0]
            self._unpacking = Unpacking(packed, self._first_offset, self._most_bytes)
        return self._unpacking

    async def unpack(self, threads: Executor) -> bool:
        """Unpack a piece of the first batch if it is packed; returns whether it still is."""
        unpacking = self.next_unpacking
        if unpacking:
            loop = asyncio.get_running_loop()
            self.put_unpacked(unpacking, await loop.run_in_executor(threads, unpacking.piece))
        return self.next_unpacking is not None

    def put_unpacked(self, unpacking: Unpacking, piece: Sequence[Consumed]) -> None:
        """Put unpacked messages in the place of their batch."""
        if unpacking is not self._unpacking:
            return  # the feed was restarted at another offset meanwhile
        if unpacking.ended:
            self._count(-held_bytes(self._messages.popleft()))
            self._unpacking = None
        self._messages.extendleft(reversed(piece))
        self._count(sum(map(_size, piece)))

    def take(
        self, most_bytes: int, most_messages: int | None = None, free_below: int = 0
    ) -> list[Consumed]:
        """Take messages from the front: at least one, if there is one and the limits allow it.

        Messages with offsets below ``free_below`` don't count towards ``most_messages``.
        """
        taken: list[Consumed] = []
        size = counted = 0
        while self._messages and size < most_bytes and not is_packed(self._messages[0]):
            counted += self._messages[0].offset >= free_below
            if most_messages is not None and counted > most_messages:
                break
            message = self._messages.popleft()
            taken.append(message)
            size += _size(message)
        self._count(-size)
        if self._bytes <= self._held.pause_bytes:
            self._held.read_on(self.partition)
        # Resume only below half: aiokafka drops its fetched data for paused partitions.
        if self._paused and not self._detached and self._bytes < self._held.pause_bytes / 2:
            self._resume()
        return taken

    def behind(self, handled: int) -> int:
        """The lag: messages between ``handled`` and the last stable offset."""
        # None until the first fetch after an assignment.
        assigned = self.partition in self._consumer.assignment()
        end = self._consumer.last_stable_offset(self.partition) if assigned else None
        return max(0, max(end or 0, self.position) - handled)

    def _pause(self) -> None:
        self._paused = True
        self._consumer.pause(self.partition)

    def _resume(self) -> None:
        self._paused = False
        with contextlib.suppress(IllegalStateError):  # revoked; the listener is about to run
            self._consumer.resume(self.partition)

    def _clear(self) -> None:
        self._messages.clear()
        self._unpacking = None
        self._count(-self._bytes)
        self._held.read_on(self.partition)

    def _count(self, size: int) -> None:
        self._bytes += size
        self._held.bytes += size


def _size(message: Consumed) -> int:
    # Values that are read later take no memory now.
    return 0 if isinstance(message, LargeMessage) else held_bytes(message)
