"""One node: storage, formats, metrics, its part in the group, backlog and HTTP server, composed.

The only module that knows all of them. Invariant: whatever ends a node, it leaves the group after
the last turn and before it closes the cluster connection.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

import structlog
from starlette.types import ASGIApp

from consumer.backlog.backlog import Backlog
from consumer.backlog.request_lookup import RequestLookup
from consumer.cluster import Cluster
from consumer.exports.export_context import ExportContext
from consumer.formats.native import PythonEncoders, find_encoders
from consumer.formats.registry import Formats
from consumer.group.group import ConsumerGroup
from consumer.group.group_reader import GroupReader
from consumer.group.member import Membership
from consumer.history.history import History
from consumer.lanes.lane_context import LaneLimits
from consumer.lanes.transactions import Destination
from consumer.metrics import Metrics
from consumer.storage.base import GroupStorage
from producer.publisher import ExportPublisher
from sluice.access.gate import AccessGate, open_gate
from sluice.background import keep_running
from sluice.errors import UsageError
from sluice.expiring import Expiring
from sluice.http.app import AppDependencies, HttpLimits, build_app
from sluice.http.connections import raise_descriptor_limit
from sluice.http.dead_letters import KafkaLetters
from sluice.http.live import LiveExports
from sluice.http.repeats import FirstRequests
from sluice.http.retry_threads import RetryThreads
from sluice.http.server import HttpServer
from sluice.http.storage_calls import StorageCalls
from sluice.http.tls import ServerCertificate
from sluice.http.uploads import DELIVERY_SECONDS, UploadGateway
from sluice.http.view import NodeStatus
from sluice.logs import hushed_while_away, silent_libraries
from sluice.loop_watch import LoopWatch
from sluice.settings import Settings
from sluice.storage import open_storage, recognise, within
from sluice.storage_probe import StorageProbe
from sluice.tidying import tidy_now_and_then

log = structlog.get_logger(__name__)

_OBSERVE_SECONDS = 1.0
_READINESS_SECONDS = 5.0
_KAFKA_SECONDS = 2.0


class Node:
    """A running node; see ``open_node``."""

    def __init__(
        self,
        cluster: Cluster,
        group: ConsumerGroup,
        context: ExportContext,
        storage: GroupStorage,
        storage_id: str,
        manifests_kept: timedelta | None,
    ) -> None:
        self.storage_id, self.storage_root = storage_id, storage.root
        self.contact = cluster.contact
        self._cluster = cluster
        self._group = group
        self._metrics = context.metrics
        self._storage = storage
        self._encoders = context.encoders
        self._storage_probe = StorageProbe(storage.check)
        self._expiring = Expiring(storage, self._partitions, manifests_kept, self._metrics)
        self._metrics.watch_scratch(lambda: storage.scratch_bytes)
        self._metrics.watch(lambda: group.slots.running, self._open_exports)

    @property
    def name(self) -> str:
        """Its name in the consumer group."""
        return self._group.name

    @property
    def encoders(self) -> str:
        """Which encoders it has: ``native`` or ``python``."""
        return self._encoders.name

    def status(self) -> NodeStatus:
        """The node's current work."""
        lanes, running = self._group.lanes, self._group.slots.running
        open_exports = self._open_exports()
        lag = {lane.partition: sum(lane.lag) for lane in lanes}
        return NodeStatus(
            running=running,
            queued=max(0, open_exports - running),
            open_exports=open_exports,
            assigned_partitions=[lane.partition for lane in lanes],
            lag=sum(lag.values()),
            partition_lag=lag,
            capacity=self._group.slots.capacity,
        )

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes so far of an export that this node has open; else None."""
        found = (lane.progress(export_id) for lane in self._group.lanes)
        return next((progress for progress in found if progress), None)

    async def problems(self) -> list[str]:
        """Why the node isn't ready; empty if it is."""
        found = self._group.problems()
        if not await self._cluster.ping():
            found.append("no Kafka broker answers")
        if problem := await self._storage_probe.problem():
            found.append(problem)
        return found

    async def run(self) -> None:
        """Work until cancelled; then drain, commit and leave."""
        works: dict[str, Callable[[], Awaitable[None]]] = {
            "observe": self._observe,
            "observe readiness": self._observe_readiness,
            "observe kafka": self._observe_kafka,
            "tidy": partial(tidy_now_and_then, self._storage, self._partitions, self._metrics),
            "expire": self._expiring.run,
        }
        observing = [
            asyncio.create_task(keep_running(name, work), name=name) for name, work in works.items()
        ]
        try:
            await self._group.run()
        finally:
            for task in observing:
                task.cancel()
            await asyncio.gather(*observing, return_exceptions=True)

    async def _observe(self) -> None:
        while True:
            self._group.observe()
            await asyncio.sleep(_OBSERVE_SECONDS)

    async def _observe_readiness(self) -> None:
        """Separate from scrapes, which mustn't wait for an unreachable Kafka or storage."""
        try:
            while True:
                self._metrics.ready(not await self.problems())
                await asyncio.sleep(_READINESS_SECONDS)
        finally:
            self._metrics.ready(False)

    async def _observe_kafka(self) -> None:
        """Often, so that the node reports an unreachable Kafka before its clients do."""
        while True:
            await self._cluster.ping()
            await asyncio.sleep(_KAFKA_SECONDS)

    def _partitions(self) -> list[int]:
        return [lane.partition for lane in self._group.lanes]

    def _open_exports(self) -> int:
        return sum(lane.open_count for lane in self._group.lanes)


@asynccontextmanager
async def open_node(settings: Settings) -> AsyncIterator[tuple[Node, HttpServer]]:
    """A node ready to run, with its HTTP server already answering.

    Raises:
        UserError: the storage can't be written, or the port can't be bound.
        NodeRefused: the cluster isn't usable.
    """
    formats = _load_formats(settings)
    metrics = Metrics()
    options = settings.client_options()
    async with (
        _open_storage(settings) as (storage, storage_calls),
        Cluster(settings.topics, settings.group_id, options) as cluster,
    ):
        # Topics first: the group's commits show whether the storage is the group's.
        dead_letter_bytes = await cluster.check_topics()
        storage_id = await recognise(storage, cluster)
        # Only now: this writes, and a root that isn't the group's must stay untouched.
        await within(storage.check)
        context = ExportContext(
            storage,
            formats.writer,
            metrics,
            settings.max_export_bytes,
            storage_timeout_seconds=settings.storage_timeout_seconds,
            retention_seconds=settings.retention_seconds,
            encoders=find_encoders() if settings.encoders == "auto" else PythonEncoders(),
        )
        destination = Destination(settings.topics, settings.group_id, options, dead_letter_bytes)
        group = ConsumerGroup(
            _membership(settings), cluster, destination, context, settings.max_concurrency
        )
        node = Node(cluster, group, context, storage, storage_id, settings.manifests_kept)
        async with (
            Backlog(cluster, options) as backlog,
            History(cluster, settings.topics, options) as history,
            LiveExports(node, backlog, history) as live,
            GroupReader(cluster, group.name) as reader,
            RequestLookup(options) as lookup,
            _upload_gateway(
                settings, firsts := FirstRequests(backlog, lookup, settings.topics.records)
            ) as uploads,
            open_gate(settings) as gate,
        ):
            letters = KafkaLetters(settings.topics, options)
            deps = AppDependencies(
                *(node, backlog, history, live, storage, storage_calls, firsts, uploads),
                metrics,
                gate,
                letters,
                reader,
                lookup,
                RetryThreads(settings.topics, options).run_again,
            )
            app = build_app(deps, _http_limits(settings))
            with LoopWatch(context.in_hand, metrics):
                async with _http_server(app, settings) as server:
                    _warn_if_open_to_all(gate, settings, server)
                    _warn_of_short_keys(settings)
                    yield node, server


async def run_node(settings: Settings) -> None:
    """Run a node until cancelled. Raises as ``open_node``."""
    raise_descriptor_limit()
    async with AsyncExitStack() as stack:
        with silent_libraries():
            node, server = await stack.enter_async_context(open_node(settings))
        stack.enter_context(hushed_while_away(node.contact))
        log.info(
            "node started",
            url=server.url,
            name=node.name,
            storage=node.storage_root,
            storage_id=node.storage_id,
            encoders=node.encoders,
        )
        working = asyncio.create_task(node.run(), name="node")
        serving = asyncio.create_task(server.wait(), name="http")
        try:
            # Neither continues without the other.
            await asyncio.wait([working, serving], return_when=asyncio.FIRST_COMPLETED)
            for ended in (working, serving):
                if ended.done():
                    ended.result()
        finally:
            working.cancel()
            serving.cancel()
            await asyncio.gather(working, serving, return_exceptions=True)


def _warn_of_short_keys(settings: Settings) -> None:
    if settings.signing_keys and not settings.signing_keys.are_strong:
        log.warning("link keys are short and may be guessed: use 32 random characters or more")


def _warn_if_open_to_all(gate: AccessGate, settings: Settings, server: HttpServer) -> None:
    if gate.is_open and not server.is_local:
        log.warning(
            "anyone who reaches this node may use it: set SLUICE_API_TOKENS, or SLUICE_HTTP_HOST "
            "to a loopback address",
            host=settings.http_host,
            port=server.port,
        )


def _load_formats(settings: Settings) -> Formats:
    try:
        return Formats(settings.pdf_font_files)
    except (ValueError, OSError) as error:
        raise UsageError(f"SLUICE_PDF_FONTS: {error}") from error


@asynccontextmanager
async def _open_storage(settings: Settings) -> AsyncIterator[tuple[GroupStorage, StorageCalls]]:
    storage = open_storage(settings)
    if await within(storage.find):
        await within(storage.check)  # its errors show without Kafka
    try:
        with StorageCalls() as storage_calls:
            yield storage, storage_calls
    finally:
        storage.close()


def _upload_gateway(settings: Settings, firsts: FirstRequests) -> UploadGateway:
    return UploadGateway(lambda: _publisher(settings), firsts.is_ours)


def _publisher(settings: Settings) -> ExportPublisher:
    return ExportPublisher(
        settings.topics, delivery_timeout_seconds=DELIVERY_SECONDS, **settings.client_options()
    )


def _http_server(app: ASGIApp, settings: Settings) -> HttpServer:
    certificate, key = settings.http_certfile, settings.http_keyfile
    try:
        tls = ServerCertificate(certificate, key).context if certificate else None
    except OSError as error:  # changed since the settings were read
        raise UsageError(f"SLUICE_HTTP_CERTFILE: {certificate}: {error}") from None
    return HttpServer(app, settings.http_host, settings.http_port, tls)


def _http_limits(settings: Settings) -> HttpLimits:
    return HttpLimits(
        queue_limit=settings.queue_limit,
        user_queue_limit=settings.user_queue_limit,
        max_body_bytes=settings.max_body_bytes,
        idle_timeout_seconds=settings.idle_timeout_seconds,
        link_keys=settings.signing_keys,
        public_url=settings.public_url,
    )


def _membership(settings: Settings) -> Membership:
    limits = LaneLimits(
        max_open_exports=settings.max_open_exports,
        idle_timeout_seconds=settings.idle_timeout_seconds,
        storage_timeout_seconds=settings.storage_timeout_seconds,
        max_record_bytes=settings.max_record_bytes,
    )
    return Membership(
        group_instance_id=settings.group_instance_id,
        session_timeout_seconds=settings.session_timeout_seconds,
        drain_timeout_seconds=settings.drain_timeout_seconds,
        limits=limits,
    )
