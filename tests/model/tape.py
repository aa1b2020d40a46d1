"""All choices of one run, as bytes: the same tape is the same run, a shorter one a simpler run.

Invariant: a tape that is spent chooses 0 for ever, and 0 is always what harms nobody.
"""

import os
import random
from collections.abc import Callable

SEED = int(os.environ.get("SLUICE_TEST_MODEL_SEED", "0"))
"""Which runs the longest tests take."""


class Tape:
    """Answers each choice with its next byte."""

    __slots__ = ("_choices", "_next")

    def __init__(self, choices: bytes) -> None:
        self._choices = choices
        self._next = 0

    @property
    def spent(self) -> bool:
        """Whether only zeros follow."""
        return self._next >= len(self._choices)

    def pick(self, count: int) -> int:
        """One of ``range(count)``; ``count`` is at most 256, and 1 is no choice."""
        if count == 1 or self._next >= len(self._choices):
            return 0
        self._next += 1
        return self._choices[self._next - 1] % count

    def once_in(self, count: int) -> bool:
        """True once in ``count`` times."""
        return self.pick(count) == count - 1


def seeded(seed: int) -> bytes:
    """The tape of a seed: between 60 and 380 choices."""
    chance = random.Random(seed)
    return chance.randbytes(chance.randrange(60, 400))


def shortest(choices: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """A smaller tape that still fails: pieces are cut out, then bytes set to 0."""
    size = max(1, len(choices) // 2)
    while size:
        start = 0
        while start < len(choices):
            shorter = choices[:start] + choices[start + size :]
            if fails(shorter):
                choices = shorter
            else:
                start += size
        size //= 2
    for place, choice in enumerate(choices):
        zeroed = choices[:place] + b"\0" + choices[place + 1 :]
        if choice and fails(zeroed):
            choices = zeroed
    return choices
