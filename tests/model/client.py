"""What a lane has of Kafka: its producer, the cluster, and the events that were published.

Each request is a step, so anything may happen between two of one transaction. Its tape says how a
transaction ends for its caller: in time, later, or without an answer.
"""

from collections.abc import Callable, Iterable

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from consumer.core.resume import Committed, ResumePoint
from consumer.exports.messages import Outcome
from schemas.completions import TerminalEvent
from tests.model.broker import Broker
from tests.model.stepped import another_step
from tests.model.tape import Tape
from tests.model.upstream import REQUESTS


class Client:
    """``PartitionProducer``, ``Cluster`` and ``PublishedEvents`` in one."""

    def __init__(self, broker: Broker, tape: Callable[[], Tape]) -> None:
        self.epoch = 0
        self._broker = broker
        self._tape = tape
        self._is_sent = False

    async def start(self) -> None:
        self.epoch = self._broker.start_producer()

    async def commit(self, outcome: Outcome, point: ResumePoint) -> None:
        self._broker.send(self.epoch, outcome, point)
        self._is_sent = True
        await another_step()
        self._is_sent = False
        fate = self._tape().pick(16)
        if fate < 14:
            self._broker.end(self.epoch)
        if fate < 10:
            self._broker.complete()  # else the markers are written later
        if fate > 14:  # it arrives when nobody waits for it any more
            self._broker.late.append(self.epoch)
        if fate > 12:
            raise KafkaError("the answer, or the request, is lost")

    def forget(self) -> None:
        """Nobody waits for an answer any more; the last request may still be on its way."""
        is_sent, self._is_sent = self._is_sent, False
        if is_sent and self._tape().once_in(2):
            self._broker.late.append(self.epoch)

    async def fetch_committed(self, _: int) -> tuple[Committed, Committed]:
        return self._broker.requests_committed, self._broker.records_committed

    async def fetch_log_starts(self, _: int) -> tuple[int, int]:
        return 0, 0

    async def fetch_end(self, partition: TopicPartition) -> int:
        is_requests = partition.topic == REQUESTS
        return (self._broker.requests if is_requests else self._broker.records).end

    async def find(self, _: Iterable[TerminalEvent]) -> set[str]:
        """Of those in the topic; an open transaction is another partition's."""
        found = set(self._broker.published)
        await another_step()
        return found
