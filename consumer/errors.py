"""What can go wrong in the service, grouped by how it reacts.

ConsumerError
├── ExportFailure        fail this export, with a reason of the closed set
├── StorageUnavailable   try again later: the partition waits
├── Overtaken            another owner has this partition: load its state anew
└── NodeFailure          stop the node: a person has to act

A message that can't be tied to an export is ``schemas.errors.Unreadable``: a dead letter. Losing a
partition is an event, not an error.
"""

from schemas.vocabulary import FailReason


class ConsumerError(Exception):
    """The root of the tree."""


class ExportFailure(ConsumerError):  # noqa: N818 - an outcome of the contract
    """This export ends as failed; nothing else is disturbed."""

    def __init__(self, reason: FailReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StorageUnavailable(ConsumerError):  # noqa: N818 - it is a state, and may pass
    """The storage refused. What was asked may be asked again, as it was."""


class Overtaken(ConsumerError):  # noqa: N818 - an event rather than a fault
    """A partial file is gone: the partition's next owner has swept it."""


class NodeFailure(ConsumerError):  # noqa: N818 - the node's, not an error of its own
    """The node can't go on; the message says what a person can do."""
