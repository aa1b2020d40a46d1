"""What a lane has fetched of a log: ``consumer.lanes.feed``, counted instead of weighed.

Invariant: ``position`` is the offset after all that was fetched, what is shown to nobody included.
"""

from tests.model.broker import Log
from tests.model.upstream import Sent

ALL = 1000
"""More messages than there ever are."""


class Feed:
    """What was fetched of a log and not handled yet."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.position = 0
        self.messages: list[Sent] = []

    def start_at(self, offset: int) -> None:
        """Read on from here."""
        self.messages.clear()
        self.position = offset

    def fetch(self, count: int) -> None:
        """Take up to ``count`` messages, and pass what is shown to nobody."""
        end = self.log.visible_end
        while self.position < end:
            entry = self.log.entries[self.position]
            if entry is not None:
                if not count:
                    return
                count -= 1
                self.messages.append(entry[0])
            self.position += 1

    def take(self, count: int, most: int = ALL, free_below: int = 0) -> list[Sent]:
        """Remove up to ``count`` from the front, of them ``most`` at or above ``free_below``."""
        free = sum(message.offset < free_below for message in self.messages[:count])
        count = min(count, free + most)
        taken, self.messages = self.messages[:count], self.messages[count:]
        return taken
