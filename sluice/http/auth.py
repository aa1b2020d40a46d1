"""Who may ask: bearer tokens (RFC 6750), where the settings name any."""

import hmac
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

_Given = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


class BearerAuth:
    """Knows the tokens. Where ``users_by_token`` is empty, everyone may ask."""

    def __init__(self, users_by_token: Mapping[str, str]) -> None:
        self._users = [(token.encode(), user) for token, user in users_by_token.items()]

    def user_of(self, given: HTTPAuthorizationCredentials | None) -> str | None:
        """The user who asks; None where there are no tokens.

        Raises:
            HTTPException: 401, there is no token, or none of ours.
        """
        if not self._users:
            return None
        # Starlette reads header bytes as Latin-1; this gives them back.
        token = given.credentials.encode("latin-1") if given else b""
        # All are compared, each in constant time, so that the time taken tells nothing.
        users = [user for known, user in self._users if hmac.compare_digest(known, token)]
        if not users:
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "a valid bearer token is needed",
                {"WWW-Authenticate": "Bearer"},
            )
        return users[0]


async def _asker(request: Request, given: _Given) -> str | None:
    auth: BearerAuth = request.app.state.auth
    user = auth.user_of(given)
    request.state.user = user  # for the log
    return user


Asker = Annotated[str | None, Depends(_asker)]
"""An endpoint's argument: the user of the token, or None where there are no tokens."""
