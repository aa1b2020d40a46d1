"""Exports of the whole group, which any node can answer for over HTTP.

Unfinished exports are known from the topics, ended ones from their manifests. No state is kept
here, so a restart loses none. Invariant: no response reveals that another user's export exists.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from consumer.core.backlog import UnfinishedRequest
from consumer.core.listing import ExportState
from schemas.completions import ExportCompleted, Source, TerminalEvent
from schemas.requests import ExportRequested
from schemas.vocabulary import is_export_id
from sluice.access.askers import Asker
from sluice.http.admission import Admission
from sluice.http.admission import UnfinishedCounts as Counts
from sluice.http.problems import Refusal
from sluice.http.repeats import FirstRequests, compare, id_taken, query_kafka
from sluice.http.storage_calls import OpenFile, StorageCalls
from sluice.http.view import BacklogView, FinishedView, NodeView

# A node publishes the cancellation of a broken upload within 5 s (``broken``); it ends soon after.
_BREAKING_OFF_SECONDS = 8.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 0.5


@dataclass(frozen=True, slots=True)
class Known:
    """An export that exists. ``event`` is None until the end.

    ``source`` is its request's place in Kafka, None while this node publishes it. ``rows`` and
    ``bytes`` are the current ones if this node runs it, the final ones once it ended, else None.
    """

    export_id: str
    user: str
    state: ExportState
    event: TerminalEvent | None = None
    rows: int | None = None
    bytes: int | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """An export that was requested before.

    ``unsure`` is its request's place if its upload to another node may be breaking off.
    """

    unsure: Source | None = None


def no_such_export(export_id: str) -> Refusal:
    """404, with the same text whether there is no such export or it is another user's."""
    return Refusal(HTTPStatus.NOT_FOUND, f"there is no export {export_id[:128]!r}")


class Exports:
    """Looks up all exports of the group, and admits new ones."""

    def __init__(
        self,
        node: NodeView,
        backlog: BacklogView,
        storage: FinishedView,
        storage_calls: StorageCalls,
        firsts: FirstRequests,
        admission: Admission,
    ) -> None:
        self.admission = admission
        self._firsts = firsts
        self._node = node
        self._backlog = backlog
        self._storage = storage
        self._calls = storage_calls

    async def find(self, export_id: str, asker: Asker) -> Known | None:
        """The export of this id, as of now, or None.

        Raises:
            Refusal: 404, it is another user's, or the id is malformed; 503, Kafka or the storage
                doesn't answer.
        """
        if not is_export_id(export_id):
            raise no_such_export(export_id)
        known = await self._find(export_id)
        if known and not asker.may_see(known.user):
            raise no_such_export(export_id)
        return known

    async def may_act_on(self, export_id: str, asker: Asker) -> bool:
        """Whether the asker may see an export with this id. Raises as ``find``, except 404."""
        known = await self._find(export_id)
        return known is not None and asker.may_see(known.user)

    async def find_repeated(self, wanted: ExportRequested) -> Repeated | None:
        """The export of this id, if an equivalent request already exists.

        Raises:
            Refusal: 409, the id is another export's; 503, Kafka or the storage doesn't answer.
        """
        if self.is_under_way(wanted):
            return Repeated()
        known = await self._find(wanted.export_id)
        if known is None or known.source is None:
            # Check again: it may have been admitted while Kafka was queried.
            return Repeated() if self.is_under_way(wanted) else None
        if known.user != wanted.user:
            raise id_taken(wanted.export_id)
        if known.event and known.event.format != wanted.format:
            raise id_taken(wanted.export_id, ["format"])
        is_elsewhere = await self._firsts.check(wanted, known.source)
        is_begun = known.state is not ExportState.QUEUED
        return Repeated(known.source if is_elsewhere and not is_begun else None)

    async def wait_until_begun(self, export_id: str, source: Source) -> None:
        """Wait until an upload to another node has rows in Kafka, or has ended.

        That upload may have broken off before its first row, and this request may be the client's
        retry. Then the other node will cancel the export, and the retry would be accepted and
        cancelled. Raises as ``find``.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_BREAKING_OFF_SECONDS):
                while True:
                    with suppress(Refusal):  # the search failed: the backlog shows it, too
                        if await self._firsts.has_batch(export_id, source):
                            return
                    await asyncio.sleep(_LONGEST_PAUSE_SECONDS)
                    known = await self._find(export_id)
                    if known is None or known.state is not ExportState.QUEUED:
                        return

    def is_under_way(self, wanted: ExportRequested) -> bool:
        """Like ``find_repeated``, among the exports that this node is publishing."""
        ticket = self.admission.under_way(wanted.export_id)
        if ticket:
            compare(wanted, ticket.request)
        return ticket is not None

    async def count_unfinished(self, user: str) -> Counts:
        """How many exports are accepted and unfinished. Raises as ``find``."""
        return await query_kafka(partial(self.admission.count_unfinished, user))

    async def fetch_manifest(self, export_id: str) -> TerminalEvent | None:
        """The terminal event in the manifest, committed to Kafka yet or not; None without one.

        Raises:
            Refusal: 503, the storage doesn't answer, or the manifest can't be read.
        """
        return await self._calls.call(export_id, lambda: self._storage.manifest(export_id))

    async def open_file(self, event: ExportCompleted) -> OpenFile | None:
        """Open the file of a completed export; None if it is gone. Raises as ``fetch_manifest``."""
        return await self._calls.call(event.export_id, lambda: self._open_storage_file(event))

    async def is_first(self, export_id: str, source: Source) -> bool:
        """Whether the request at ``source``, just published, is the first of its id.

        Two nodes may publish an id at the same moment; the first request in the partition counts.
        That one may have ended since; then this one looks unfinished until its repeat is handled.
        Raises as ``find``.
        """
        found = await query_kafka(lambda: self._backlog.find(export_id))
        if found is None or found.source != source:
            return False
        event = await self.fetch_manifest(export_id)
        return event is None or event.source == source

    async def wait_for_end(
        self, export_id: str, seconds: float, gone: Callable[[], Awaitable[bool]]
    ) -> TerminalEvent | None:
        """Wait for an existing export to end; None once ``seconds`` have passed.

        ``gone`` returns whether the client has disconnected.
        """
        clock = asyncio.get_running_loop().time
        until, pause = clock() + seconds, _FIRST_PAUSE_SECONDS
        while True:
            with suppress(Refusal):  # the export goes on while Kafka or the storage is away
                # Reading the manifest is cheaper, so Kafka is queried only once there is one.
                known = (
                    await self._find(export_id) if await self.fetch_manifest(export_id) else None
                )
                if known and known.event:
                    return known.event
            left = until - clock()
            if left <= 0 or await gone():
                return None
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _find(self, export_id: str) -> Known | None:
        event = await self.fetch_manifest(export_id)
        try:
            # With a manifest the request was read, so no open transaction hides it.
            ask = partial(self._backlog.find, export_id, accepted=event is not None)
            unfinished = await query_kafka(ask)
        except Refusal:
            event = event or await self.fetch_manifest(export_id)
            # The manifest decides, whether Kafka answers or not.
            if event and (not isinstance(event, ExportCompleted) or await self._is_final(event)):
                return _known_from_event(event)
            raise
        # Once more: the export may have ended while Kafka was queried.
        event = event or await self.fetch_manifest(export_id)
        # A manifest of this same request may not be committed yet; one of another request means
        # that this one is a repeat.
        if unfinished and (event is None or event.source == unfinished.source):
            return self._known_from_request(unfinished)
        if event:
            return _known_from_event(event)
        # Admitted here but not in Kafka yet.
        if ticket := self.admission.under_way(export_id):
            return Known(export_id, ticket.request.user, ExportState.QUEUED)
        return None

    async def _is_final(self, event: ExportCompleted) -> bool:
        """Whether its file was published; an expired one may be gone by now."""
        if event.expired(datetime.now(UTC)):
            return True
        return await self._calls.call(event.export_id, lambda: self._storage.has_file(event))

    def _open_storage_file(self, event: ExportCompleted) -> OpenFile | None:
        file = self._storage.open_file(event)
        return OpenFile(self._calls, event.export_id, file) if file else None

    def _known_from_request(self, unfinished: UnfinishedRequest) -> Known:
        rows, size = self._node.progress(unfinished.export_id) or (None, None)
        state = ExportState.RUNNING if unfinished.begun or rows else ExportState.QUEUED
        source = unfinished.source
        return Known(unfinished.export_id, unfinished.user, state, None, rows, size, source)


def _known_from_event(event: TerminalEvent) -> Known:
    size = event.bytes if isinstance(event, ExportCompleted) else None
    state = ExportState(event.type.removeprefix("export."))
    return Known(event.export_id, event.user, state, event, event.rows, size, event.source)
