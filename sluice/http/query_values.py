"""Query parameters that several endpoints share. Pure; an invalid value raises ValueError."""

import re
from collections.abc import Callable


def one_of(*words: str) -> Callable[[str], str]:
    """A parser for one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return read


def count_of(most: int) -> Callable[[str], int]:
    """A parser for a number from 1 to ``most``."""

    def read(text: str) -> int:
        if not (re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= most):
            raise ValueError(f"must be a number from 1 to {most:,}")
        return int(text)

    return read
