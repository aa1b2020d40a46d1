"""Who sent a request, and what they may do. Pure, without HTTP.

Invariant: only ``Asker.may_see`` decides whether a user may see another's exports.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """A user sees their own exports; an operator acts on all of them, and on dead letters."""

    USER = "user"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Asker:
    """The sender of a request. ``user`` is None if no token is needed: then anyone may do anything.

    ``token`` identifies the token in the log: its id in the file, or else its source.
    """

    user: str | None
    role: Role = Role.USER
    token: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether they may act on all exports."""
        return self.role is Role.OPERATOR

    def may_see(self, user: str) -> bool:
        """Whether they may see and act on this user's exports."""
        return self.is_operator or user == self.user


ANYONE = Asker(None, Role.OPERATOR)
"""The sender of every request to a node without tokens."""
