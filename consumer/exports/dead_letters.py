"""Collects dead letters for the next transaction; sends nothing itself."""

import structlog

from clients.bounded_fetch import held_bytes
from consumer.exports.messages import DeadLetter, Message, forwardable
from schemas.vocabulary import DeadLetterReason

log = structlog.get_logger(__name__)


class DeadLetters:
    """The dead letters since the last ``take``; ``held_bytes`` is their memory."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self._letters: list[DeadLetter] = []

    def __bool__(self) -> bool:
        return bool(self._letters)

    def add(self, reason: DeadLetterReason, message: Message, why: str) -> None:
        """Add a message with its reason; ``why`` is for the log."""
        # Reduce at once: don't hold a value that the topic can't take until the commit.
        forwarded = forwardable(message)
        self._letters.append(DeadLetter(reason, forwarded))
        self.held_bytes += held_bytes(forwarded)
        log.warning(
            "message is a dead letter",
            reason=reason.value,
            why=why,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
        )

    def take(self) -> list[DeadLetter]:
        """Return all letters and forget them."""
        taken, self._letters, self.held_bytes = self._letters, [], 0
        return taken
