"""Threads for calls that may hang, such as storage calls; they never keep the process alive.

The interpreter joins the threads of ``concurrent.futures`` on exit, so one hanging call would keep
a node alive after SIGTERM. Invariant: no call waits while a thread is idle or could be started.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Call = Callable[[], None]


class DaemonThreads(Executor):
    """At most ``most`` threads, each started on first need."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._count = 0
        self._idle = 0
        self._unclaimed = 0  # calls waiting for the first free thread
        self._ended = False

    @property
    def waiting(self) -> int:
        """Calls for which no thread is free."""
        return self._unclaimed

    def submit(
        self, call: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> "Future[_T]":
        """See ``Executor.submit``.

        Raises:
            RuntimeError: after ``shutdown``.
        """
        future: Future[_T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                    future.set_exception(error)

        with self._lock:
            if self._ended:
                raise RuntimeError("the threads were shut down")
            if self._idle:
                # Reserved for this call, so that the next one doesn't count on it.
                self._idle -= 1
            elif self._count < self._most:
                self._start()
            else:
                self._unclaimed += 1
            self._calls.put(run)
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Accept no more calls. Idle threads end; nothing waits for one that hangs."""
        with self._lock:
            self._ended = True
            for _ in range(self._idle):
                self._calls.put(None)
            self._idle = 0

    def _start(self) -> None:
        self._count += 1
        name = f"{self._name}-{self._count}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while call := self._calls.get():
            call()
            del call  # don't keep the call's objects alive while this thread is idle
            with self._lock:
                if self._unclaimed:
                    self._unclaimed -= 1
                elif self._ended:
                    return
                else:
                    self._idle += 1
