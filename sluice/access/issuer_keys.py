"""An issuer's keys, cached, and refreshed at a bounded rate.

They are refreshed every few minutes, so that a withdrawn key is forgotten, and for a token with an
unknown key, because issuers rotate keys. Also, more rarely, for one that a known key has not
signed: an issuer that was set up again may use the same key id for another key. Invariant: whatever
tokens arrive, fetches begin at least two seconds apart, and at most ``_MOST_WAITING`` tokens wait
for one, each of which holds a connection; and a failed fetch keeps the known keys.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Self

import structlog
from jwt import PyJWK

from consumer.daemon_threads import DaemonThreads
from sluice.access.errors import FetchCrowded, IssuerUnavailable

log = structlog.get_logger(__name__)

_BETWEEN_SECONDS = 2.0
_REFRESH_SECONDS = 300.0
_DOUBT_SECONDS = 15.0
"""Keys fetched so recently are not doubted: most tokens with a wrong signature are forged."""
_AGAIN_SECONDS = 15.0
_FETCH_SECONDS = 12.0
_ASK_SECONDS = 5.0
_MOST_WAITING = 100
"""A fifth of the connections that a node has: anyone can make tokens of unknown keys."""


class IssuerKeys:
    """An async context manager. ``fetch`` blocks, and raises IssuerUnavailable."""

    def __init__(
        self,
        issuer: str,
        fetch: Callable[[], list[PyJWK]],
        between_seconds: float = _BETWEEN_SECONDS,
        refresh_seconds: float = _REFRESH_SECONDS,
        doubt_seconds: float = _DOUBT_SECONDS,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._between_seconds = between_seconds
        self._refresh_seconds = refresh_seconds
        self._doubt_seconds = doubt_seconds
        self._keys: Sequence[PyJWK] = ()
        self._trouble: str | None = None
        self._fetched_at = -between_seconds
        self._one_fetch = asyncio.Lock()
        self._next_fetch: asyncio.Task[None] | None = None
        self._latest_fetch: asyncio.Task[None] | None = None
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = DaemonThreads(1, "issuer")  # resolving a name may take minutes

    async def __aenter__(self) -> Self:
        """Start fetching; returns at once, even if the issuer is unreachable."""
        self._keep(asyncio.create_task(self._refresh_now_and_then(), name="issuer"))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop fetching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown()

    async def find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        """A token's key, or None. Without a key id, the only key of its algorithm.

        Raises:
            FetchCrowded: it is unknown, and too many tokens wait for the next fetch.
            IssuerUnavailable: no keys have ever been fetched.
        """
        if found := self._known(key_id, algorithm):
            return found
        if self._waiting >= _MOST_WAITING:
            raise FetchCrowded(f"{_MOST_WAITING} tokens wait for it")
        await self._wait(self._begin_fetch())
        if not self._keys:
            raise IssuerUnavailable(self._trouble or "it has not answered yet")
        return self._known(key_id, algorithm)

    async def newer(self, key_id: str | None, key: PyJWK) -> PyJWK | None:
        """Another key that the issuer has now in place of this one, or None.

        None too if the keys were fetched a moment ago, or too many tokens wait for a fetch.
        """
        if (fetch := self._fetch_of_doubt()) and self._waiting < _MOST_WAITING:
            await self._wait(fetch)
        found = self._known(key_id, key.algorithm_name)
        # Each fetch makes new objects of the same keys.
        return None if found is None or found.key == key.key else found

    def _fetch_of_doubt(self) -> "asyncio.Task[None] | None":
        """A fetch that is under way, or a new one unless the last was a moment ago."""
        if self._latest_fetch and not self._latest_fetch.done():
            return self._latest_fetch
        lately = time.monotonic() - self._fetched_at < self._doubt_seconds
        return None if lately else self._begin_fetch()

    async def _wait(self, fetch: "asyncio.Task[None]") -> None:
        self._waiting += 1
        try:
            # If this call gives up, the fetch continues for others.
            await asyncio.wait([fetch], timeout=_ASK_SECONDS)
        finally:
            self._waiting -= 1

    def _known(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        fitting = [key for key in self._keys if key.algorithm_name == algorithm]
        if key_id is not None:
            fitting = [key for key in fitting if key.key_id == key_id]
        # If several fit, use none: which one is meant is unknown.
        return fitting[0] if len(fitting) == 1 else None

    def _begin_fetch(self) -> "asyncio.Task[None]":
        """A fetch that starts after this call; concurrent calls share it."""
        if self._next_fetch is None:
            self._next_fetch = asyncio.create_task(self._fetch_in_turn(), name="issuer fetch")
            self._latest_fetch = self._next_fetch
            self._keep(self._next_fetch)
        return self._next_fetch

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch_in_turn(self) -> None:
        async with self._one_fetch:
            await asyncio.sleep(self._fetched_at + self._between_seconds - time.monotonic())
            self._next_fetch = None  # later calls need a later fetch
            self._fetched_at = time.monotonic()
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    keys = await asyncio.wrap_future(self._thread.submit(self._fetch))
            except TimeoutError:
                # The thread may still hang in it; the next fetch waits behind that.
                self._note(f"no answer within {_FETCH_SECONDS:g} s")
            except IssuerUnavailable as error:
                self._note(str(error))
            else:
                self._take(keys)

    def _take(self, keys: Sequence[PyJWK]) -> None:
        if {key.key_id for key in keys} != {key.key_id for key in self._keys} or self._trouble:
            log.info("issuer's keys fetched", issuer=self._issuer, keys=len(keys))
        self._keys, self._trouble = keys, None

    def _note(self, trouble: str) -> None:
        if self._trouble is None:
            log.warning(
                "issuer's keys not fetched",
                issuer=self._issuer,
                reason=trouble,
                known_keys=len(self._keys),
            )
        self._trouble = trouble

    async def _refresh_now_and_then(self) -> None:
        while True:
            await asyncio.wait([self._begin_fetch()], timeout=_ASK_SECONDS)
            await asyncio.sleep(_AGAIN_SECONDS if self._trouble else self._refresh_seconds)
