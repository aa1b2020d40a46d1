"""What was fetched of one topic's partition and not handled yet, and the way to stop and go.

Invariant: ``position`` is the offset after all that was put in, markers included, so an empty feed
whose position has reached an end has been read to that end.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

PAUSE_BYTES = 4 * 1024 * 1024
RESUME_BYTES = 2 * 1024 * 1024


class Feed:
    """A bounded queue of one partition of one topic; ``moved`` is called when it has changed."""

    def __init__(
        self, partition: TopicPartition, consumer: AIOKafkaConsumer, moved: Callable[[], None]
    ) -> None:
        self.partition = partition
        self.position = 0
        self.seated = False
        self._consumer = consumer
        self._moved = moved
        self._messages: deque[ConsumerRecord] = deque()
        self._bytes = 0
        self._paused = False
        self._detached = False

    def __len__(self) -> int:
        return len(self._messages)

    def seat(self, offset: int) -> None:
        """Read on from ``offset``. Raises IllegalStateError if the partition isn't assigned."""
        self._clear()
        self._consumer.seek(self.partition, offset)
        self._consumer.resume(self.partition)
        self.position = offset
        self.seated = True
        self._paused = False

    def unseat(self) -> None:
        """Take nothing more, and forget what is there."""
        self.seated = False
        self._clear()
        if not self._detached:
            with contextlib.suppress(IllegalStateError):  # it was taken away already
                self._consumer.pause(self.partition)

    def detach(self) -> None:
        """Leave the consumer alone from now on: the partition may have a new feed by now."""
        self._detached = True
        self.unseat()

    def put(self, messages: Sequence[ConsumerRecord], position: int) -> None:
        """Add what was fetched; ``position`` is the consumer's, after it."""
        if not self.seated or (not messages and position == self.position):
            return
        self._messages.extend(messages)
        self._bytes += sum(map(_size, messages))
        self.position = position
        if self._bytes > PAUSE_BYTES and not self._paused:
            self._paused = True
            self._consumer.pause(self.partition)
        self._moved()

    def take(
        self, most_bytes: int, most_messages: int | None = None, free_below: int = 0
    ) -> list[ConsumerRecord]:
        """Remove messages from the front: at least one if there is any and it is allowed.

        Those with an offset below ``free_below`` don't count as one of ``most_messages``.
        """
        taken: list[ConsumerRecord] = []
        size = counted = 0
        while self._messages and size < most_bytes:
            counted += self._messages[0].offset >= free_below
            if most_messages is not None and counted > most_messages:
                break
            message = self._messages.popleft()
            taken.append(message)
            size += _size(message)
        self._bytes -= size
        if self._paused and not self._detached and self._bytes < RESUME_BYTES:
            self._resume()
        return taken

    def behind(self, handled: int) -> int:
        """Messages between ``handled`` and the end of what may be read (last stable offset)."""
        assigned = self.partition in self._consumer.assignment()
        end = self._consumer.last_stable_offset(self.partition) if assigned else None
        return max(0, max(end or 0, self.position) - handled)

    def _resume(self) -> None:
        self._paused = False
        with contextlib.suppress(IllegalStateError):  # the listener is about to say so
            self._consumer.resume(self.partition)

    def _clear(self) -> None:
        self._messages.clear()
        self._bytes = 0


def _size(message: ConsumerRecord) -> int:
    # A tombstone or a tiny message costs memory too.
    return 100 + len(message.value or b"") + len(message.key or b"")
