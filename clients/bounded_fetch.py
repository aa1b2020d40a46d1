"""Bounds what one ``getmany`` returns, by memory and by time.

aiokafka bounds the number of messages only: five hundred may hold gigabytes, or take seconds to
parse on the event loop. Invariant: a call returns at most its bound and one message more.
"""

import time
from collections.abc import Container
from contextvars import ContextVar
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import FetchResult

from clients.aiokafka_private import release_records

CALL_BYTES = 4 * 1024 * 1024
"""The limit per partition; with ``bounded_getmany``, for all partitions together."""
CALL_SECONDS = 0.05
"""Likewise. An empty header takes two bytes and 50 ns, so a limit on bytes alone is not enough."""

_MESSAGE_BYTES, _HEADER_BYTES = 300, 150
"""Python's objects: a record with its numbers, key and value; a header's pair."""


def held_bytes(message: Any) -> int:  # noqa: ANN401 - a consumed record of any class
    """Roughly the memory that a message holds."""
    held = _MESSAGE_BYTES + len(message.value or b"") + len(message.key or b"")
    if message.headers:
        held += sum(map(_header_bytes, message.headers))
    return held


def _header_bytes(header: tuple[str, bytes | None]) -> int:
    return _HEADER_BYTES + len(header[0]) + len(header[1] or b"")


class _Budget:
    """What a call may still return, over all partitions, and which it leaves unread."""

    left_bytes = CALL_BYTES
    until = 0.0
    """Monotonic seconds; set by the first message, as the call may wait for that."""

    def __init__(self, unread: Container[TopicPartition]) -> None:
        self.unread = unread


# A context variable, as ``getmany`` takes no argument that its fetch results would see.
_budget: ContextVar[_Budget | None] = ContextVar("call_budget", default=None)


async def bounded_getmany(
    consumer: AIOKafkaConsumer,
    timeout_ms: int,
    max_records: int,
    unread: Container[TopicPartition] = (),
) -> dict[TopicPartition, list[ConsumerRecord]]:
    """``getmany`` with one bound for all partitions together; raises the same errors.

    Messages fetched for partitions in ``unread`` stay at the consumer, which fetches no more of
    them. If ``unread`` shrinks during the call, call ``look_again``.
    """
    token = _budget.set(_Budget(unread))
    try:
        fetched: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
            timeout_ms=timeout_ms, max_records=max_records
        )
    finally:
        _budget.reset(token)
    return fetched


class BoundedFetchResult(FetchResult):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's, but returns only as much as the bound allows.

    It also releases the records that aiokafka drops when a partition is paused: they are in a
    reference cycle with their iterator.
    """

    _partition_records: Any

    def __del__(self) -> None:
        self._release(self._partition_records)

    def check_assignment(self, tp: TopicPartition) -> bool:
        """As aiokafka's; False if the result was dropped."""
        records = self._partition_records
        kept = bool(super().check_assignment(tp))
        if not kept:
            self._release(records)
        return kept

    @staticmethod
    def _release(records: Any) -> None:  # noqa: ANN401 - aiokafka has no types
        if records is not None:
            release_records(records)

    def getall(self, max_records: int | None = None) -> list[Any]:
        """As aiokafka's; the rest comes with the next call."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        budget = _budget.get()
        if budget and self._topic_partition in budget.unread:
            self._backoff = 0  # the other partitions are fetched meanwhile
            return []
        left = budget.left_bytes if budget else CALL_BYTES
        now = time.monotonic()
        until = (budget and budget.until) or now + CALL_SECONDS
        if left <= 0 or now >= until:
            return []
        given, left = self._give(left, until, max_records)
        if budget:
            budget.left_bytes, budget.until = left, until
        return given

    def _give(
        self, left_bytes: int, until: float, max_records: int | None
    ) -> tuple[list[Any], int]:
        given: list[Any] = []
        for message in self._partition_records:
            given.append(message)
            value, key = message.value, message.key
            # As ``held_bytes``, written out: a call for each message is too much on this path.
            left_bytes -= _MESSAGE_BYTES + (len(value) if value else 0) + (len(key) if key else 0)
            if message.headers:
                left_bytes -= sum(map(_header_bytes, message.headers))
            spent = left_bytes <= 0 or time.monotonic() >= until
            if spent or (max_records is not None and len(given) >= max_records):
                # The consumer's position follows what was returned, not what was fetched.
                self._update_position()
                break
        else:
            self._update_position()
            self._partition_records = None
        return given, left_bytes
