"""Knows every token that a node takes, and whose it is.

Invariant: a token is looked for by its hash, so the time that takes says nothing of another one.
"""

from collections.abc import Mapping

from sluice.access.askers import ANYONE, Asker, Role
from sluice.access.token_file import digest_of
from sluice.access.watched_tokens import WatchedTokens

_FROM_SETTINGS = "settings"


class TokenRefused(Exception):  # noqa: N818 - an answer rather than a fault
    """The token is nobody's. The message says why, and shows nothing of it."""


class Gate:
    """Finds out who asks: by tokens of the settings, and of a file. Without either anyone may."""

    def __init__(
        self, users_by_token: Mapping[str, str], watched: WatchedTokens | None = None
    ) -> None:
        self._of_settings = {
            digest_of(token.encode()): Asker(user, Role.USER, _FROM_SETTINGS)
            for token, user in users_by_token.items()
        }
        self._watched = watched

    @property
    def is_open(self) -> bool:
        """Whether no request needs a token."""
        return not self._of_settings and self._watched is None

    async def asker_of(self, token: bytes) -> Asker:
        """Who bears this token.

        Raises:
            TokenRefused: nobody.
        """
        if self.is_open:
            return ANYONE
        digest = digest_of(token)
        if asker := self._of_settings.get(digest):
            return asker
        if self._watched and (known := self._watched.find(digest)):
            return Asker(known.user, known.role, known.token_id)
        raise TokenRefused("is not known")
