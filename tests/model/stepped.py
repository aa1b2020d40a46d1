"""Coroutines without an event loop: each goes on by a step, to the end or to where it awaits one.

Invariant: nothing happens in a coroutine between two steps.
"""

from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@coroutine
def another_step() -> Generator[None, None, None]:
    """Await it for what takes time."""
    yield


class Stepped(Generic[T]):
    """What a task is on an event loop; ``begin`` is called with the first step."""

    def __init__(self, begin: Callable[[], Awaitable[T]]) -> None:
        self._begin = begin
        self._coroutine: Generator[Any, None, T] | None = None
        self._returned: list[T] = []
        self.error: Exception | None = None

    def step(self) -> None:
        """Go on; an error that is no ``Exception`` is raised here, any other by ``result``."""
        self._coroutine = self._coroutine or self._begin().__await__()
        try:
            next(self._coroutine)
        except StopIteration as end:
            self._returned.append(end.value)
        except Exception as error:  # noqa: BLE001 - a task keeps it too
            self.error = error

    def done(self) -> bool:
        """Whether it has ended."""
        return bool(self._returned or self.error)

    def result(self) -> T:
        """What it returned, or raises what it raised."""
        if self.error:
            raise self.error
        return self._returned[0]
