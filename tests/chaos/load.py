"""The upstream and the downstream of a storm: exports published, and their events awaited.

Bounded: so many exports are unfinished at a time, each published by a task of its own, message by
message, so that several are open in each partition. A send that fails is made again until it is
acknowledged, as an upstream has to; so messages may come more than once, but never out of order.
"""

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.topics import Topics
from tests.chaos.plans import Plan, random_plan

PARTITIONS = 12
_AGAIN_SECONDS = 0.2
_MEAN_PAUSE_SECONDS = 0.4


class Load:
    """``run`` publishes until ``enough`` is called; ``follow`` sees the events."""

    def __init__(self, servers: str, topics: Topics, seed: int, unfinished: int) -> None:
        self._servers = servers
        self._topics = topics
        self._chance = random.Random(f"load {seed}")
        self._room = asyncio.Semaphore(unfinished)
        self._enough = False
        self._ended: dict[str, asyncio.Event] = {}
        self.plans: list[Plan] = []
        self.outcomes: Counter[str] = Counter()
        self.doubled: Counter[str] = Counter()
        self.last_event_at = 0.0
        self.sends_repeated = 0
        self.follows_again = 0

    def enough(self) -> None:
        """Begin no more exports."""
        self._enough = True

    def unfinished(self) -> list[str]:
        """Ids of exports that have no event yet."""
        return [name for name, ended in self._ended.items() if not ended.is_set()]

    async def run(self) -> None:
        """Publish exports until enough; returns when each of them has ended."""
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, acks="all")
        await producer.start()
        try:
            async with asyncio.TaskGroup() as exports:
                for number in itertools.count():
                    await self._room.acquire()
                    if self._enough:
                        break
                    plan = random_plan(self._chance, "storm", number)
                    self.plans.append(plan)
                    self._ended[plan.export_id] = asyncio.Event()
                    exports.create_task(self._export(producer, plan, self._chance.random()))
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await producer.stop()

    async def follow(self) -> None:
        """See committed events until cancelled, over restarts of the broker."""
        positions: dict[TopicPartition, int] = {}
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._servers, isolation_level="read_committed"
            )
            try:
                await consumer.start()
                await self._read(consumer, positions)
            except KafkaError:
                self.follows_again += 1
            finally:
                await consumer.stop()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _export(self, producer: AIOKafkaProducer, plan: Plan, speed: float) -> None:
        try:
            for message in plan.messages():
                await self._publish(producer, message)
                await asyncio.sleep(_MEAN_PAUSE_SECONDS * 2 * speed)
            await self._ended[plan.export_id].wait()
            for message in plan.late_messages():
                await self._publish(producer, message)
        finally:
            self._room.release()

    async def _publish(self, producer: AIOKafkaProducer, message: dict[str, Any]) -> None:
        topic = self._topics.requests if "type" in message else self._topics.records
        key, value = message["export_id"].encode(), json.dumps(message).encode()
        while True:
            try:
                await producer.send_and_wait(topic, value, key=key)
            except KafkaError:
                self.sends_repeated += 1
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def _read(self, consumer: AIOKafkaConsumer, positions: dict[TopicPartition, int]) -> None:
        topic = self._topics.completions
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        for partition in consumer.assignment():
            consumer.seek(partition, positions.get(partition, 0))
        while True:
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    self._note(json.loads(record.value))
                    positions[partition] = record.offset + 1

    def _note(self, event: dict[str, Any]) -> None:
        self.last_event_at = time.time()
        ended = self._ended.get(event["export_id"])
        if ended is None or ended.is_set():
            self.doubled[event["export_id"]] += 1
            return
        ended.set()
        what = event["type"].removeprefix("export.")
        self.outcomes[f"{what} {event['reason']}" if "reason" in event else what] += 1
