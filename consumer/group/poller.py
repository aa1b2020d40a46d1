"""One poll loop for all partitions of a member: from the consumer into the feeds.

aiokafka counts the time without a ``get`` call in flight against ``max_poll_interval_ms``, so one
always is. A feed that is full pauses its partition; the poll goes on. A poll brings a few MiB at
most, of all partitions together, and takes the event loop some 50 ms. Invariant: what a poll
returned is in the feeds before anything else runs, so a rebalance can't come between.
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

from clients.bounded_fetch import bounded_getmany
from clients.contact import Contact
from consumer.lanes.feed import Feed

log = structlog.get_logger(__name__)

# How late a feed learns of markers, which move its position without a message.
_POLL_MS = 200
_POLL_RECORDS = 500
_MOST_ERRORS = 10  # in a row, a second apart: then a new member is built


class Poller:
    """Feeds lanes; ``feeds`` are those of now, ``lost`` is called with one that can't go on."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        feeds: Callable[[], list[Feed]],
        lost: Callable[[TopicPartition, str], None],
        contact: Contact,
    ) -> None:
        self._contact = contact
        self._consumer = consumer
        self._feeds = feeds
        self._lost = lost

    async def run(self) -> None:
        """Poll until cancelled.

        Raises:
            KafkaError: again and again the same; the consumer is of no use any more.
        """
        errors = 0
        while True:
            await asyncio.sleep(0)  # a call that finds messages awaits nothing
            try:
                fetched = await bounded_getmany(self._consumer, _POLL_MS, _POLL_RECORDS)
            except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
                # The partition's lane stops; the others are polled on.
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
            # Also of feeds without messages: markers and aborted messages move the position alone.
            position = await self._consumer.position(feed.partition)
        except IllegalStateError:
            return  # taken away while we polled; the listener knows
        feed.put(messages, position)

    def _report(self, error: KafkaError) -> None:
        """Tell which partition has no such offset: a dict by partition, or the partition."""
        about = error.args[0]
        partitions = about if isinstance(about, dict) else {about: "none"}
        for partition, offset in partitions.items():
            self._lost(partition, f"{partition.topic} has no offset {offset}: messages are lost")
