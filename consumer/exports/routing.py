"""Decides which export a message belongs to and what to do with it.

Requests and batches have a module each. Both follow these rules (the contract, and
``docs/architecture.md``):

- a message is handled once: messages below the resumed positions only rebuild the exports that were
  open there, each from its first batch on;
- a message that nodes died on twice is set aside: its key alone names its export.

Invariant: a bug of ours that a message triggers does not decide what becomes of it.
"""

import structlog

from consumer.core.budget import TurnBudget
from consumer.core.resume import ResumePoint
from consumer.errors import ConsumerError, MessageFault
from consumer.exports.batch_routing import BatchRouting
from consumer.exports.dead_letters import DeadLetters
from consumer.exports.export_context import ExportContext
from consumer.exports.messages import Message, SetAside
from consumer.exports.open_exports import OpenExports
from consumer.exports.publication import Publication
from consumer.exports.request_routing import RequestRouting

log = structlog.get_logger(__name__)


class Routing:
    """Routes the messages of one partition, one after the other."""

    def __init__(
        self,
        partition: int,
        point: ResumePoint,
        context: ExportContext,
        exports: OpenExports,
        publication: Publication,
        given_up: frozenset[str],
    ) -> None:
        self.dead_letters = letters = DeadLetters()
        self.requests = RequestRouting(point, context, exports, publication, letters, given_up)
        self.batches = BatchRouting(
            partition, point, context, exports, publication, letters, self.requests
        )

    def handle(
        self, message: Message, turn: TurnBudget, *, is_batch: bool, aside: SetAside | None = None
    ) -> bool:
        """Handle a message or set it aside; False if it has to wait, see ``BatchRouting.handle``.

        Raises:
            MessageFault: our own code broke. Otherwise as both modules.
        """
        try:
            if is_batch:
                return self.batches.handle(message, turn, aside)
            self.requests.handle(message, aside)
        except ConsumerError:
            raise
        except Exception as error:
            # Don't blame the message yet: the bug may hit every message, or be gone by now.
            log.exception(
                "message failed unexpectedly",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
            )
            why = f"{type(error).__name__}: {error!s:.200}"
            raise MessageFault(message.offset, why, is_batch=is_batch) from error
        return True

    def must_be_read(self, message: Message, *, is_batch: bool) -> bool:
        """Whether a message belongs to an export whose manifest says completed but has no file.

        The manifest is binding, so the file has to be made; an earlier attempt survived the
        message.
        """
        return (self.batches if is_batch else self.requests).must_be_read(message)
