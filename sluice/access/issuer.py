"""Verifies JSON Web Tokens of an OpenID Connect issuer, and reads their bearers.

Invariant: the key determines the algorithm, never the token; and any token costs at most two
signature checks, the second by a key that was fetched since.
"""

from collections.abc import Mapping
from typing import Any

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from schemas.requests import is_user
from sluice.access.askers import Asker, Role
from sluice.access.errors import TokenRefused
from sluice.access.issuer_fetch import ALGORITHMS
from sluice.access.issuer_keys import IssuerKeys

_FROM_ISSUER = "jwt"
_MOST_BYTES = 8 * 1024
_LEEWAY_SECONDS = 5.0
_REASONS: dict[type[PyJWTError], str] = {
    ExpiredSignatureError: "has expired",
    ImmatureSignatureError: "is not valid yet",
    InvalidAudienceError: "is for another audience",
    InvalidIssuerError: "is of another issuer",
}


class _WrongSignature(TokenRefused):
    """No key that we know under the token's key id has signed it."""


class Issuer:
    """Identifies the bearers of this issuer's tokens for ``audience``.

    ``user_claim`` names the user; ``role_claim`` makes an operator of those in which it is, or
    holds, ``operator``. A claim inside another is named with dots, as ``realm_access.roles``.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: IssuerKeys,
        user_claim: str = "sub",
        role_claim: str | None = None,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._user_claim = user_claim
        self._role_claim = role_claim

    async def asker_of(self, token: bytes) -> Asker:
        """The token's bearer.

        Raises:
            TokenRefused: it isn't the issuer's, or isn't valid now or for us.
            IssuerUnavailable: no keys have ever been fetched, or too many tokens wait for them.
        """
        if len(token) > _MOST_BYTES:
            raise TokenRefused(f"is longer than {_MOST_BYTES:,} bytes")
        try:
            header = jwt.get_unverified_header(token)
        except (PyJWTError, ValueError, RecursionError):
            raise TokenRefused("is malformed") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise TokenRefused(f"is not signed by {', '.join(ALGORITHMS)}")
        key = await self._keys.find(key_id, algorithm)
        if key is None:
            raise TokenRefused("is signed by no key of the issuer")
        try:
            claims = self._claims(token, key)
        except _WrongSignature:
            # An issuer that was set up again may use a key id for another key.
            newer = await self._keys.newer(key_id, key)
            if newer is None:
                raise
            claims = self._claims(token, newer)
        return self._asker(claims)

    def _claims(self, token: bytes, key: jwt.PyJWK) -> Mapping[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "aud", "iss"]},
            )
        except MissingRequiredClaimError as error:
            raise TokenRefused(f"has no claim {error.claim}") from None
        except InvalidSignatureError:
            raise _WrongSignature("has a wrong signature") from None
        except (PyJWTError, ValueError, TypeError, OverflowError) as error:
            reason = next((why for kind, why in _REASONS.items() if isinstance(error, kind)), None)
            raise TokenRefused(reason or "is malformed") from None

    def _asker(self, claims: Mapping[str, Any]) -> Asker:
        user = _claim(claims, self._user_claim)
        if not (isinstance(user, str) and is_user(user)):
            raise TokenRefused(f"names no user in the claim {self._user_claim}")
        role = Role.OPERATOR if self._is_operator(claims) else Role.USER
        return Asker(user, role, _FROM_ISSUER)

    def _is_operator(self, claims: Mapping[str, Any]) -> bool:
        if self._role_claim is None:
            return False
        roles = _claim(claims, self._role_claim)
        roles = roles.split(" ") if isinstance(roles, str) else roles  # as in ``scope``
        return isinstance(roles, list) and Role.OPERATOR in roles


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """A claim by name (which may contain dots) or by path, with dots between the names."""
    if name in claims:
        return claims[name]
    outer, _, inner = name.partition(".")
    below = claims.get(outer)
    return _claim(below, inner) if inner and isinstance(below, dict) else None
