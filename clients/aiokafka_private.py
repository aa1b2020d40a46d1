"""Every use of aiokafka's private attributes, each with the reason why no public API will do.

Invariant: nothing else in the product touches one. Seen in ``SEEN_VERSION``. Where another version
is installed, or an attribute is gone, tests/unit/test_aiokafka_private.py fails: read the functions
here against the new source before changing the version.
"""

import asyncio
from contextlib import suppress
from typing import Any

import aiokafka.consumer.fetcher as aiokafka_fetcher
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

SEEN_VERSION = "0.14.0"


async def cut_off_producer(producer: AIOKafkaProducer, timeout_seconds: float) -> None:
    """Close a producer whose ``stop`` was cancelled; what it has not sent fails.

    Without this its sender task retries forever while the broker is away.
    """
    producer._message_accumulator.fail_all(KafkaTimeoutError())
    sender, transactions = producer._sender, producer._txn_manager
    if sender.sender_task and not (transactions and transactions.transactional_id):
        # It reports the end to the transaction, and raises in a producer that has none.
        sender.sender_task.remove_done_callback(sender._fail_all)
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_seconds):
            await sender.close()
    await producer.client.close()


def discard_transaction_error(producer: AIOKafkaProducer) -> None:
    """Retrieve the error of a failed transaction that nobody awaits, else asyncio logs it."""
    manager = producer._txn_manager
    end = manager and manager.wait_for_transaction_end()
    if end and end.done() and not end.cancelled():
        end.exception()


async def close_connections(consumer: AIOKafkaConsumer) -> None:
    """Close a consumer's connections; a ``stop`` that was cancelled leaves them open."""
    await consumer._client.close()


def fetch_without_backoff(consumer: AIOKafkaConsumer) -> None:
    """Have a started consumer fetch a partition again as soon as its messages are used up.

    Otherwise it waits up to 0.1 s for the other partitions. A merge needs a message from each, and
    would spend half of its time waiting.
    """
    consumer._fetcher._prefetch_backoff = 0


def drop_fetched(consumer: AIOKafkaConsumer) -> None:
    """Drop what a stopped consumer has fetched and not returned.

    The consumer and its tasks are in reference cycles, so it would stay until these are collected.
    """
    if consumer._fetcher:
        consumer._fetcher._records.clear()


def waiting_bytes(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    """The size of a partition's fetch that was not returned yet, as Kafka sent it."""
    result = consumer._fetcher._records.get(partition)
    fetched = getattr(result, "_partition_records", None)  # an error has none
    return fetched._records.size_in_bytes() if fetched else 0


def look_again(consumer: AIOKafkaConsumer) -> None:
    """Have a waiting ``getmany`` check its partitions again at once, as when messages arrive."""
    for waiter in consumer._fetcher._fetch_waiters:
        if not waiter.done():
            waiter.set_result(None)


def fetch_within(consumer: AIOKafkaConsumer, wait_ms: int) -> None:
    """Change ``fetch_max_wait_ms`` of a started consumer, from its next fetch on."""
    consumer._fetcher._fetch_max_wait_ms = wait_ms


def release_records(records: Any) -> None:  # noqa: ANN401 - aiokafka has no types
    """Break the cycle between a partition's fetched records and their iterator.

    The cycle keeps megabytes alive until Python's cycle collector runs, which few objects trigger.
    """
    records._records_iterator = None


def replace_record_classes(memory_records: type, fetch_result: type) -> None:
    """Have every consumer of this process parse and return records with these two classes."""
    aiokafka_fetcher.MemoryRecords = memory_records
    aiokafka_fetcher.FetchResult = fetch_result
