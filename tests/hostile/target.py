"""What an attack is given: ways to send things at a bed, and to say what should come of them.

Invariant: what an attack doesn't say here is not judged, but for the bounds, which always hold.
"""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiokafka import AIOKafkaProducer

from tests.hostile.bed import Bed, Watched
from tests.hostile.downstream import end_of
from tests.hostile.wire import Codec, Record, Text, WireBatch, make_batch

Ends: TypeAlias = frozenset[str]

COMPLETED: Ends = frozenset({"completed"})
CANCELLED: Ends = frozenset({"cancelled"})
INVALID_REQUEST: Ends = frozenset({"invalid_request"})
BOUNDED: Ends = frozenset({"invalid_batch", "too_large"})
"""It passes a bound of the contract."""
TYPED: Ends = COMPLETED | INVALID_REQUEST | BOUNDED
"""The contract names no bound: either end is right, another one isn't."""
BUSY = frozenset({"429", "503", "closed"})
"""Answers to a client that a crowd of others keeps out."""

Headers: TypeAlias = Sequence[tuple[bytes, bytes | None]]


@dataclass(slots=True)
class Target:
    """One attack's view of a bed. ``partition``: where it sends what has no reason to go elsewhere.

    ``answers`` counts HTTP answers, ``findings`` are what was not as it should be, ``unsettled``
    what ``settled`` waited for in vain when it was last called. ``crowded``: others run at the same
    time, so it may be kept out, with an answer or an end that says so.
    """

    bed: Bed
    partition: int
    prefix: str
    wanted: dict[str, Ends] = field(default_factory=dict)
    wanted_letters: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    letters_before: Counter[str] = field(default_factory=Counter)
    crowded: bool = False
    _numbers: Any = field(default_factory=itertools.count)

    @property
    def nodes(self) -> list[Watched]:
        return self.bed.nodes

    def new_id(self) -> str:
        return f"{self.prefix}-{next(self._numbers)}"

    def should(self, is_so: bool, otherwise: str) -> None:
        """Note a finding unless it is so."""
        if not is_so:
            self.findings.append(otherwise)

    async def request(self, ends: Ends, **fields: Any) -> str:
        """Send a request; its id. It is to end in one of these ways."""
        export_id = self.new_id()
        await self.requests([self.requested(export_id, ends, **fields)])
        return export_id

    def requested(self, export_id: str, ends: Ends, **fields: Any) -> Record:
        """The record of a request, whose end is wanted from now on."""
        self.wanted[export_id] = ends
        sent: dict[str, Any] = {"type": "export.requested", "export_id": export_id, "format": "csv"}
        sent |= {"columns": ["a"], **fields}
        value = json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()
        return Record(value, export_id.encode())

    async def export(
        self, ends: Ends, *batches: Text | bytes, codec: Codec = Codec.NONE, **fields: Any
    ) -> str:
        """A request, and a batch for each of these rows, which are JSON; the last one ends it."""
        export_id = await self.request(ends, **fields)
        for seq, rows in enumerate(batches):
            last = seq == len(batches) - 1
            record = Record(batch_value(export_id, rows, seq, last=last), export_id.encode())
            await self.records([record], codec)
        return export_id

    async def requests(
        self, records: Iterable[Record], codec: Codec = Codec.NONE, partition: int | None = None
    ) -> None:
        """Send one Kafka batch of records to the requests topic."""
        await self._send(self.bed.topics.requests, records, codec, partition)

    async def records(
        self, records: Iterable[Record], codec: Codec = Codec.NONE, partition: int | None = None
    ) -> None:
        """Send one Kafka batch of records to the records topic."""
        await self._send(self.bed.topics.records, records, codec, partition)

    async def _send(
        self, topic: str, records: Iterable[Record], codec: Codec, partition: int | None
    ) -> None:
        # On a thread: it may take seconds, and the good exports beside are to be sent meanwhile.
        batch = await asyncio.to_thread(make_batch, records, codec)
        await self.send(topic, batch, self.partition if partition is None else partition)

    async def send(self, topic: str, batch: WireBatch, partition: int) -> None:
        """Send a batch that was made already."""
        acknowledged = await self.bed.producer.send_batch(batch, topic, partition=partition)
        await acknowledged

    @asynccontextmanager
    async def held_records(self) -> AsyncIterator[None]:
        """No node sees what is sent in the block to this partition until its end: all at once then.

        A transaction is open meanwhile, behind whose begin read_committed shows nothing. It is
        aborted, so nothing of it is ever seen.
        """
        async with AIOKafkaProducer(
            bootstrap_servers=self.bed.servers,
            transactional_id=f"hold-{self.prefix}",
            transaction_timeout_ms=600_000,
        ) as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(
                self.bed.topics.records, b"never seen", partition=self.partition
            )
            try:
                yield
            finally:
                await producer.abort_transaction()

    async def settled(self, seconds: float) -> None:
        """Wait until all wanted ends and dead letters are there; else note which aren't."""
        downstream = self.bed.downstream
        letters_before = self.letters_before

        def is_settled() -> bool:
            seen = downstream.letters - letters_before
            return self.wanted.keys() <= downstream.events.keys() and seen >= self.wanted_letters

        await downstream.wait(is_settled, seconds)
        seen = downstream.letters - letters_before
        missing = (self.wanted_letters - seen).items()
        letters = [f"{count} dead letters '{reason}' are missing" for reason, count in missing]
        self.unsettled = [*self._wrong_ends(), *letters]

    def _wrong_ends(self) -> list[str]:
        wrong: Counter[str] = Counter()
        for export_id, ends in self.wanted.items():
            event = self.bed.downstream.events.get(export_id)
            if event is None:
                wrong["an export has not ended"] += 1
            elif end_of(event) not in ends and not self._is_kept_out(end_of(event)):
                wrong[f"an export ended as {end_of(event)}: {event.get('message', '')[:80]}"] += 1
        return [f"{count} x {what}" for what, count in wrong.items()]

    def _is_kept_out(self, end: str) -> bool:
        return self.crowded and end == "too_many_open"

    def ends(self) -> Counter[str]:
        """How the wanted exports ended so far."""
        events = self.bed.downstream.events
        return Counter(end_of(events[one]) for one in self.wanted if one in events)


Attack: TypeAlias = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of hostile input.

    ``short``: part of the short form. ``seconds``: its ends must be there so soon after it.
    ``after``: done when the good exports have ended; it ends the nodes. ``leaves_partition``:
    the partition can't go on, so the good exports beside it go elsewhere. ``many``: hundreds of
    exports, which show what each value comes to; the crowd goes without.
    """

    name: str
    attack: Attack
    short: bool = False
    seconds: float = 60.0
    after: Attack | None = None
    leaves_partition: bool = False
    many: bool = False


def batch_value(export_id: str, rows: Text | bytes, seq: int = 0, *, last: bool = True) -> Text:
    """A batch around rows that are JSON already."""
    before = b'{"export_id":"%s","seq":%d,"last":%s,"rows":' % (
        export_id.encode(),
        seq,
        b"true" if last else b"false",
    )
    if isinstance(rows, bytes):
        return Text(before + rows + b"}")
    return Text(before + rows.before, rows.unit, rows.times, rows.after + b"}")
