"""What each partition of a node is working on: the message in hand, the running storage call.

The turn's thread writes and any thread reads, without a lock: each write sets one attribute, so a
reader may see a message whose handling has just ended, but never half of one. A mark in the storage
tells the partition's next owner the same if this node dies, except during a storage call: if that
hangs, the message is not to blame. Invariant: this state is for reports only and decides nothing
about an export.
"""

import time
from collections.abc import Callable, Iterator

from consumer.errors import StorageUnavailable
from consumer.exports.gate import Gate
from consumer.exports.messages import Message
from consumer.storage.base import MessageMark

SILENT_SECONDS = 5.0
"""How long a storage call may take before /ready reports it."""


class InHand:
    """One partition's work. ``message`` is None between messages and while ends are written out.

    As a context manager it marks a storage call: ``storage_since`` is its start in monotonic
    seconds, None if no call is running. After a failed call the message is no longer in hand.
    ``silent_since`` is the start of the first of the calls in a row that got no answer in time.
    """

    __slots__ = (
        "_clock",
        "_gate",
        "_held",
        "_interrupted",
        "_is_alone",
        "_is_batch",
        "_last",
        "_mark",
        "_wants_alone",
        "message",
        "partition",
        "silent_since",
        "storage_since",
    )

    def __init__(
        self,
        partition: int,
        mark: MessageMark,
        gate: Gate,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.partition = partition
        self.message: Message | None = None
        self.storage_since: float | None = None
        self.silent_since: float | None = None
        self._mark = mark
        self._gate = gate
        self._clock = clock
        self._held = self._interrupted = self._is_batch = False
        self._last = -1
        self._wants_alone = self._is_alone = False

    def take(
        self, message: Message, *, is_batch: bool, last: int | None = None, alone: bool = False
    ) -> None:
        """Take a message in hand; ``alone``: if possible, while the node handles no other.

        The mark also covers the following messages up to ``last``: a write per message would hand
        the interpreter to another thread each time.
        """
        # Do this within a turn too: otherwise a suspect would wait for every other thread's whole
        # turn.
        if self._held and (alone or self._wants_alone or self._gate.wanted):
            self._let_go()
        self.message = message
        if self._held and self._is_batch == is_batch and message.offset <= self._last:
            return
        self._is_batch, self._wants_alone = is_batch, alone
        self._last = message.offset if last is None else last
        self._hold(message)

    def put_down(self) -> None:
        """Have no message in hand."""
        self.message = None
        self._let_go()

    def close(self) -> None:
        """The partition is given up: remove the mark, unless its message is still in hand."""
        # A hanging turn may still have a message in hand, and its mark has to stay for the next
        # owner.
        if not self._held:
            self._mark.remove()

    def __enter__(self) -> None:
        self.storage_since = self._clock()
        self._interrupted = self._held
        self._let_go()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._note_answer(kind)
        self.storage_since = None
        interrupted, self._interrupted = self._interrupted, False
        if interrupted and kind is None and self.message is not None:
            self._hold(self.message)

    def storage_seconds(self) -> float:
        """How long the running storage call has lasted; 0 if there is none."""
        since = self.storage_since
        return 0.0 if since is None else self._clock() - since

    def silent_seconds(self) -> float:
        """For how long the storage has not answered, from the first of the calls in a row.

        Not only the running one: each is retried after its deadline.
        """
        since = self.silent_since
        return self.storage_seconds() if since is None else self._clock() - since

    def answered(self) -> None:
        """The storage has answered, or nothing waits for it any more."""
        self.silent_since = None

    def _note_answer(self, kind: type[BaseException] | None) -> None:
        refused = kind is not None and issubclass(kind, StorageUnavailable)
        if not refused or self.storage_seconds() <= SILENT_SECONDS:
            self.silent_since = None  # it has answered, if only to refuse
        elif self.silent_since is None:
            self.silent_since = self.storage_since

    def _hold(self, message: Message) -> None:
        if not self._held:
            if self._wants_alone:
                self._is_alone = self._gate.enter_alone()
            else:
                self._is_alone = False
                self._gate.enter()
            self._held = True
        self.storage_since = self._clock()  # this call may hang, like any other
        self._mark.set(self._is_batch, message.offset, self._last, alone=self._is_alone)
        self.storage_since = None

    def _let_go(self) -> None:
        if self._held:
            # Before the gate opens: the next message handled alone must be the only one marked.
            self._mark.clear()
            self._held = False
            (self._gate.leave_alone if self._is_alone else self._gate.leave)()


class Unmarked:
    """A ``MessageMark`` that records nothing."""

    def set(self, is_batch: bool, first: int, last: int, *, alone: bool = False) -> None:
        """See ``MessageMark.set``."""

    def clear(self) -> None:
        """See ``MessageMark.clear``."""

    def remove(self) -> None:
        """See ``MessageMark.remove``."""


class PartitionsInHand:
    """A node's ``InHand`` objects, the newest of each partition."""

    def __init__(self, gate: Gate | None = None) -> None:
        self._newest: dict[int, InHand] = {}
        self._gate = gate or Gate()

    def begin(self, partition: int, mark: MessageMark | None = None) -> InHand:
        """Create one for the partition's new owner; without ``mark`` it records nothing.

        A turn of the previous owner may still hang in the storage; it keeps writing to its own
        object.
        """
        begun = self._newest[partition] = InHand(partition, mark or Unmarked(), self._gate)
        return begun

    def __iter__(self) -> Iterator[InHand]:
        return iter(list(self._newest.values()))
