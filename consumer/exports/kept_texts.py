"""Texts of partly applied large batches, kept between two turns.

Reading one again costs up to 100 ms, because it is decompressed; keeping one per partition would
cost 16 MiB each. Invariant: a node keeps at most ``KEPT_BYTES``, however many partitions it has.
"""

import threading
from typing import Final
from weakref import WeakSet

from schemas.json_pieces import Divided

KEPT_BYTES: Final = 48 * 1024 * 1024


class KeptTexts:
    """Counts the kept texts of all partitions of a node; batches that were freed don't count."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: WeakSet[Divided] = WeakSet()

    def keep(self, text: Divided) -> None:
        """A turn ends within a batch: keep its text if there is room, else drop it."""
        with self._lock:
            # It may already be counted from an earlier turn.
            self._kept.discard(text)
            if sum(other.held_bytes for other in self._kept) + text.held_bytes > self._most_bytes:
                text.let_go()
            else:
                self._kept.add(text)
