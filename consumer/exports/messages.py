"""What goes in and out of a partition's exports: Kafka's messages in, an outcome out.

No Kafka client here: the shapes only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.completions import TerminalEvent
from schemas.vocabulary import DeadLetterReason


class Message(Protocol):
    """A consumed record, as aiokafka's ``ConsumerRecord`` is one."""

    @property
    def topic(self) -> str:
        """The topic it was read from."""

    @property
    def partition(self) -> int:
        """The partition it was read from."""

    @property
    def offset(self) -> int:
        """Its offset there."""

    @property
    def timestamp(self) -> int:
        """Kafka's timestamp, milliseconds since the epoch."""

    @property
    def key(self) -> bytes | None:
        """The key, as it was sent."""

    @property
    def value(self) -> bytes | None:
        """The value, as it was sent."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """The headers, as they were sent."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that can't be tied to an export."""

    reason: DeadLetterReason
    message: Message


@dataclass(slots=True)
class Outcome:
    """What turns have to say to the world, in order; it goes into one transaction.

    ``perhaps_said`` are the exports whose manifest was there before: their events may be, too.
    """

    events: list[TerminalEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    perhaps_said: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.events or self.dead_letters)
