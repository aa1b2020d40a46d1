"""What clients/aiokafka_private.py relies on: fails when a new aiokafka changes it."""

import asyncio
import gc
import inspect
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import aiokafka.consumer.fetcher as aiokafka_fetcher
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError
from aiokafka.record.memory_records import MemoryRecords

from clients.aiokafka_private import (
    SEEN_VERSION,
    close_connections,
    cut_off_producer,
    discard_transaction_error,
    drop_fetched,
    fetch_within,
    release_records,
    waiting_bytes,
)
from clients.bounded_fetch import BoundedFetchResult
from clients.lenient_records import LenientRecords, read_leniently

NOWHERE = {"bootstrap_servers": "127.0.0.1:1"}
PLACE, OTHER = TopicPartition("t", 0), TopicPartition("t", 1)
FETCHED = b"of any length"


def records() -> Any:
    return aiokafka_fetcher.PartitionRecords(
        PLACE, MemoryRecords(FETCHED), None, 7, None, None, True, 1
    )


class Unstarted(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka ships no types
    """A producer that doesn't complain that it was not stopped."""

    def __del__(self) -> None:
        pass


async def fails_when_cancelled() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise KafkaTimeoutError("sender") from None


@pytest.fixture
async def loop_errors() -> list[object]:
    """What asyncio would log: errors of callbacks, and those that nobody retrieved."""
    logged: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    return logged


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("aiokafka") == SEEN_VERSION


@pytest.mark.parametrize("options", [{}, {"enable_idempotence": True}])
async def test_a_producer_is_cut_off_and_what_it_held_fails(
    options: dict[str, Any], loop_errors: list[object]
) -> None:
    producer = Unstarted(**NOWHERE, **options)
    retrying = producer._sender._sender_task = asyncio.create_task(fails_when_cancelled())
    retrying.add_done_callback(producer._sender._fail_all)
    message = await producer._message_accumulator.add_message(PLACE, b"", b"", 1)
    await asyncio.sleep(0)
    with pytest.raises(KafkaTimeoutError, match="sender"):
        await cut_off_producer(producer, 1)
    with pytest.raises(KafkaTimeoutError):
        await message
    await asyncio.sleep(0)
    assert loop_errors == []


async def test_the_error_of_a_transaction_is_discarded(loop_errors: list[object]) -> None:
    producer = Unstarted(**NOWHERE, transactional_id="t")
    ended = producer._txn_manager._transaction_waiter = asyncio.Future()
    ended.set_exception(KafkaTimeoutError())
    discard_transaction_error(producer)
    del ended, producer
    gc.collect()
    assert loop_errors == []


async def test_a_consumer_has_connections_to_close() -> None:
    consumer = AIOKafkaConsumer(**NOWHERE)
    await close_connections(consumer)
    consumer._closed = True  # else it complains that it was not stopped


async def test_what_a_consumer_has_fetched_is_measured_and_dropped() -> None:
    consumer = AIOKafkaConsumer(**NOWHERE)
    drop_fetched(consumer)  # it never started
    fetched = aiokafka_fetcher.FetchResult(
        PLACE, assignment=None, partition_records=records(), backoff=0
    )
    error = aiokafka_fetcher.FetchError(error=KafkaTimeoutError(), backoff=0)
    consumer._fetcher = SimpleNamespace(_records={PLACE: fetched, OTHER: error})
    assert waiting_bytes(consumer, PLACE) == len(FETCHED)
    assert waiting_bytes(consumer, OTHER) == 0
    assert waiting_bytes(consumer, TopicPartition("t", 2)) == 0
    drop_fetched(consumer)
    assert consumer._fetcher._records == {}
    assert "self._records[tp] = FetchResult(" in inspect.getsource(aiokafka_fetcher.Fetcher)
    consumer._closed = True  # else it complains that it was not stopped


def test_the_backoff_is_read_at_each_fetch() -> None:
    assert "prefetch_backoff" in inspect.signature(aiokafka_fetcher.Fetcher).parameters
    assert "backoff=self._prefetch_backoff" in inspect.getsource(aiokafka_fetcher.Fetcher)
    assert "self._fetcher = Fetcher(" in inspect.getsource(AIOKafkaConsumer.start)


def test_the_wait_is_read_at_each_fetch() -> None:
    source = inspect.getsource(aiokafka_fetcher.Fetcher._get_actions_per_node)
    assert "FetchRequest(\n                self._fetch_max_wait_ms," in source
    fetcher = SimpleNamespace(_fetch_max_wait_ms=50)
    fetch_within(SimpleNamespace(_fetcher=fetcher), 5)
    assert fetcher._fetch_max_wait_ms == 5


def test_an_iterator_of_records_is_released() -> None:
    fetched = records()
    assert inspect.isgenerator(fetched._records_iterator)
    release_records(fetched)
    assert fetched._records_iterator is None


def test_the_fetcher_makes_the_classes_that_are_replaced() -> None:
    read_leniently()
    assert aiokafka_fetcher.MemoryRecords is LenientRecords
    assert aiokafka_fetcher.FetchResult is BoundedFetchResult
    source = inspect.getsource(aiokafka_fetcher.Fetcher)
    assert "MemoryRecords(part_data[-1])" in source
    assert "FetchResult(\n" in source


def test_a_fetch_result_has_what_ours_uses() -> None:
    given: list[int] = []
    state = SimpleNamespace(position=7, consumed_to=given.append)
    assignment = SimpleNamespace(
        active=True,
        state_value=lambda _: state,
    )
    fetched = records()
    result = BoundedFetchResult(PLACE, assignment=assignment, partition_records=fetched, backoff=0)
    assert (result._topic_partition, result._partition_records) == (PLACE, fetched)
    result._update_position()
    assert given == [7]
