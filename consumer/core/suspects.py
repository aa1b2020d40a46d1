"""Messages that nodes died on: suspects after one death, set aside after two.

A killed node can't report why, but it leaves a mark naming the message it was handling. An
unrelated kill leaves one too, so one death proves nothing; nor does a second death while other
messages were being handled, since one of those may be the cause. Pure: takes suspects and marks,
returns suspects. Invariant: a mark counts once, however often it is found.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MOST_MARKED = 2
"""Messages that one mark may be of. To write one costs as much as a small message does; but each of
them is a suspect after a death, and a second one by chance is the likelier the more there are."""
MOST_SUSPECTS = 64
"""Suspects kept per partition; each takes up to 20 of a commit's 4096 characters."""


@dataclass(frozen=True, slots=True, order=True)
class MessagePlace:
    """A message's place in its partition: in the records (``is_batch``) or the requests."""

    is_batch: bool
    offset: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark left by an owner: its ``name``, and a message that it may have had in hand.

    There are several with one name if the owner marked several messages at once.

    ``alone``: its node was handling nothing else (see ``exports.gate`` for the exception).
    """

    name: int
    place: MessagePlace | None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message that nodes died on: once, leaving the mark of this name, or (None) twice.

    At the second of these deaths it was alone.
    """

    place: MessagePlace
    mark: int | None

    @property
    def died_on_twice(self) -> bool:
        """Whether it should be set aside."""
        return self.mark is None


def with_marks(suspects: Iterable[Suspect], marks: Iterable[Mark]) -> tuple[Suspect, ...]:
    """Merge suspects with newly found marks, by place; if there are too many, keep the surest."""
    found = {suspect.place: suspect for suspect in suspects}
    # Marks made alone come last: only they count as a second death, after a first is known.
    for mark in sorted(marks, key=lambda mark: mark.alone):
        if mark.place is None:
            continue
        known = found.get(mark.place)
        if known is None:
            found[mark.place] = Suspect(mark.place, mark.name)
        elif mark.alone and known.mark != mark.name:
            found[mark.place] = Suspect(mark.place, None)
    # If not all fit, keep those to be set aside: forgetting one costs a node.
    surest = sorted(found.values(), key=lambda one: (not one.died_on_twice, one.place))
    return tuple(sorted(surest[:MOST_SUSPECTS], key=lambda one: one.place))


class Suspects:
    """One partition's suspects, as its owner works through them."""

    def __init__(self, suspects: Iterable[Suspect]) -> None:
        self._found = {suspect.place: suspect for suspect in suspects}

    def __bool__(self) -> bool:
        return bool(self._found)

    def find(self, place: MessagePlace) -> Suspect | None:
        """The suspect at this place."""
        return self._found.get(place)

    def clear(self, place: MessagePlace) -> None:
        """The node survived this message: the death was a coincidence, or it will happen again."""
        self._found.pop(place, None)

    def keep(self, will_read: Callable[[MessagePlace], bool]) -> tuple[Suspect, ...]:
        """The suspects that a next owner will read, by place; drop the others.

        Includes messages already set aside: while an open export precedes one, it is read again.
        """
        if self._found:
            found = sorted(self._found.items())
            self._found = {place: suspect for place, suspect in found if will_read(place)}
        return tuple(self._found.values())
