"""Kafka's side of one partition: two input logs, a transaction coordinator, what is committed.

The coordinator fences by epoch: a producer that starts aborts the open transaction of the one
before, or waits for the end of one that is prepared. Offsets and events become visible when a
prepared transaction completes, all at once. Invariant: what a fenced producer asks for is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError, ProducerFenced

from consumer.core.resume import METADATA_LIMIT, Committed, ResumePoint, resume_point
from consumer.exports.messages import Outcome
from tests.model.upstream import Meaning, Sent, encoded

_AT_THE_START = Committed(0, "")


class Log:
    """One partition of one input topic. None stands for what no consumer is shown."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.entries: list[tuple[Sent, Meaning] | None] = []
        self.held: int | None = None

    @property
    def end(self) -> int:
        """The read_uncommitted end."""
        return len(self.entries)

    @property
    def visible_end(self) -> int:
        """The last stable offset: where a read_committed consumer stops."""
        return len(self.entries) if self.held is None else self.held

    def append(self, meaning: Meaning) -> int:
        """Returns the offset."""
        offset = len(self.entries)
        key, value = encoded(meaning)
        self.entries.append((Sent(self.topic, offset, key, value), meaning))
        return offset


@dataclass(slots=True)
class Transaction:
    """A transaction at the coordinator, begun by the producer of ``epoch``."""

    epoch: int
    outcome: Outcome
    point: ResumePoint
    prepared: bool = False


@dataclass(slots=True)
class InFlight:
    """A transaction as its client sees it."""

    outcome: Outcome
    point: ResumePoint
    requested: bool = False
    sent: bool = False
    done: bool = False
    error: KafkaError | None = None


@dataclass(slots=True)
class Broker:
    """Logs and coordinator, whose metadata takes ``most_characters``.

    ``preparing`` hears of each transaction when it can't be lost any more, ``committing`` as it
    becomes visible.
    """

    requests: Log
    records: Log
    preparing: Callable[[Outcome], None]
    committing: Callable[[Outcome, ResumePoint], None]
    epoch: int = 0
    ongoing: Transaction | None = None
    requests_committed: Committed = _AT_THE_START
    records_committed: Committed = _AT_THE_START
    before: list[tuple[Committed, Committed]] = field(default_factory=list)
    published: set[str] = field(default_factory=set)
    late: list[int] = field(default_factory=list)
    most_characters: int = METADATA_LIMIT

    def start_producer(self) -> int:
        """Fence the predecessor; returns the new epoch."""
        self._end_ongoing()
        self.epoch += 1
        return self.epoch

    def committed(self) -> ResumePoint:
        """What a consumer of the group reads as committed."""
        return resume_point(self.requests_committed, self.records_committed)

    def send(self, epoch: int, outcome: Outcome, point: ResumePoint) -> None:
        """Begin a transaction, and put all into it. Raises ProducerFenced."""
        self._check(epoch)
        self.complete()
        self.ongoing = Transaction(epoch, outcome, point)

    def end(self, epoch: int) -> None:
        """EndTxn: from here on it will be committed. Raises ProducerFenced."""
        self._check(epoch)
        if self.ongoing and not self.ongoing.prepared:
            self.ongoing.prepared = True
            self.preparing(self.ongoing.outcome)

    def complete(self) -> None:
        """Write the markers of a prepared transaction: it becomes visible."""
        done = self.ongoing
        if done and done.prepared:
            self.ongoing = None
            self.before.append((self.requests_committed, self.records_committed))
            self.published |= {event.event_id for event in done.outcome.events}
            self.requests_committed = done.point.committed_requests()
            self.records_committed = done.point.committed_records(self.most_characters)
            self.committing(done.outcome, done.point)

    def time_out(self) -> None:
        """The open transaction took too long: it is aborted, its producer fenced."""
        if self.ongoing and not self.ongoing.prepared:
            self.ongoing = None
            self.epoch += 1

    def go_back(self, commits: int) -> ResumePoint:
        """It restarts, and returns commits that are older by so many."""
        self.complete()
        if self.before:
            index = max(0, len(self.before) - commits)
            self.requests_committed, self.records_committed = self.before[index]
            del self.before[index:]
        return self.committed()

    def deliver_late(self) -> None:
        """An EndTxn that its sender has given up arrives after all."""
        if self.late and self.late.pop(0) == self.epoch:
            self.end(self.epoch)

    def _end_ongoing(self) -> None:
        self.complete()
        self.ongoing = None

    def _check(self, epoch: int) -> None:
        if epoch != self.epoch:
            raise ProducerFenced
