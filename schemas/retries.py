"""The ids under which failed exports run again: ``ORIGINAL-retry-N``. Pure.

Invariant: an id depends only on the original's id and N, so two people who retry an export at the
same moment create one.
"""

import hashlib
import re
from typing import NamedTuple

MOST_RETRIES = 99
"""Retries of one export."""
_MARK = "-retry-"
_MOST_CHARACTERS = 128
_HASH_CHARACTERS = 12
_MOST_OF_AN_ORIGINAL = _MOST_CHARACTERS - len(f"{_MARK}{MOST_RETRIES}")
_RETRY = re.compile(f".+{_MARK}([1-9][0-9]?)")


class RetryAttempt(NamedTuple):
    """One of the attempts at ``original``; ``number`` 0 is the original itself."""

    original: str
    number: int

    @property
    def export_id(self) -> str:
        """The id of this attempt."""
        return retry_id(self.original, self.number) if self.number else self.original


def retry_id(original: str, number: int) -> str:
    """The id of a retry; ``number`` counts from 1 to ``MOST_RETRIES``.

    A long original id is cut and gets part of its hash, so that ids with the same beginning stay
    distinct.
    """
    if len(original) > _MOST_OF_AN_ORIGINAL:
        digest = hashlib.sha256(original.encode()).hexdigest()[:_HASH_CHARACTERS]
        original = f"{original[: _MOST_OF_AN_ORIGINAL - _HASH_CHARACTERS - 1]}-{digest}"
    return f"{original}{_MARK}{number}"


def attempt_of(export_id: str, retry_of: str | None) -> RetryAttempt:
    """Which attempt an export is; ``retry_of`` comes from its request or its event.

    Anyone may choose an id that looks like a retry's, or send a ``retry_of``: only both together
    count.
    """
    match = _RETRY.fullmatch(export_id)
    if match and retry_of:
        attempt = RetryAttempt(retry_of, int(match[1]))
        if attempt.export_id == export_id:
            return attempt
    return RetryAttempt(export_id, 0)
