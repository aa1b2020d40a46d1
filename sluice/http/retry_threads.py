"""Runs retries outside the node's event loop, because reading for them may block it.

A retry reads everything in a partition from its request on: a batch that decompresses to gigabytes
is skipped in pieces, but without a pause. So each retry has its own thread and event loop.
Invariant: a cancelled retry stops publishing at its next await.
"""

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from consumer.daemon_threads import DaemonThreads
from producer.retry.retrying import Retried, Retry, run_again
from schemas.topics import Topics

_AT_ONCE = 1  # per node; others wait. Each holds up to 16 MiB of a batch several times over


class RetryThreads:
    """Publishes exports again, like ``run_again``, one per call."""

    def __init__(self, topics: Topics, client_options: Mapping[str, Any]) -> None:
        self._topics = topics
        self._options = client_options
        self._threads = DaemonThreads(_AT_ONCE, "retry")

    async def run_again(self, retry: Retry) -> Retried:
        """Raises as ``run_again``."""
        job = _Job(retry, self._topics, self._options)
        try:
            return await asyncio.wrap_future(self._threads.submit(job.run))
        except asyncio.CancelledError:
            job.cancel()
            raise


class _Job:
    """One call, which any thread may cancel."""

    def __init__(self, retry: Retry, topics: Topics, client_options: Mapping[str, Any]) -> None:
        self._retry = retry
        self._topics = topics
        self._options = client_options
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

    def run(self) -> Retried:
        return asyncio.run(self._run())

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            if self._loop and self._task:
                with suppress(RuntimeError):  # the loop has already ended
                    self._loop.call_soon_threadsafe(self._task.cancel)

    async def _run(self) -> Retried:
        with self._lock:
            if self._is_cancelled:
                raise asyncio.CancelledError
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        return await run_again([self._retry], self._topics, **self._options)
