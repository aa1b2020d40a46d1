"""Which processes died with which message in hand, counted by the world: the oracle's own count.

Invariant: a process counts once for a message, however it ended.
"""

from collections.abc import Sequence
from typing import Protocol

from tests.model.violations import Violation


class Worker(Protocol):
    """A lane, as far as the oracle looks at it."""

    process: int
    in_hand: tuple[str, int] | None
    marked: Sequence[tuple[str, int]]
    """What its mark is of, while it has something in hand."""

    @property
    def epoch(self) -> int: ...


class DeathCount:
    """By where a message lies: its topic and offset."""

    def __init__(self) -> None:
        self._deaths: dict[tuple[str, int], set[tuple[int, int]]] = {}
        self._last_deaths: dict[tuple[str, int], int] | None = None
        self._workers: list[Worker] = []

    @property
    def places(self) -> list[tuple[str, int]]:
        """Of messages that a process may have died on."""
        return list(self._deaths)

    def allow_aside(self, where: tuple[str, int]) -> bool:
        """Whether a message may be set aside."""
        return len(self._deaths.get(where, ())) > 1

    def died(self, worker: Worker, *, fenced: bool) -> None:
        """A process dies; with what it has in hand, if it has something.

        One that is fenced isn't counted any more, if others have looked already.
        """
        if worker.in_hand is None:
            return
        self._note(worker)
        if self._last_deaths is not None and not fenced:
            count = self._last_deaths[worker.in_hand] = self._last_deaths.get(worker.in_hand, 0) + 1
            if count > 2:
                raise Violation(f"processes die on {worker.in_hand} again and again")

    def counted(self, worker: Worker) -> None:
        """An owner looks what the others have in hand; one that hangs may as well be dead."""
        self._workers.append(worker)
        for other in self._workers:
            if other is not worker and other.in_hand:
                self._note(other)

    def faults_ended(self) -> None:
        """From now on processes die by messages only, and by each of them twice at most."""
        self._last_deaths = self._last_deaths or {}

    def _note(self, worker: Worker) -> None:
        for where in worker.marked:
            self._deaths.setdefault(where, set()).add((worker.process, worker.epoch))
