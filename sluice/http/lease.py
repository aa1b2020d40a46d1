"""A publisher shared by uploads; a separate module, because broken uploads hold one too.

Invariant: it isn't stopped while ``users`` is above zero.
"""

import asyncio

from producer.publisher import ExportPublisher


class Lease:
    """A publisher that has started or is starting, with a count of its users."""

    def __init__(self, starting: asyncio.Task[ExportPublisher]) -> None:
        self.starting = starting
        self.users = 0

    @property
    def publisher(self) -> ExportPublisher:
        """The publisher, once it has started."""
        return self.starting.result()
