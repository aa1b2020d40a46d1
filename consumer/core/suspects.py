"""Messages that nodes died on: suspects after one death, to be set aside after two.

A node that is killed can't say why, but it leaves a mark of the message that it had in hand. A kill
by chance leaves one too, so one death proves nothing. Nor does a second one beside other messages:
one of them may have killed. Pure: suspects and marks in, suspects out. Invariant: a mark counts
once, however often it is found.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MOST_MARKED = 2
"""Messages that one mark may be of. To write one costs as much as a small message does; but each of
them is a suspect after a death, and a second one by chance is the likelier the more there are."""
MOST_SUSPECTS = 64
"""So many are kept of a partition; each takes up to 20 of a commit's 4096 characters."""


@dataclass(frozen=True, slots=True, order=True)
class MessagePlace:
    """Where a message lies in its partition: in the records (``is_batch``) or the requests."""

    is_batch: bool
    offset: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What an owner of the partition left behind: its ``name``, and what it may have had in hand.

    There are several of one name where the owner marked some messages at once.

    ``alone``: its node had nothing else in hand (see ``exports.gate`` for the exception).
    """

    name: int
    place: MessagePlace | None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message that nodes died on: once, leaving the mark of this name, or (None) twice.

    The second of these deaths is one at which it was alone.
    """

    place: MessagePlace
    mark: int | None

    @property
    def died_on_twice(self) -> bool:
        """Whether it is to be set aside."""
        return self.mark is None


def with_marks(suspects: Iterable[Suspect], marks: Iterable[Mark]) -> tuple[Suspect, ...]:
    """Suspects and what was found besides, by place; where these are too many, the surest."""
    found = {suspect.place: suspect for suspect in suspects}
    # Those alone last: only such a mark counts as a second death, so it has to find the first.
    for mark in sorted(marks, key=lambda mark: mark.alone):
        if mark.place is None:
            continue
        known = found.get(mark.place)
        if known is None:
            found[mark.place] = Suspect(mark.place, mark.name)
        elif mark.alone and known.mark != mark.name:
            found[mark.place] = Suspect(mark.place, None)
    # Where they don't all fit, those to be set aside are kept: to forget one costs a node.
    surest = sorted(found.values(), key=lambda one: (not one.died_on_twice, one.place))
    return tuple(sorted(surest[:MOST_SUSPECTS], key=lambda one: one.place))


class Suspects:
    """Those of one partition, as its owner works through them."""

    def __init__(self, suspects: Iterable[Suspect]) -> None:
        self._found = {suspect.place: suspect for suspect in suspects}

    def __bool__(self) -> bool:
        return bool(self._found)

    def find(self, place: MessagePlace) -> Suspect | None:
        """The suspect that lies there."""
        return self._found.get(place)

    def clear(self, place: MessagePlace) -> None:
        """The node has outlived this message: it was a coincidence, or will show again."""
        self._found.pop(place, None)

    def keep(self, will_read: Callable[[MessagePlace], bool]) -> tuple[Suspect, ...]:
        """Those that a next owner will read, by place; the others are forgotten.

        What was set aside is among them: while an open export lies before it, it is read again.
        """
        if self._found:
            found = sorted(self._found.items())
            self._found = {place: suspect for place, suspect in found if will_read(place)}
        return tuple(self._found.values())
