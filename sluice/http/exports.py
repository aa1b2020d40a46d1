"""Exports as HTTP sees them, on any node of the group: whose they are, and how they are doing.

An unfinished export is known from the topics, an ended one from its manifest; nothing is remembered
here, so a restart forgets nothing. Invariant: nobody learns of another user's export that it is
there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from consumer.core.backlog import Unfinished
from consumer.errors import BacklogUnavailable, RequestsHidden
from schemas.completions import ExportCompleted, Source, TerminalEvent
from schemas.vocabulary import is_export_id
from sluice.http.admission import Admission
from sluice.http.problems import Refusal, unavailable
from sluice.http.storage_calls import OpenFile, StorageCalls
from sluice.http.view import BacklogView, FinishedView, NodeView
from sluice.locations import local_path

_ANSWER_SECONDS = 4.0
_ASK_AGAIN_SECONDS = 0.1
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 0.5
_Answer = TypeVar("_Answer")


class State(StrEnum):
    """What an export is doing."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Known:
    """An export that there is. ``event`` is None until the end.

    ``rows`` and ``bytes`` are those so far, where this node runs it, and those of an ended one.
    """

    export_id: str
    user: str
    state: State
    event: TerminalEvent | None = None
    rows: int | None = None
    bytes: int | None = None


def no_such_export(export_id: str) -> Refusal:
    """404, in the same words whether there is none or it is another user's."""
    return Refusal(HTTPStatus.NOT_FOUND, f"there is no export {export_id[:128]!r}")


class Exports:
    """Answers for all exports of the group, and lets new ones in."""

    def __init__(
        self,
        node: NodeView,
        backlog: BacklogView,
        storage: FinishedView,
        storage_calls: StorageCalls,
        queue_limit: int,
    ) -> None:
        self.admission = Admission(backlog, queue_limit)
        self._node = node
        self._backlog = backlog
        self._storage = storage
        self._calls = storage_calls

    async def find(self, export_id: str, asker: str | None) -> Known | None:
        """The export of this id, as of now, or None.

        Raises:
            Refusal: 404, it is another user's, or no id at all; 503, Kafka or the storage doesn't
                say.
        """
        if not is_export_id(export_id):
            raise no_such_export(export_id)
        known = await self._find(export_id)
        if known and asker not in {None, known.user}:
            raise no_such_export(export_id)
        return known

    async def unfinished(self) -> int:
        """How many exports are accepted and unfinished in the group. Raises as ``find``."""
        return await _asked(self.admission.look)

    async def ended(self, export_id: str) -> TerminalEvent | None:
        """The manifest, whether its event is committed yet or not.

        Raises:
            Refusal: 503, the storage doesn't answer, or the manifest can't be read.
        """
        return await self._calls.call(export_id, lambda: self._storage.manifest(export_id))

    async def file(self, event: ExportCompleted) -> OpenFile | None:
        """The file of a completed export, opened, or None where it is gone. Raises as ``ended``."""
        return await self._calls.call(event.export_id, lambda: self._opened(event))

    async def is_first(self, export_id: str, source: Source) -> bool:
        """Whether the request at ``source``, just accepted, is unfinished and not a repeat.

        Two nodes may publish an id at the same moment; the first request in the partition counts.
        Raises as ``find``.
        """
        found = await _asked(lambda: self._backlog.find(export_id))
        return found is not None and found.source == source

    async def end(
        self, export_id: str, seconds: float, gone: Callable[[], Awaitable[bool]]
    ) -> TerminalEvent | None:
        """Wait for the end of an export that there is; None: time has run out.

        ``gone`` says whether nobody waits any more.
        """
        clock = asyncio.get_running_loop().time
        until, pause = clock() + seconds, _FIRST_PAUSE_SECONDS
        while True:
            with suppress(Refusal):  # it is accepted, whatever can't be asked for a while
                # The manifest is the cheaper question, so Kafka is asked only at the end.
                known = await self._find(export_id) if await self.ended(export_id) else None
                if known and known.event:
                    return known.event
            left = until - clock()
            if left <= 0 or await gone():
                return None
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _find(self, export_id: str) -> Known | None:
        event = await self.ended(export_id)
        try:
            # Nothing has ended whose request is still held back by an open transaction.
            ask = partial(self._backlog.find, export_id, accepted=event is not None)
            unfinished = await _asked(ask)
        except Refusal:
            event = event or await self.ended(export_id)
            # What a manifest says binds, whether Kafka can be asked or not.
            if event and (not isinstance(event, ExportCompleted) or await self._has_file(event)):
                return _known_by(event)
            raise
        event = event or await self.ended(export_id)
        # A manifest of this very request may not be committed yet; one of another request means
        # that this one is a repeat.
        if unfinished and (event is None or event.source == unfinished.source):
            return self._known_by_request(unfinished)
        if event:
            return _known_by(event)
        if ticket := self.admission.under_way(export_id):
            return Known(export_id, ticket.user, State.QUEUED)
        return None

    async def _has_file(self, event: ExportCompleted) -> bool:
        return await self._calls.call(event.export_id, lambda: self._storage.has_file(event))

    def _opened(self, event: ExportCompleted) -> OpenFile | None:
        path = local_path(self._storage.location(event.export_id, event.format))
        with suppress(FileNotFoundError):
            if self._storage.has_file(event):
                return OpenFile(self._calls, event.export_id, path)
        return None

    def _known_by_request(self, unfinished: Unfinished) -> Known:
        rows, size = self._node.progress(unfinished.export_id) or (None, None)
        state = State.RUNNING if unfinished.begun or rows else State.QUEUED
        return Known(unfinished.export_id, unfinished.user, state, rows=rows, bytes=size)


def _known_by(event: TerminalEvent) -> Known:
    size = event.bytes if isinstance(event, ExportCompleted) else None
    state = State(event.type.removeprefix("export."))
    return Known(event.export_id, event.user, state, event, event.rows, size)


async def _asked(question: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """What the backlog answers; an open transaction, which may end soon, is waited for."""
    reason = "Kafka doesn't answer"
    with suppress(TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                try:
                    return await question()
                except RequestsHidden as hidden:
                    reason = str(hidden)
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
                except BacklogUnavailable as error:
                    raise unavailable(str(error)) from None
    raise unavailable(reason)
