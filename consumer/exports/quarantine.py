"""Messages that nodes died on, or that our own code breaks on: which are set aside, and why.

The lane counts what breaks our code; deaths come with the resume point. Invariant: a message is set
aside only after two deaths, or for a reason that the lane gives.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from consumer.core.suspects import MOST_MARKED, MessagePlace, Suspect, Suspects
from consumer.exports.messages import Message, SetAside
from schemas.vocabulary import DeadLetterReason


class Quarantine:
    """One partition's. Messages that our code ``breaks_on``, and how, are set aside."""

    def __init__(self, suspects: Iterable[Suspect], breaks_on: Mapping[MessagePlace, str]) -> None:
        self._suspects = Suspects(suspects)
        self._breaks_on = breaks_on

    def find(self, message: Message, *, is_batch: bool) -> tuple[Suspect | None, SetAside | None]:
        """The suspect that a message is, if it is one, and why it is set aside, if it is."""
        if not (self._suspects or self._breaks_on):  # as nearly always
            return None, None
        place = MessagePlace(is_batch, message.offset)
        suspect = self._suspects.find(place)
        where = f"{message.topic} {message.partition}:{message.offset}"
        if suspect and suspect.died_on_twice:
            why = f"set aside unread: nodes died twice on {where}"
            return suspect, SetAside(why, DeadLetterReason.NODE_KILLER)
        if error := self._breaks_on.get(place):
            why = f"set aside unread: Sluice failed twice at {where}: {error}"
            return suspect, SetAside(why, DeadLetterReason.UNREADABLE)
        return suspect, None

    def last_marked(self, queue: Sequence[Message]) -> int:
        """The last offset that the mark of the first message covers.

        Only its own while there are suspects, so that the next death shows which it was. A mark
        covers a number of offsets, some of which may be transaction markers.
        """
        at_once = 1 if self._suspects else min(len(queue), MOST_MARKED)
        return min(queue[at_once - 1].offset, queue[0].offset + at_once - 1)

    def clear(self, suspect: Suspect) -> None:
        """The node survived this message."""
        self._suspects.clear(suspect.place)

    def keep(self, will_read: Callable[[MessagePlace], bool]) -> tuple[Suspect, ...]:
        """See ``Suspects.keep``."""
        return self._suspects.keep(will_read)
