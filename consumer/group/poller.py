"""One poll loop for all partitions of a member: from the consumer into the feeds.

aiokafka counts time without a ``get`` call in flight against ``max_poll_interval_ms``, so one is
always in flight. Nothing more is read for a full feed; polling continues. A poll returns a few MiB
at most over all partitions, which takes the event loop some 50 ms. Invariant: the result of a poll
is in the feeds before anything else runs, so no rebalance can come between.
"""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from clients.aiokafka_private import fetch_within, waiting_bytes
from clients.bounded_fetch import bounded_getmany
from clients.contact import Contact
from consumer.lanes.feed import Feed, Held

log = structlog.get_logger(__name__)

# How long until a feed learns of markers, which move its position without a message.
_POLL_MS = 200
_POLL_RECORDS = 500
_MOST_ERRORS = 10  # in a row, a second apart; then the member is replaced
FETCH_WAIT_MS = 50
"""How long a broker waits for messages. With aiokafka's 500, a busy partition beside quiet ones was
fetched at 10 MiB/s; with 50, at 45: a fetch names every partition with room, and the next waits."""
# While a feed is full. A fetch of the quiet partitions must not outlast the work that the full feed
# still holds, some 20 ms; with 50 a node was idle two thirds of the time.
_BUSY_WAIT_MS = 10


class Poller:
    """Feeds lanes. ``feeds`` returns the current ones; ``lost`` is called with a broken one."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        feeds: Callable[[], list[Feed]],
        held: Held,
        lost: Callable[[TopicPartition, str], None],
        contact: Contact,
    ) -> None:
        self._contact = contact
        self._consumer = consumer
        self._feeds = feeds
        self._held = held
        self._lost = lost

    async def run(self) -> None:
        """Poll until cancelled.

        Raises:
            KafkaError: it keeps failing; the consumer is unusable.
        """
        errors = 0
        while True:
            await asyncio.sleep(0)  # ``getmany`` doesn't yield if messages are at hand
            fetch_within(self._consumer, _BUSY_WAIT_MS if self._held.busy else FETCH_WAIT_MS)
            try:
                fetched = await bounded_getmany(
                    self._consumer, _POLL_MS, _POLL_RECORDS, self._held.unread
                )
            except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
                # This partition's lane stops; keep polling the others.
                self._report(error)
                continue
            except KafkaError as error:
                errors += 1
                say = log.debug if self._contact.explains(error) else log.warning
                say("poll failed", error=f"{type(error).__name__}: {error}", times=errors)
                if errors >= _MOST_ERRORS:
                    raise
                await asyncio.sleep(1)
                continue
            errors = 0
            for feed in self._feeds():
                if feed.started:
                    await self._fill(feed, fetched.get(feed.partition, []))

    async def _fill(self, feed: Feed, messages: list[ConsumerRecord]) -> None:
        try:
            # Feeds without messages too: markers and aborted messages move the position alone.
            position = await self._consumer.position(feed.partition)
        except IllegalStateError:
            return  # revoked while we polled; the listener knows
        feed.put(messages, position)
        if feed.partition in self._held.unread:
            feed.bound_unread(waiting_bytes(self._consumer, feed.partition))

    def _report(self, error: KafkaError) -> None:
        """Report the partition that lacks the offset; the error has a dict by partition, or one."""
        about = error.args[0]
        partitions = about if isinstance(about, dict) else {about: "none"}
        for partition, offset in partitions.items():
            self._lost(partition, f"{partition.topic} has no offset {offset}: messages are lost")
