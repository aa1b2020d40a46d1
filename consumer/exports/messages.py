"""What a partition's exports take and return: Kafka messages in, an outcome out.

Data types only, no Kafka client.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clients.inflate import BrokenData
from schemas.completions import TerminalEvent
from schemas.limits import MOST_FORWARDED_BYTES
from schemas.unread_value import UnreadValue
from schemas.vocabulary import DeadLetterReason


class Message(Protocol):
    """A consumed record; aiokafka's ``ConsumerRecord`` is one."""

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
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """The headers, as they were sent."""


@dataclass(slots=True)
class LargeMessage:
    """A consumed record whose value is read only when its turn comes, so that few are held at once.

    It has no headers: only dead letters use them, and it is too large to be forwarded whole.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value_bytes: int
    read: Callable[[], bytes | None] = field(repr=False)
    headers: Sequence[tuple[str, bytes | None]] = ()
    _value: bytes | None = field(default=None, repr=False)

    @property
    def value(self) -> bytes | None:
        """The value, read on first use and held until ``release``. Blocks; for a turn's thread.

        An ``UnreadValue`` if it can't be read.
        """
        if self._value is None:
            try:
                self._value = self.read()
            except BrokenData as error:
                self._value = UnreadValue(f"it can't be read: {error}", too_large=False)
        return self._value

    def release(self) -> None:
        """Drop the value; it is read again when needed."""
        self._value = None


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """The part of a consumed record that is kept for its dead letter."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def value_bytes(message: Message) -> int:
    """The length of a message's value, without reading one that isn't held."""
    if isinstance(message, LargeMessage):
        return message.value_bytes
    return len(message.value or b"")


def forwardable(message: Message) -> Message:
    """A message as its dead letter holds it: without value and headers if they are too large."""
    large = isinstance(message, LargeMessage)
    size = value_bytes(message) + sum(
        len(name) + len(text or b"") for name, text in message.headers
    )
    if size <= MOST_FORWARDED_BYTES and not large:
        return message
    place = (message.topic, message.partition, message.offset, message.timestamp, message.key)
    # Read it now, while in hand: later its batch would have to be decompressed again.
    if size <= MOST_FORWARDED_BYTES:
        return KeptMessage(*place, message.value)
    return KeptMessage(*place, UnreadValue("it is too large to forward", too_large=True))


@dataclass(frozen=True, slots=True)
class SetAside:
    """``why`` a message is left unread; ``reason`` is its dead letter's, if it fails no export."""

    why: str
    reason: DeadLetterReason


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that belongs to no export."""

    reason: DeadLetterReason
    message: Message


@dataclass(slots=True)
class Outcome:
    """What turns publish, in order, in one transaction.

    ``maybe_published`` are exports whose manifest already existed: so may their events.
    """

    events: list[TerminalEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    maybe_published: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.events or self.dead_letters)
