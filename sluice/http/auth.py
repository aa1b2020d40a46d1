"""Bearer tokens (RFC 6750), where the settings name any: which user a request is from."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from sluice.http.problems import Refusal

GuardedEndpoint: TypeAlias = Callable[[Request, str | None], Awaitable[Response]]
"""An endpoint that gets the token's user too, or None where there are no tokens."""


class BearerAuth:
    """Knows the tokens. With an empty ``users_by_token`` no request needs one."""

    def __init__(self, users_by_token: Mapping[str, str]) -> None:
        self._users = [(token.encode(), user) for token, user in users_by_token.items()]

    def guard(self, endpoint: GuardedEndpoint) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint, for requests with a valid token; any other is answered 401."""

        async def guarded(request: Request) -> Response:
            user = self._user_of(request.headers.get("authorization", ""))
            request.state.user = user  # for the request log
            return await endpoint(request, user)

        return guarded

    def _user_of(self, authorization: str) -> str | None:
        if not self._users:
            return None
        scheme, _, credentials = authorization.partition(" ")
        # Starlette decodes header bytes as Latin-1; this restores them.
        token = credentials.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
        # All are compared, each in constant time, so that the time taken reveals nothing.
        users = [user for known, user in self._users if hmac.compare_digest(known, token)]
        if not users:
            raise Refusal(
                HTTPStatus.UNAUTHORIZED,
                "a valid bearer token is needed",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return users[0]
