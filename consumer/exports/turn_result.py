"""The result of a turn, and what one transaction commits.

Values only. Invariant: none of them changes when the exports continue.
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
    """The turn's budget was used up; there is more."""
    OWNER_UNKNOWN = auto()
    """The next batch's owner may be further on in the requests topic."""
    REFUSED = auto()
    """The storage refused: the next turn continues where this one stopped."""


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What a turn did, and what is left to do."""

    end: TurnEnd
    refusal: StorageUnavailable | None
    """Why the storage refused, if it did."""
    formats: frozenset[Format]
    """The formats it wrote."""
    ended: tuple[str, ...]
    """The exports whose events wait to be committed."""
    served: bool
    """Whether it wrote anything, or left something to commit."""
    owner_found: bool
    """Whether a batch was handled or partly applied, so that its owner is known."""
    orphan_pending: bool
    """Whether an orphan's dead letter can, and has to, be committed before the next turn."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An outcome and the matching resume point, for one transaction."""

    outcome: Outcome
    point: ResumePoint
