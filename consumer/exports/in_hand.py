"""What each partition of a node works on now: the message in hand, the storage call under way.

The turn's thread writes and any thread reads, without a lock: each write is one attribute, so a
reader may see a message whose handling has just ended, never half of one. Invariant: what is read
here is reported, and decides nothing about an export.
"""

import time
from collections.abc import Callable, Iterator

from consumer.exports.messages import Message


class InHand:
    """One partition's. ``message`` is None between messages and while ends are written out.

    As a context manager it marks a storage call: ``storage_since`` is a monotonic time in seconds
    while one is under way, else None.
    """

    __slots__ = ("_clock", "message", "partition", "storage_since")

    def __init__(self, partition: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.partition = partition
        self.message: Message | None = None
        self.storage_since: float | None = None
        self._clock = clock

    def __enter__(self) -> None:
        self.storage_since = self._clock()

    def __exit__(self, *_: object) -> None:
        self.storage_since = None

    def storage_seconds(self) -> float:
        """For how long the storage call under way has lasted; 0 if there is none."""
        since = self.storage_since
        return 0.0 if since is None else self._clock() - since


class PartitionsInHand:
    """Those of a node, the newest of each partition."""

    def __init__(self) -> None:
        self._newest: dict[int, InHand] = {}

    def begin(self, partition: int) -> InHand:
        """One for who works on the partition from now on.

        A turn of the owner before may still hang in the storage. It keeps writing to its own.
        """
        begun = self._newest[partition] = InHand(partition)
        return begun

    def __iter__(self) -> Iterator[InHand]:
        return iter(list(self._newest.values()))
