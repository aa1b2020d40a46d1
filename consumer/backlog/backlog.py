"""What the whole group has accepted and not finished, known on every node.

Reads the requests topic outside the group and fetches the group's commits; ``core/backlog.py``
decides which requests are unfinished. Writes nothing. A request inside an open transaction doesn't
count as accepted yet. After any inconsistency everything is read again. Invariant: every answer is
based on end offsets and commits fetched after its question.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import starmap
from typing import Any, Self

import structlog
from aiokafka.errors import KafkaError

from clients.reader import groupless_consumer
from consumer.background_read import AWAY, FORESEEN, BackgroundRead, in_words
from consumer.backlog.backlog_reader import BacklogReader
from consumer.cluster import Cluster
from consumer.core.backlog import Requested, UnfinishedRequest
from consumer.core.listing import ExportState, ListedExport
from consumer.errors import BacklogUnavailable, RequestsHidden

__all__ = ["MOST_FOLLOWED", "Backlog", "BacklogUnavailable", "RequestsHidden"]

log = structlog.get_logger(__name__)

MOST_FOLLOWED = 100_000
"""Unfinished requests held in memory; beyond that, reading pauses until some have ended."""

_ANSWER_SECONDS = 5.0
_AT_A_STRETCH = 2_000  # exports listed before yielding to other tasks
_STILL_READ = "the requests topic is still being read"
_CONSUMER_OPTIONS = {
    "fetch_max_wait_ms": 1000,
    "metadata_max_age_ms": 30_000,  # notice new partitions as soon as the group's members do
}


class Backlog:
    """The group's unfinished exports. An async context manager that reads in the background."""

    def __init__(
        self,
        cluster: Cluster,
        client_options: Mapping[str, Any],
        most_followed: int = MOST_FOLLOWED,
    ) -> None:
        self._cluster = cluster
        self._options = client_options
        self._most_followed = most_followed
        self._reader: BacklogReader | None = None
        self._reader_is_there = asyncio.Event()
        self._trouble: str | None = None
        self._reading = BackgroundRead("backlog", self._read, self._note)

    async def __aenter__(self) -> Self:
        """Start reading in the background; returns at once, even if Kafka is unreachable."""
        self._reading.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading; pending calls raise ``BacklogUnavailable``."""
        await self._reading.stop()

    async def count(self, *, fresh: bool = False) -> int:
        """Count the exports accepted and unfinished in the group, up to ``most_followed``.

        Returns at once a count that may be a second old; if ``fresh``, waits for one that includes
        everything accepted or committed before the call.

        Raises:
            BacklogUnavailable: Kafka doesn't answer, or reading takes more than 5 s.
        """
        async with self._reader_ready() as reader:
            return await reader.count(fresh=fresh)

    async def counts(self, user: str) -> tuple[int, int]:
        """A fresh ``count``, in all and for this user. Raises as ``count``."""
        async with self._reader_ready() as reader:
            return await reader.counts(user)

    async def unfinished(self) -> list[ListedExport]:
        """All unfinished exports, at most ``most_followed``, as of about a second ago.

        Raises as ``count``.
        """
        async with self._reader_ready() as reader:
            held = await reader.unfinished()
        # No deadline: Kafka has answered, and listing takes a busy node as long as it takes.
        listed: list[ListedExport] = []
        for start in range(0, len(held), _AT_A_STRETCH):
            listed += starmap(_listed, held[start : start + _AT_A_STRETCH])
            await asyncio.sleep(0)
        return listed

    async def find(self, export_id: str, *, accepted: bool = False) -> UnfinishedRequest | None:
        """The unfinished export of this id as of now, or None if the group has none.

        If it has ended, its manifest can be read after a None is returned. Pass ``accepted`` if the
        request is known to be committed, so that no open transaction can hide it.

        Raises:
            RequestsHidden: an open transaction may hold it.
            BacklogUnavailable: as ``count``, or more than ``most_followed`` exports are unfinished.
        """
        async with self._reader_ready() as reader:
            return await reader.find(export_id, accepted=accepted)

    @asynccontextmanager
    async def _reader_ready(self) -> AsyncIterator[BacklogReader]:
        """The reader, for one question; its failures become ``BacklogUnavailable``."""
        if self._trouble:
            raise BacklogUnavailable(self._trouble)
        reader, pieces_read = self._reader, 0
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                while (reader := self._reader) is None:
                    await self._reader_is_there.wait()
                pieces_read = reader.pieces_read
                yield reader
        except TimeoutError:
            # Kafka answers, there is just a lot to read.
            reads = reader is not None and reader.pieces_read > pieces_read
            raise BacklogUnavailable(_STILL_READ if reads else AWAY) from None
        except (KafkaError, OSError, ValueError) as error:
            raise BacklogUnavailable(in_words(error)) from error

    async def _read(self) -> None:
        async with groupless_consumer(self._options, **_CONSUMER_OPTIONS) as consumer:
            reader = BacklogReader(consumer, self._cluster, self._most_followed)
            try:
                await reader.begin()
                self._reader = reader
                self._trouble = None
                self._reading.followed()
                self._reader_is_there.set()
                await reader.run()
            finally:
                # First of all: later calls wait for the next reader.
                self._reader = None
                self._reader_is_there.clear()
                await reader.close()

    def _note(self, error: Exception) -> None:
        """Log why, once. Questions are refused meanwhile, unless everything is just read again."""
        if not isinstance(error, FORESEEN):
            log.error("backlog failed", exc_info=error)
        if reason := self._reading.new_reason(error):
            say = log.debug if self._cluster.contact.explains(error) else log.warning
            say("backlog is not followed", reason=reason)
        # After an inconsistency everything is read again at once and calls wait for it; after any
        # other failure they are refused.
        self._trouble = None if isinstance(error, BacklogUnavailable) else in_words(error)


def _listed(request: Requested, begun: bool) -> ListedExport:
    return ListedExport(
        request.export_id,
        ExportState.RUNNING if begun else ExportState.QUEUED,
        str(request.format),
        request.user,
        request.title,
        None,
        None,
        request.requested_at_ms,
    )
