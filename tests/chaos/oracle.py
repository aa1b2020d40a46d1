"""The judge: what an undisturbed run would have left, against what is there.

It asks downstream's view (read_committed), the storage and the group's committed offsets, never the
nodes' own idea of them. Invariant: it runs after the end, and changes nothing.
"""

import asyncio
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from consumer.core.resume import Committed, ResumePoint, resume_point
from schemas.completions import (
    ExportCompleted,
    ExportFailed,
    TerminalEvent,
    decode_event,
    encode_event,
)
from schemas.topics import Topics
from tests.chaos.kept import Kept
from tests.chaos.plans import COMPLETED, Plan, Style
from tests.support.clients import http_client
from tests.support.outcomes import committed, headers

_LOOKED_AT = 20


class Fault(StrEnum):
    """What a violation is of."""

    LOST = "lost"
    DOUBLED = "doubled"
    UNKNOWN = "unknown export"
    WRONG_END = "wrong end"
    WRONG_BYTES = "wrong bytes"
    MANIFEST = "manifest differs"
    STRAY = "stray file"
    DEAD_LETTER = "dead letter"
    BEHIND = "group behind"
    METRICS = "no metrics"
    NOT_GONE = "expired, and not gone"
    NODE = "node ended wrongly"
    FORGOTTEN = "commit taken back by the broker"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not as promised."""

    fault: Fault
    what: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.what}"


@dataclass(frozen=True, slots=True)
class Scene:
    """What is judged. ``urls`` are the nodes that live."""

    bootstrap_servers: str
    topics: Topics
    group_id: str
    storage: Kept
    urls: Sequence[str]


async def judge(scene: Scene, plans: Iterable[Plan]) -> list[Violation]:
    """Everything that is wrong; empty if the promise was kept."""
    by_id = {plan.export_id: plan for plan in plans}
    found = await committed(scene.bootstrap_servers, scene.topics.completions, seconds=120)
    letters = await committed(scene.bootstrap_servers, scene.topics.dead_letters)
    events = {record.key.decode(): decode_event(record.value) for record in found}
    return [
        *check_counts(found, by_id),
        *check_events(events, by_id),
        *await asyncio.to_thread(lambda: [*check_files(scene.storage, events, by_id)]),
        *(Violation(Fault.DEAD_LETTER, _where(letter)) for letter in letters),
        *await check_group(scene),
        *await check_metrics(scene.urls),
        *await check_expired(scene.urls, [name for name, one in events.items() if _expires(one)]),
    ]


def check_counts(found: Sequence[ConsumerRecord], plans: Mapping[str, Plan]) -> Iterator[Violation]:
    """Exactly one event for each export, and one ``ce_id``."""
    times = Counter(record.key.decode() for record in found)
    for export_id in plans.keys() - times.keys():
        yield Violation(Fault.LOST, f"{export_id} ({plans[export_id].style}) has no event")
    for export_id, count in times.items():
        if export_id not in plans:
            yield Violation(Fault.UNKNOWN, export_id)
        elif count > 1:
            yield Violation(Fault.DOUBLED, f"{export_id} has {count} events")
    ids = Counter(headers(record)["ce_id"] for record in found)
    for event_id, count in ids.items():
        if count > 1:
            yield Violation(Fault.DOUBLED, f"ce_id {event_id} came {count} times")


def check_events(
    events: Mapping[str, TerminalEvent], plans: Mapping[str, Plan]
) -> Iterator[Violation]:
    """Each event says what its plan allows."""
    for export_id in events.keys() & plans.keys():
        event, plan = events[export_id], plans[export_id]
        reason = event.reason if isinstance(event, ExportFailed) else None
        if (event.type, reason) not in plan.ends:
            yield Violation(Fault.WRONG_END, f"{export_id} ({plan.style}): {event}")
        elif isinstance(event, ExportFailed) and event.rows != plan.failed_rows:
            rows = f"failed after {event.rows} rows, not {plan.failed_rows}"
            yield Violation(Fault.WRONG_END, f"{export_id} ({plan.style}) {rows}")
        elif isinstance(event, ExportCompleted) and event.rows != plan.rows:
            rows = f"has {event.rows} rows, not {plan.rows}"
            yield Violation(Fault.WRONG_END, f"{export_id} ({plan.style}) {rows}")
        elif _expires(event) != (plan.style is Style.EXPIRES and event.type == COMPLETED):
            yield Violation(Fault.WRONG_END, f"{export_id} ({plan.style}) expires: {event}")


def check_files(
    storage: Kept, events: Mapping[str, TerminalEvent], plans: Mapping[str, Plan]
) -> Iterator[Violation]:
    """Every file is the undisturbed one, every manifest the event, and nothing else is there.

    Files that expire have expired, and were removed.
    """
    due = {storage.identity}
    for export_id in events.keys() & plans.keys():
        event, manifest = events[export_id], storage.manifest(export_id)
        due.add(manifest)
        yield from _check_manifest(manifest, storage.read(manifest), event)
        if isinstance(event, ExportCompleted) and not _expires(event):
            file = storage.file(event)
            due.add(file)
            yield from _check_file(file, storage.read(file), event, plans[export_id])
    for name in sorted(storage.names() - due):
        yield Violation(Fault.STRAY, name)


def _expires(event: TerminalEvent) -> bool:
    return isinstance(event, ExportCompleted) and event.expires_at is not None


def _check_manifest(name: str, there: bytes | None, event: TerminalEvent) -> Iterator[Violation]:
    if there != encode_event(event) + b"\n":
        yield Violation(Fault.MANIFEST, f"{name} is {there!r}, the event {event}")


def _check_file(
    name: str, content: bytes | None, event: ExportCompleted, plan: Plan
) -> Iterator[Violation]:
    if content is None:
        yield Violation(Fault.LOST, f"{name} is not there")
        return
    sha256 = hashlib.sha256(content).hexdigest()
    if (sha256, len(content)) != (plan.expected.sha256, plan.expected.size_bytes):
        yield Violation(Fault.WRONG_BYTES, f"{name} ({plan.style}) differs from undisturbed")
    if (sha256, len(content)) != (event.sha256, event.bytes):
        yield Violation(Fault.WRONG_BYTES, f"{name} differs from its event {event}")


async def check_group(scene: Scene, seconds: float = 30) -> list[Violation]:
    """Committed positions reach the ends of the logs, and no export is open in the metadata.

    Progress is committed once a second, so there is a little time for it.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        behind = await _behind(scene)
        if not behind or asyncio.get_running_loop().time() > deadline:
            return [Violation(Fault.BEHIND, what) for what in behind]
        await asyncio.sleep(0.5)


async def _behind(scene: Scene) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=scene.bootstrap_servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=scene.bootstrap_servers)
    await admin.start()
    await consumer.start()
    try:
        offsets = await admin.list_consumer_group_offsets(scene.group_id)
        (found,) = await admin.describe_topics([scene.topics.requests])
        pairs = [_pair(scene.topics, number) for number in range(len(found["partitions"]))]
        ends = await consumer.end_offsets([partition for pair in pairs for partition in pair])
    finally:
        await consumer.stop()
        await admin.close()
    lags = (_lag(offsets, ends, *pair) for pair in pairs)
    return [lag for lag in lags if lag]


def _pair(topics: Topics, number: int) -> tuple[TopicPartition, TopicPartition]:
    return TopicPartition(topics.requests, number), TopicPartition(topics.records, number)


def _at(found: Any) -> Committed:
    return Committed(found.offset, found.metadata or "") if found else Committed(0, "")


def _lag(offsets: Any, ends: Any, requests: TopicPartition, records: TopicPartition) -> str | None:
    point = resume_point(_at(offsets.get(requests)), _at(offsets.get(records)))
    due = ResumePoint(ends[requests], (), ends[records], ends[records])
    return None if point == due else f"partition {requests.partition}: {point}, the ends are {due}"


async def check_metrics(urls: Sequence[str]) -> list[Violation]:
    """Every node answers with its metrics."""
    found = []
    async with http_client(timeout=10) as client:
        for url in urls:
            try:
                answer = await client.get(f"{url}/metrics")
                if answer.status_code != 200 or "export_requests_total" not in answer.text:
                    found.append(Violation(Fault.METRICS, f"{url}: {answer.status_code}"))
            except httpx.HTTPError as error:
                found.append(Violation(Fault.METRICS, f"{url}: {error!r}"))
    return found


async def check_expired(urls: Sequence[str], expired: Sequence[str]) -> list[Violation]:
    """Nodes answer that such files are gone."""
    found = []
    async with http_client(timeout=10) as client:
        for url, export_id in itertools.product(urls, expired[:_LOOKED_AT]):
            answer = await client.get(f"{url}/export/download/{export_id}")
            if answer.status_code != 410:
                found.append(Violation(Fault.NOT_GONE, f"{export_id}: {answer.status_code}"))
    return found


def _where(letter: ConsumerRecord) -> str:
    fields = orjson.dumps(headers(letter)).decode()
    return f"{fields} {letter.value[:200]!r}"
