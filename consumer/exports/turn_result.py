"""What a partition's exports return: the result of a turn, and what one transaction commits.

Values only. Invariant: nothing here changes when the exports go on.
"""

from dataclasses import dataclass
from enum import Enum, auto

from consumer.core.resume import ResumePoint
from consumer.errors import StorageUnavailable
from consumer.exports.messages import Outcome
from schemas.vocabulary import Format


class TurnEnd(Enum):
    """Why a turn ended."""

    IDLE = auto()
    """Everything taken was handled."""
    SPENT = auto()
    """The turn's share was used; there is more."""
    OWNER_UNKNOWN = auto()
    """The next batch's owner may lie further on in the requests topic."""
    REFUSED = auto()
    """The storage refused: the next turn goes on where this one was."""


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What a turn did, and what it left to be done."""

    end: TurnEnd
    refusal: StorageUnavailable | None
    """Why the storage refused, where it did."""
    formats: frozenset[Format]
    """Formats that it wrote."""
    ended: tuple[str, ...]
    """Exports whose events wait to be committed."""
    served: bool
    """Whether it wrote what was due, or something, or has left something to commit."""
    owner_found: bool
    """Whether a batch was handled, or applied in part: its owner is known."""
    orphan_pending: bool
    """Whether an orphan's dead letter has to be committed before the next turn, and can be."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An outcome and the resume point that follows from it, for one transaction."""

    outcome: Outcome
    point: ResumePoint
