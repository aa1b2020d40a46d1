"""Decodes messages read outside the group without blocking the event loop.

A valid request may take 0.1 s to decode, and one fetch returns several MiB of them. Invariant: the
event loop decodes for at most 5 ms at a time, and no value above 64 KiB.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

from consumer.unpacking import THREADS, Consumed

_QUICK_BYTES = 64 * 1024
_STRETCH_SECONDS = 0.005

_Decoded = TypeVar("_Decoded")


async def decoded(
    messages: Iterable[Consumed], decode: Callable[[Consumed], _Decoded]
) -> AsyncIterator[tuple[Consumed, _Decoded]]:
    """Each message with its decoded value, in order. Raises as ``decode``."""
    loop = asyncio.get_running_loop()
    until = time.monotonic() + _STRETCH_SECONDS
    for message in messages:
        if _is_quick(message.value):
            yield message, decode(message)
        else:
            yield message, await loop.run_in_executor(THREADS, decode, message)
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            until = time.monotonic() + _STRETCH_SECONDS


def _is_quick(value: object) -> bool:
    # A value that isn't ``bytes`` is only the beginning of one.
    return value is None or (isinstance(value, bytes) and len(value) <= _QUICK_BYTES)
