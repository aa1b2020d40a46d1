"""Bearer tokens (RFC 6750), if the settings require them: identifies a request's sender."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from sluice.access.askers import ANYONE, Asker
from sluice.access.errors import FetchCrowded, IssuerUnavailable, TokenRefused
from sluice.access.gate import AccessGate
from sluice.http.audit import Refusals
from sluice.http.problems import Refusal, unavailable

GuardedEndpoint: TypeAlias = Callable[[Request, Asker], Awaitable[Response]]
"""An endpoint that also takes the sender: ``ANYONE`` if tokens aren't used."""


class BearerAuth:
    """Lets requests through, or answers them 401."""

    def __init__(self, gate: AccessGate) -> None:
        self._gate = gate
        self._refusals = Refusals()

    def guard(
        self, endpoint: GuardedEndpoint, *, operators_only: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint for requests with a valid token; others are answered 401.

        ``operators_only``: 403 for users.
        """

        async def guarded(request: Request) -> Response:
            asker = await self.asker_of(request)
            request.state.user = asker.user  # for the request log
            if operators_only and not asker.is_operator:
                raise Refusal(HTTPStatus.FORBIDDEN, "this is for operators only")
            return await endpoint(request, asker)

        return guarded

    async def asker_of(self, request: Request) -> Asker:
        """Identify a request's sender by its token.

        Raises:
            Refusal: 401, it is invalid; 503, the issuer of tokens doesn't answer, or not so soon.
        """
        if self._gate.is_open:
            return ANYONE
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        # Starlette decodes header bytes as Latin-1; this restores them.
        token = credentials.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
        if not token:
            raise _unauthorized("Bearer")
        try:
            return await self._gate.asker_of(token)
        except TokenRefused as refused:
            self._refusals.note(request, str(refused))
            raise _unauthorized('Bearer error="invalid_token"') from None
        except FetchCrowded:
            raise unavailable("too many tokens of keys that aren't known are looked at") from None
        except IssuerUnavailable:
            raise unavailable("the issuer of tokens doesn't answer") from None


def _unauthorized(challenge: str) -> Refusal:
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        "a valid bearer token is needed",
        headers={"WWW-Authenticate": challenge},
    )
