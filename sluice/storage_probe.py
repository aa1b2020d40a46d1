"""Checks whether the storage works, so that a hanging one delays nothing else.

``sluice.node`` collects why a node isn't ready. Invariant: at most one check is running, in a
thread that doesn't keep the process alive.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from consumer.errors import StorageUnavailable

_TIMEOUT_SECONDS = 5.0


class StorageProbe:
    """Probes the storage with ``check``, which blocks and raises ``StorageUnavailable``."""

    def __init__(
        self,
        check: Callable[[], None],
        timeout_seconds: float = _TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._under_way: Future[str | None] | None = None
        self._begun_at = 0.0
        self._failing_since: float | None = None

    async def problem(self) -> str | None:
        """What is wrong and for how long, or None. Concurrent calls share one check.

        If cancelled, the check continues by itself.
        """
        if self._under_way is None or self._under_way.done():
            self._begun_at = self._clock()
            self._under_way = self._begin()
        begun_at = self._begun_at
        answer = asyncio.wrap_future(self._under_way)
        # ``wait`` leaves the check running for the next call to find.
        done, _ = await asyncio.wait([answer], timeout=self._timeout_seconds)
        found = answer.result() if done else "the storage does not answer"
        if found is None:
            self._failing_since = None
            return None
        # From the first of the checks in a row that failed, which began before it failed.
        if self._failing_since is None:
            self._failing_since = begun_at
        seconds = self._clock() - self._failing_since
        return f"{found}, for {seconds:.0f} s now" if seconds >= 1 else found

    def _begin(self) -> Future[str | None]:
        found: Future[str | None] = Future()

        def check() -> None:
            try:
                self._check()
            except StorageUnavailable as error:
                found.set_result(str(error))
            except Exception as error:  # noqa: BLE001 - raised again where it is awaited
                found.set_exception(error)
            else:
                found.set_result(None)

        # Not the loop's own threads: shutdown would wait for them as long as the storage hangs.
        threading.Thread(target=check, name="storage-check", daemon=True).start()
        return found
