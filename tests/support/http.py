"""The HTTP interface on a real socket, over a Kafka and a storage that are in memory.

``World`` keeps what was published and says what the whole group would: no consumer runs, a test
ends exports itself.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from clients.errors import ClientError
from consumer.core.backlog import UnfinishedRequest
from consumer.core.group_overview import GroupOverview
from consumer.core.listing import EndedExports, ExportState, ListedExport
from consumer.errors import BacklogUnavailable, RequestsHidden
from consumer.metrics import Metrics
from consumer.storage.local import LocalStorage
from producer.dead_letters.records import DeadLetterRecord, Place, Selection
from producer.retry.retrying import Left, Retried, Retry
from schemas.codec import encode_request
from schemas.completions import (
    ExportCancelled,
    ExportCompleted,
    ExportFailed,
    Source,
    TerminalEvent,
)
from schemas.requests import CancelRequested, ExportRequested
from schemas.times import to_millis
from schemas.vocabulary import FailReason, Format
from sluice.access.gate import AccessGate
from sluice.http.app import AppDependencies, HttpLimits, build_app
from sluice.http.live import LiveExports
from sluice.http.repeats import FirstRequests
from sluice.http.storage_calls import StorageCalls
from sluice.http.uploads import UploadGateway
from sluice.http.view import NodeStatus
from sluice.letters import letter_fields
from tests.support.serving import GROUP, STATUS, serving
from tests.support.world_publisher import WorldPublisher

_MOMENT = datetime(2026, 11, 21, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Recorded:
    """A message of the requests topic."""

    value: bytes
    headers: list[tuple[str, bytes | None]]


@dataclass
class World:
    """A node, Kafka and a storage, as far as HTTP sees them."""

    directory: Path
    wrong: list[str] = field(default_factory=list)
    broken: bool = False
    is_down: bool = False
    """Kafka answers nobody."""
    refuses_records: bool = False
    """Kafka takes requests and nothing else."""
    hides: bool = False
    """An upstream's transaction is open."""
    requests: list[ExportRequested | CancelRequested] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    listed: list[ListedExport] = field(default_factory=list)
    """Further exports that are unfinished, as far as lists go."""
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    publishers: int = 0
    """How many were made."""
    others: dict[str, str] = field(default_factory=dict)
    """Users of exports that were requested elsewhere, by id."""

    headers: dict[int, list[tuple[str, bytes | None]]] = field(default_factory=dict)
    """Of requests, by their offset."""
    with_batches: set[int] = field(default_factory=set)
    """Offsets of requests with batches in Kafka that no turn has applied."""
    start_fails: Exception | None = None
    """What a publisher raises as it starts."""
    held: asyncio.Event | None = None
    """Requests are acknowledged, and in Kafka, when it is set."""
    titles: dict[str, str] = field(default_factory=dict)
    """Of unfinished exports, as lists show them, by id."""
    node_status: NodeStatus = STATUS
    group: GroupOverview = GROUP
    lacks_group: bool = False
    """What is known of the group is older than what was known before."""
    letters: list[DeadLetterRecord] = field(default_factory=list)
    requeued: list[Place] = field(default_factory=list)
    """Dead letters that were put back."""
    retries: list[Retry] = field(default_factory=list)
    """What was published again."""
    failures: dict[str, FailReason] = field(default_factory=dict)
    """Why exports fail that do not time out, by id."""
    incomplete: dict[str, Left] = field(default_factory=dict)
    """What can't be published again, by id."""
    reasons: list[str | None] = field(default_factory=list)
    """Why exports are cancelled."""

    def __post_init__(self) -> None:
        self.storage = LocalStorage(self.directory)
        self.metrics = Metrics()
        self.history = EndedExports()
        self.listeners: list[Callable[[ListedExport], None]] = []
        self.waiting = 0
        """How many sends wait for room in Kafka."""
        self.room = asyncio.Event()
        self.room.set()

    # The node

    def status(self) -> NodeStatus:
        if self.broken:
            raise RuntimeError("the secret of the inside")
        return self.node_status

    def progress(self, export_id: str) -> tuple[int, int] | None:
        return self.rows.get(export_id)

    @property
    def encoders(self) -> str:
        return "python"

    async def problems(self) -> list[str]:
        return self.wrong

    # The group

    async def overview(self) -> GroupOverview:
        await self._ask()
        if self.lacks_group:
            raise BacklogUnavailable("the group's commits went back")
        return self.group

    # The backlog

    async def counts(self, user: str) -> tuple[int, int]:
        await self._ask()
        unfinished = self._unfinished().values()
        return len(unfinished), sum(one.user == user for one in unfinished)

    async def find(self, export_id: str, *, accepted: bool = False) -> UnfinishedRequest | None:
        await self._ask()
        found = self._unfinished().get(export_id)
        if self.hides and not (found or accepted):
            raise RequestsHidden("an open transaction holds requests back")
        return found

    async def unfinished(self) -> list[ListedExport]:
        await self._ask()
        return self.listed + [
            ListedExport(
                one.export_id,
                ExportState.RUNNING if one.begun else ExportState.QUEUED,
                str(one.format),
                one.user,
                self.titles.get(one.export_id),
                None,
                None,
                to_millis(_MOMENT) + place,
            )
            for place, one in enumerate(self._unfinished().values())
        ]

    # The history

    async def ended(self) -> EndedExports:
        await self._ask()
        return self.history

    def on_end(self, listener: Callable[[ListedExport], None]) -> None:
        self.listeners.append(listener)

    def publish_end(self, one: ListedExport) -> None:
        """An end is in the completions topic."""
        assert one.completed_at_ms is not None
        if self.history.put(one, one.completed_at_ms):
            for listener in self.listeners:
                listener(one)

    def request(self, export_id: str, user: str = "anonymous") -> None:
        """Request an export of CSV, as upstream does, not over HTTP."""
        fields = {"export_id": export_id, "format": "csv", "columns": ["a"], "user": user}
        self.requests.append(ExportRequested.model_validate(fields))

    def _unfinished(self) -> dict[str, UnfinishedRequest]:
        requested = {
            request.export_id: request.user
            for request in self.requests
            if isinstance(request, ExportRequested)
        }
        return {
            export_id: UnfinishedRequest(
                export_id, user, Format.CSV, self.source(export_id), export_id in self.begun
            )
            for export_id, user in {**requested, **self.others}.items()
            if self.storage.manifest(export_id) is None
        }

    def source(self, export_id: str) -> Source:
        """Where the first request of an id lies."""
        ids = [request.export_id for request in self.requests]
        is_here = export_id in ids and export_id not in self.others
        offset = ids.index(export_id) if is_here else 1_000_000
        return Source(topic="export.requests", partition=0, offset=offset)

    async def _ask(self) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise BacklogUnavailable("no broker answers")

    # The requests topic

    async def at(self, source: Source) -> Recorded | None:
        await self._ask()
        if source.offset >= len(self.requests):
            return None
        value = encode_request(self.requests[source.offset])
        return Recorded(value, self.headers.get(source.offset, []))

    async def has_batch(self, topic: str, source: Source, export_id: str) -> bool:
        assert topic == "export.records"
        await self._ask()
        return export_id in self.begun or source.offset in self.with_batches

    async def run_again(self, retry: Retry) -> Retried:
        """As ``RetryThreads``, of what ``incomplete`` says."""
        await self._ask()
        await asyncio.sleep(0.01)
        self.retries.append(retry)
        if retry.export_id in self.incomplete:
            return Retried(left={retry.export_id: self.incomplete[retry.export_id]})
        if not retry.begun_at:
            attempt = retry.attempt
            changes = {"export_id": attempt.export_id, "retry_of": attempt.original}
            request = self.requests[retry.source.offset]
            self.requests.append(request.model_copy(update=changes))
        return Retried(published=[retry.export_id])

    # The dead letters

    async def places(self, choice: Selection, most: int) -> list[Place]:
        await self._ask_letters()
        chosen = sorted(filter(choice.matches, self.letters), key=lambda one: one.timestamp)
        return [one.place for one in chosen[-most:]]

    async def find_letters(self, choice: Selection, most: int) -> list[dict[str, Any]]:
        places = await self.places(choice, most)
        return [letter_fields(one) for one in self.letters if one.place in places]

    async def requeue(
        self, choice: Selection, *, dry_run: bool
    ) -> AsyncGenerator[tuple[DeadLetterRecord, str | None]]:
        for letter in filter(choice.matches, self.letters):
            if letter.key == b"late" and not dry_run:
                raise ClientError("Kafka acknowledges nothing")
            self.requeued += [] if dry_run or letter.truncated else [letter.place]
            yield letter, "its value is not there" if letter.truncated else None

    async def _ask_letters(self) -> None:
        if self.is_down:
            raise ClientError("no broker answers")

    # What a test does, and looks at

    def end(
        self,
        export_id: str,
        state: str = "completed",
        content: bytes = b"a\r\n1\r\n",
        extension: str = "csv",
        expires_at: datetime | None = None,
    ) -> None:
        """The group decides an export's end."""
        proposed = self._event(export_id, state, content, extension)
        if isinstance(proposed, ExportCompleted):
            proposed = proposed.model_copy(update={"expires_at": expires_at})
        event = self.storage.decide(proposed)
        if isinstance(event, ExportCompleted):
            part = self.storage.open_part(0, export_id, extension)
            part.append(content)
            part.sync()
            part.publish(event)

    def _event(self, export_id: str, state: str, content: bytes, extension: str) -> TerminalEvent:
        users = {**{one.export_id: one.user for one in self.requested()}, **self.others}
        retried = {one.export_id: one.retry_of for one in self.requested()}
        ended: dict[str, Any] = {
            "export_id": export_id,
            "user": users.get(export_id, "anonymous"),
            "rows": 1,
            "requested_at": _MOMENT,
            "started_at": _MOMENT,
            "completed_at": _MOMENT,
            "duration_ms": 0,
            "source": self.source(export_id),
            "retry_of": retried.get(export_id),
            "format": Format(extension.partition(".")[0]),
        }
        if state == "failed":
            reason = self.failures.get(export_id, FailReason.TIMED_OUT)
            return ExportFailed(**ended, reason=reason, message="idle")
        if state == "cancelled":
            return ExportCancelled(**ended, message="cancelled on request")
        part = self.storage.open_part(0, export_id, extension)
        part.append(content)
        return ExportCompleted(
            **ended, location=part.location, bytes=len(content), sha256=part.sha256, pages=None
        )

    def requested(self) -> list[ExportRequested]:
        """The requests in Kafka."""
        return [one for one in self.requests if isinstance(one, ExportRequested)]

    def cancelled(self) -> list[str]:
        """Ids whose cancellation is in Kafka."""
        return [one.export_id for one in self.requests if isinstance(one, CancelRequested)]

    def published_rows(self, export_id: str) -> list[Any]:
        """All rows of an export that are in Kafka."""
        batches = [batch for batch in self.records if batch["export_id"] == export_id]
        assert [batch["seq"] for batch in batches] == list(range(len(batches)))
        return [row for batch in batches for row in batch["rows"]]

    def is_finished(self, export_id: str) -> bool:
        """Whether the last batch is in Kafka."""
        return any(batch["export_id"] == export_id and batch["last"] for batch in self.records)


@asynccontextmanager
async def app_of(
    world: World,
    users_by_token: Mapping[str, str] | None = None,
    gate: AccessGate | None = None,
    **limits: Any,
) -> AsyncIterator[Starlette]:
    """The application over a world."""
    gate = gate or AccessGate(users_by_token or {})
    make: Any = lambda: WorldPublisher(world)  # noqa: E731 - as the type of a publisher's maker
    firsts = FirstRequests(world, world, "export.records")
    with StorageCalls() as calls:
        live = LiveExports(world, world, world, look_seconds=0.02)
        async with UploadGateway(make, firsts.is_ours) as uploads, live:
            deps = AppDependencies(
                *(world, world, world, live, world.storage, calls, firsts, uploads),
                world.metrics,
                gate,
                world,
                world,
                world,
                world.run_again,
            )
            yield build_app(deps, HttpLimits(**limits))


@asynccontextmanager
async def serving_world(world: World, **limits: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the world."""
    async with app_of(world, **limits) as app, serving(app) as client:
        yield client
