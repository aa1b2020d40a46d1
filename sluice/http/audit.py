"""The audit log: a line for each change that a person makes over HTTP, and for refused tokens.

Invariant: no line contains a token, and clients without a valid one can't fill the log.
"""

import time
from collections.abc import Callable

import structlog
from starlette.requests import Request

from sluice.access.askers import Asker

log = structlog.get_logger(__name__)

_REFUSALS = 10
_REFUSALS_SECONDS = 10.0


def audit(request: Request, asker: Asker, action: str, **more: object) -> None:
    """Log a change made by ``asker``: ``run``, ``cancel``, ``requeue`` and so on.

    ``more`` are fields with details; all names are in ``docs/log-events.md``.
    """
    log.info(
        "audit",
        action=action,
        user=asker.user,
        role=str(asker.role),
        token=asker.token,
        client=_address(request),
        **more,
    )


class Refusals:
    """Logs refused tokens, ten in ten seconds at most. ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = -_REFUSALS_SECONDS
        self._logged = 0
        self._unlogged = 0

    def note(self, request: Request, reason: str) -> None:
        """A token was refused."""
        if self._clock() - self._since >= _REFUSALS_SECONDS:
            self._since, self._logged = self._clock(), 0
        if self._logged == _REFUSALS:
            self._unlogged += 1
            return
        log.warning(
            "audit",
            action="token_refused",
            reason=reason,
            client=_address(request),
            unlogged=self._unlogged,
        )
        self._logged, self._unlogged = self._logged + 1, 0


def _address(request: Request) -> str | None:
    return request.client.host if request.client else None
