"""How a run of the model ends early: the promise was broken, or a lane has stopped and may."""

from collections.abc import Iterator
from contextlib import contextmanager


class Violation(BaseException):
    """The promise was broken. Not an ``Exception``, which the service would take for its own."""


class StoppedError(BaseException):
    """A lane has stopped loudly, and may: an export is contested. The run ends here."""


class BrokenError(AssertionError):
    """A violation, as the failure of a test."""


@contextmanager
def judged() -> Iterator[None]:
    """Turn a violation inside into a failure of a test."""
    try:
        yield
    except Violation as violation:
        raise BrokenError(str(violation)) from violation.__cause__
