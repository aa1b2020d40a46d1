"""Finds out whose token a request has, of all kinds a node accepts.

Invariant: tokens are looked up by hash, so the lookup time reveals nothing about other tokens.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from sluice.access.askers import ANYONE, Asker, Role
from sluice.access.errors import TokenRefused
from sluice.access.token_file import digest_of
from sluice.access.watched_tokens import WatchedTokens
from sluice.errors import UsageError
from sluice.settings import Settings

_FROM_SETTINGS = "settings"


class TokenVerifier(Protocol):
    """Verifies tokens that contain their bearer's identity; see ``sluice.access.issuer``."""

    async def asker_of(self, token: bytes) -> Asker:
        """The token's bearer. Raises as ``AccessGate.asker_of``."""


class AccessGate:
    """Identifies senders by tokens from the settings, a file, or an issuer.

    Without any of these, anyone may do anything.
    """

    def __init__(
        self,
        users_by_token: Mapping[str, str],
        watched: WatchedTokens | None = None,
        issuer: TokenVerifier | None = None,
    ) -> None:
        self._of_settings = {
            digest_of(token.encode()): Asker(user, Role.USER, _FROM_SETTINGS)
            for token, user in users_by_token.items()
        }
        self._watched = watched
        self._issuer = issuer

    @property
    def is_open(self) -> bool:
        """Whether no request needs a token."""
        return not self._of_settings and self._watched is None and self._issuer is None

    async def asker_of(self, token: bytes) -> Asker:
        """The token's bearer.

        Raises:
            TokenRefused: it is invalid.
            IssuerUnavailable: it may be the issuer's, whose keys are unavailable.
        """
        if self.is_open:
            return ANYONE
        digest = digest_of(token)
        if asker := self._of_settings.get(digest):
            return asker
        if self._watched and (known := self._watched.find(digest)):
            return Asker(known.user, known.role, known.token_id)
        if self._issuer and token.count(b".") == 2:  # as every signed JWT has
            return await self._issuer.asker_of(token)
        raise TokenRefused("is not known")


@asynccontextmanager
async def open_gate(settings: Settings) -> AsyncIterator[AccessGate]:
    """Create the gate for these settings.

    Raises:
        UsageError: the token file can't be used.
    """
    async with AsyncExitStack() as stack:
        watched = issuer = None
        if path := settings.api_tokens_file:
            try:
                watched = await stack.enter_async_context(WatchedTokens(path))
            except (OSError, ValueError) as error:
                raise UsageError(f"SLUICE_API_TOKENS_FILE: {path}: {error}") from None
        if settings.oidc_issuer and settings.oidc_audience:
            issuer = await _open_issuer(stack, settings, settings.oidc_issuer)
        yield AccessGate(settings.users_by_token, watched, issuer)


async def _open_issuer(stack: AsyncExitStack, settings: Settings, issuer: str) -> TokenVerifier:
    # These imports take 70 ms and 5 MiB, which a node without an issuer saves.
    from sluice.access.issuer import Issuer  # noqa: PLC0415
    from sluice.access.issuer_fetch import IssuerFetch  # noqa: PLC0415
    from sluice.access.issuer_keys import IssuerKeys  # noqa: PLC0415

    keys = await stack.enter_async_context(IssuerKeys(issuer, IssuerFetch(issuer).fetch_keys))
    return Issuer(
        issuer,
        settings.oidc_audience or "",
        keys,
        settings.oidc_user_claim,
        settings.oidc_role_claim,
    )
