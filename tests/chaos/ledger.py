"""What lanes have committed, and what a coordinator may say of it. Pure.

A lane commits 1, 2, 3 … as offset of two partitions. An answer is wrong where it is older than
what was acknowledged, newer than what was sent, or not of one transaction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Answer = Mapping[int, tuple[int, int]]
"""Of each lane, the offsets of its two partitions; 0 is none."""


@dataclass(slots=True)
class Ledger:
    """Numbers by lane. Invariant: ``acknowledged`` is at most ``sent``, and neither goes back."""

    sent: dict[int, int] = field(default_factory=dict)
    acknowledged: dict[int, int] = field(default_factory=dict)

    def send(self, lane: int) -> int:
        """The next number of a lane."""
        self.sent[lane] = self.sent.get(lane, 0) + 1
        return self.sent[lane]

    def acknowledge(self, lane: int, number: int) -> None:
        """Its transaction was committed."""
        self.acknowledged[lane] = number

    def settled(self) -> dict[int, int]:
        """The least that any answer has to say.

        A transaction is acknowledged before its end is in the log of commits, and its successor is
        let in afterwards; so of each lane one acknowledged commit may not show yet.
        """
        return {lane: number - 1 for lane, number in self.acknowledged.items()}

    def wrong(self, answer: Answer, least: Mapping[int, int]) -> Iterator[str]:
        """What can't be, given the ``least`` of each lane."""
        for lane, (requests, records) in sorted(answer.items()):
            if requests != records:
                yield f"lane {lane}: half a transaction, {requests} and {records}"
            if min(requests, records) < least.get(lane, 0):
                yield (
                    f"lane {lane}: answered {min(requests, records)}, acknowledged"
                    f" {self.acknowledged.get(lane, 0)}"
                )
            if max(requests, records) > self.sent.get(lane, 0):
                yield (
                    f"lane {lane}: answered {max(requests, records)}, sent {self.sent.get(lane, 0)}"
                )

    def take(self, answer: Answer) -> None:
        """What stable answers say is what there is: in-doubt transactions have ended."""
        for lane, (number, _) in answer.items():
            self.acknowledged[lane] = self.sent[lane] = number
