"""Who a request is from, and what that lets them do. Pure; HTTP isn't known here.

Invariant: what one user may see of another's exports is decided in ``Asker.may_see`` alone.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """A user has their own exports; an operator acts on all of them, and on dead letters."""

    USER = "user"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks. ``user`` is None where no token is needed: then anyone may do anything.

    ``token`` says in the log which token it was: the id of one in the file, else where it is from.
    """

    user: str | None
    role: Role = Role.USER
    token: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether all exports are theirs to act on."""
        return self.role is Role.OPERATOR

    def may_see(self, user: str) -> bool:
        """Whether the exports of this user are theirs to see and act on."""
        return self.is_operator or user == self.user


ANYONE = Asker(None, Role.OPERATOR)
"""Who asks a node that has no tokens."""
