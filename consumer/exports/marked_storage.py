"""A storage whose running calls are visible: ``InHand`` has the start of the current one.

A thread that hangs in a system call can't be cancelled and raises nothing. The mark lets the lane
tell it from a thread that computes. Invariant: every call that may block a turn is marked; calls
outside of turns aren't, because they end by themselves.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext

from consumer.core.suspects import Mark
from consumer.exports.in_hand import InHand
from consumer.storage.base import MessageMark, Part, Storage
from schemas.completions import ExportCompleted, TerminalEvent


class MarkedStorage:
    """One partition's ``Storage``, which delegates to the node's."""

    def __init__(self, storage: Storage, in_hand: InHand) -> None:
        self._storage = storage
        self._in_hand = in_hand

    def open_part(
        self,
        partition: int,
        export_id: str,
        extension: str,
        decided: ExportCompleted | None = None,
    ) -> Part:
        """See ``Storage.open_part``."""
        # Not marked: nothing is written yet.
        part = self._storage.open_part(partition, export_id, extension, decided)
        return MarkedPart(part, self._in_hand, apart=self.threads is not None)

    @property
    def threads(self) -> Callable[[int], Executor] | None:
        """See ``Storage.threads``."""
        return self._storage.threads

    def decide(self, event: TerminalEvent) -> TerminalEvent:
        """See ``Storage.decide``."""
        with self._in_hand:
            return self._storage.decide(event)

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """See ``Storage.manifest``."""
        with self._in_hand:
            return self._storage.manifest(export_id)

    def read_ahead(self, export_ids: Iterable[str]) -> Mapping[str, TerminalEvent | None]:
        """See ``Storage.read_ahead``."""
        with self._in_hand:
            return self._storage.read_ahead(export_ids)

    def has_file(self, event: TerminalEvent) -> bool:
        """See ``Storage.has_file``."""
        with self._in_hand:
            return self._storage.has_file(event)

    def settle(self) -> None:
        """See ``Storage.settle``."""
        with self._in_hand:
            self._storage.settle()

    def sweep(self, partition: int) -> int:
        """See ``Storage.sweep``."""
        with self._in_hand:
            return self._storage.sweep(partition)

    def open_mark(self, partition: int) -> MessageMark:
        """See ``Storage.open_mark``."""
        return self._storage.open_mark(partition)

    def left_marks(self, partition: int) -> list[Mark]:
        """See ``Storage.left_marks``."""
        with self._in_hand:
            return self._storage.left_marks(partition)

    def remove_marks(self, partition: int, marks: Iterable[Mark]) -> None:
        """See ``Storage.remove_marks``."""
        with self._in_hand:
            self._storage.remove_marks(partition, marks)


class MarkedPart:
    """One partition's ``Part``; ``apart``: its end is concluded outside of turns."""

    def __init__(self, part: Part, in_hand: InHand, *, apart: bool) -> None:
        self._part = part
        self._in_hand = in_hand
        self._ending: AbstractContextManager[None] = nullcontext() if apart else in_hand

    @property
    def location(self) -> str:
        """See ``Part.location``."""
        return self._part.location

    @property
    def size(self) -> int:
        """See ``Part.size``."""
        return self._part.size

    @property
    def sha256(self) -> str:
        """See ``Part.sha256``."""
        return self._part.sha256

    def append(self, data: bytes) -> None:
        """See ``Part.append``."""
        # Not marked either: it only buffers bytes in memory.
        self._part.append(data)

    def flush(self) -> None:
        """See ``Part.flush``."""
        with self._in_hand:
            self._part.flush()

    def sync(self) -> None:
        """See ``Part.sync``."""
        with self._ending:
            self._part.sync()

    def publish(self, decided: ExportCompleted) -> None:
        """See ``Part.publish``."""
        with self._ending:
            self._part.publish(decided)

    def discard(self, decided: TerminalEvent | None = None) -> None:
        """See ``Part.discard``."""
        with self._ending:
            self._part.discard(decided)

    def stop(self) -> None:
        """See ``Part.stop``."""
        self._part.stop()
