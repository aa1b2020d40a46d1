"""What the whole group has accepted and not finished, known on every node.

Reads the requests topic beside the group, and looks at what the group has committed; which request
is unfinished is decided in ``core/backlog.py``. Nothing is written, and what an open transaction
holds back was not accepted yet. Any doubt reads all of it again. Invariant: an answer stands on
ends and commits that were fetched after its question.
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
"""UnfinishedRequest exports that are held in memory; what is read of more waits for room."""

_ANSWER_SECONDS = 5.0
_AT_A_STRETCH = 2_000  # exports that are listed before other tasks have their turn
_STILL_READ = "the requests topic is still being read"
_CONSUMER_OPTIONS = {
    "fetch_max_wait_ms": 1000,
    "metadata_max_age_ms": 30_000,  # new partitions are seen as soon as by the group's members
}


class Backlog:
    """The group's unfinished exports. Use it as an async context manager; it reads in the back."""

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
        """Begin to read; returns at once, whether Kafka answers or not."""
        self._reading.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading; a question that waits is refused."""
        await self._reading.stop()

    async def count(self, *, fresh: bool = False) -> int:
        """Exports accepted and unfinished in the group; ``most_followed`` stands for more, too.

        At once, as of about a second ago; or ``fresh``: after all that was accepted or committed
        before the call.

        Raises:
            BacklogUnavailable: Kafka doesn't answer, or there is more to read than 5 s allow.
        """
        async with self._reader_ready() as reader:
            return await reader.count(fresh=fresh)

    async def counts(self, user: str) -> tuple[int, int]:
        """A fresh ``count``, and how many of those exports are this user's. Raises as ``count``."""
        async with self._reader_ready() as reader:
            return await reader.counts(user)

    async def unfinished(self) -> list[ListedExport]:
        """All unfinished exports, at most ``most_followed``, as of about a second ago.

        Raises as ``count``.
        """
        async with self._reader_ready() as reader:
            held = await reader.unfinished()
        # Kafka has answered: this takes a busy node as long as it takes.
        listed: list[ListedExport] = []
        for start in range(0, len(held), _AT_A_STRETCH):
            listed += starmap(_listed, held[start : start + _AT_A_STRETCH])
            await asyncio.sleep(0)
        return listed

    async def find(self, export_id: str, *, accepted: bool = False) -> UnfinishedRequest | None:
        """The unfinished export of this id, as of now; None: there is none in the whole group.

        A look for the manifest after a None finds it, if the export has ended. ``accepted``:
        it surely has been requested, so it is in no transaction that is still open.

        Raises:
            RequestsHidden: it may be in a transaction that is open.
            BacklogUnavailable: as ``count``; or there are more than ``most_followed``.
        """
        async with self._reader_ready() as reader:
            return await reader.find(export_id, accepted=accepted)

    @asynccontextmanager
    async def _reader_ready(self) -> AsyncIterator[BacklogReader]:
        """The reader for a question; what goes wrong comes out as BacklogUnavailable."""
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
            # Pieces that came show that Kafka answers: there is only much to read.
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
                # Before it closes: calls from now on wait for the next reader.
                self._reader = None
                self._reader_is_there.clear()
                await reader.close()

    def _note(self, error: Exception) -> None:
        """Log why, once; questions are refused meanwhile, unless it is only read again."""
        if not isinstance(error, FORESEEN):
            log.error("backlog failed", exc_info=error)
        if reason := self._reading.new_reason(error):
            say = log.debug if self._cluster.contact.explains(error) else log.warning
            say("backlog is not followed", reason=reason)
        # After a doubt all is read again at once, and calls wait for that; else they are refused.
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
