"""What a lane has fetched of a log: the real feed, at a consumer that does nothing by itself."""

from typing import Any

from aiokafka import TopicPartition

from consumer.lanes import feed
from consumer.unpacking import Consumed
from tests.model.broker import Log
from tests.model.upstream import PARTITION

ALL = 1000
"""More messages than there ever are."""


class _Consumer:
    def seek(self, partition: TopicPartition, offset: int) -> None: ...

    def pause(self, partition: TopicPartition) -> None: ...

    def resume(self, partition: TopicPartition) -> None: ...


class Feed(feed.Feed):
    """At most ``most_taken`` messages are taken at a time, however small they are."""

    def __init__(self, log: Log) -> None:
        super().__init__(TopicPartition(log.topic, PARTITION), _Consumer(), lambda: None)
        self.log = log
        self.most_taken = ALL

    def fetch(self, count: int) -> None:
        """Put in up to ``count`` messages, and pass what is shown to nobody."""
        position, end, fetched = self.position, self.log.visible_end, list[Any]()
        while position < end:
            entry = self.log.entries[position]
            if entry is not None:
                if len(fetched) == count:
                    break
                fetched.append(entry[0])
            position += 1
        self.put(fetched, position)

    def take(
        self, most_bytes: int, most_messages: int | None = None, free_below: int = 0
    ) -> list[Consumed]:
        left = [self._messages.pop() for _ in range(len(self) - self.most_taken)]
        taken = super().take(most_bytes, most_messages, free_below)
        self._messages.extend(reversed(left))
        return taken
