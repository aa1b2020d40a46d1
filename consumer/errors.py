"""The service's errors, grouped by reaction.

ConsumerError
├── ExportFailure        fail this export, with a reason of the closed set
├── StorageUnavailable   try again later: the partition waits
│   └── ScratchUnavailable   the same: the local disk of an object storage refuses
├── PartLost             load the partition's state again, and make its files again
│   └── PartUnsynced     the same, but not endlessly for this export
├── AttemptAgain         load it again: our code broke on an export, which is made once more
├── MessageFault         load it again; a message that twice alone breaks our code is set aside
├── LaneStopped          stop this partition: a person has to act
├── NodeRefused          don't start: a person has to act
│   └── NoKafka          the same, as no broker can be reached
└── BacklogUnavailable   retry later: what is unfinished in the group isn't known now
    └── RequestsHidden   the same, for as long as an upstream's transaction is open

A message that belongs to no export raises ``schemas.errors.Unreadable`` and becomes a dead letter.
Losing a partition is an event, not an error.
"""

from schemas.vocabulary import FailReason


class ConsumerError(Exception):
    """The root of the tree."""


class ExportFailure(ConsumerError):  # noqa: N818 - an outcome of the contract
    """This export ends as failed; nothing else is affected."""

    def __init__(self, reason: FailReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StorageUnavailable(ConsumerError):  # noqa: N818 - it is a state, and may pass
    """The storage refused; the same call may be retried."""


class ScratchUnavailable(StorageUnavailable):
    """A node's own scratch directory refused, not the bucket: another setting, another disk."""


class PartLost(ConsumerError):  # noqa: N818 - an event rather than a fault
    """The partition's next owner removed a partial file, or the file can't be trusted any more."""


class PartUnsynced(PartLost):
    """The file of ``export_id`` could not be synced; the disk may have lost part of it."""

    def __init__(self, export_id: str, message: str) -> None:
        super().__init__(message)
        self.export_id = export_id


class AttemptAgain(ConsumerError):  # noqa: N818 - what is to be done
    """A bug broke an export while its file was written; see ``consumer.core.second_attempts``."""


class MessageFault(ConsumerError):  # noqa: N818 - an event, and no fault of the message's sender
    """A bug showed at the message at ``offset`` of the records (``is_batch``) or requests."""

    def __init__(self, offset: int, message: str, *, is_batch: bool) -> None:
        super().__init__(message)
        self.is_batch = is_batch
        self.offset = offset


class LaneStopped(ConsumerError):  # noqa: N818 - the state it leaves
    """This partition can't continue; the message says what a person can do."""


class NodeRefused(ConsumerError):  # noqa: N818 - the state it leaves
    """The node can't start; the message says what a person can do."""


class NoKafka(NodeRefused):
    """There is no connection to Kafka; the message says why."""


class BacklogUnavailable(ConsumerError):  # noqa: N818 - it is a state, and may pass
    """The backlog is unknown at the moment; the message says why."""


class RequestsHidden(BacklogUnavailable):
    """The id was not found, but an open transaction may hold a request with it."""
