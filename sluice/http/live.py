"""Follows changes of exports while clients listen.

Ends come from the history, which reads the completions topic anyway, as soon as they are committed;
other states from the backlog, and progress from this node's own lanes, once a second. Invariant:
nothing is followed without listeners, and a client that fetches its list after it began to listen
misses nothing.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Self

import structlog

from consumer.background_read import FORESEEN, BackgroundRead
from consumer.core.listing import EndedExports, ListedExport
from consumer.errors import BacklogUnavailable
from sluice.access.askers import Asker
from sluice.http.changes import ChangeLog, ExportPlace
from sluice.http.problems import Refusal
from sluice.http.view import BacklogView, HistoryView, NodeView

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_LOOK_SHARE = 10  # looks take at most this fraction of the time, however much is open
_LONGEST_PAUSE_SECONDS = 5.0
_WAKE_SECONDS = 0.1  # changes within this time reach clients together
_LINGER_SECONDS = 60.0  # a client that reconnects within this time resumes where it was
_BEGIN_SECONDS = 5.0
_AT_A_STRETCH = 500


class LiveExports:
    """The changes of the group's exports. An async context manager.

    ``look_seconds``: between two looks at what is unfinished.
    """

    def __init__(
        self,
        node: NodeView,
        backlog: BacklogView,
        history: HistoryView,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._node = node
        self._backlog = backlog
        self._history = history
        self._look_seconds = look_seconds
        self._changes = ChangeLog()
        self._known: dict[str, ListedExport] = {}
        self._followers = 0
        self._wanted_at = 0.0
        self._wanted = asyncio.Event()
        self._looked = asyncio.Event()
        self._woken = self._changes.end
        self._wake_due: asyncio.TimerHandle | None = None
        self._moved = asyncio.Event()
        self._following = BackgroundRead("live exports", self._follow, self._note)

    async def __aenter__(self) -> Self:
        """Get ready; following starts with the first client."""
        self._history.on_end(self._put_end)
        self._following.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop following."""
        await self._following.stop()
        if self._wake_due:
            self._wake_due.cancel()

    @contextmanager
    def follower(self, most: int) -> Iterator[None]:
        """Register a client for the block.

        Raises:
            Refusal: 503, as ``most`` of them do.
        """
        if self._followers >= most:
            detail = "too many clients listen to this node's events"
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "10"})
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1
            self._wanted_at = time.monotonic()

    async def begin(self, last_event_id: str | None) -> ExportPlace:
        """A client's starting place: where it was, or now.

        Raises:
            BacklogUnavailable: what is unfinished isn't known, as Kafka doesn't answer.
        """
        self._wanted_at = time.monotonic()
        self._wanted.set()
        try:
            async with asyncio.timeout(_BEGIN_SECONDS):
                await self._looked.wait()
        except TimeoutError:
            raise BacklogUnavailable("the topics are still being read") from None
        return self._changes.end if last_event_id is None else ExportPlace.decode(last_event_id)

    def since(self, place: ExportPlace, asker: Asker) -> tuple[bytes, ExportPlace]:
        """As ``ChangeLog.since``."""
        return self._changes.since(place, asker)

    async def moved(self, place: ExportPlace, seconds: float) -> None:
        """Wait for changes behind a place; at most so long."""
        # Compare with the latest wake-up, not the latest change: close changes go out together.
        if self._woken.log == place.log and self._woken.number <= place.number:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._moved.wait()

    async def _follow(self) -> None:
        await self._wanted.wait()
        ended = await self._history.ended()
        # A log with a new name: clients of the previous one get a ``reload``.
        self._changes, self._known = ChangeLog(), {}
        self._wake()
        try:
            while self._followers or time.monotonic() < self._wanted_at + _LINGER_SECONDS:
                began = time.monotonic()
                # Kafka's readers log an outage; what they find later counts as a change.
                with suppress(BacklogUnavailable):
                    await self._look(ended)
                    self._following.followed()
                    self._looked.set()
                busy = time.monotonic() - began
                pause = min(busy * _LOOK_SHARE, _LONGEST_PAUSE_SECONDS)
                await asyncio.sleep(max(self._look_seconds, pause))
            self._wanted.clear()
        finally:
            self._looked.clear()

    async def _look(self, ended: EndedExports) -> None:
        known: dict[str, ListedExport] = {}
        for place, found in enumerate(await self._backlog.unfinished()):
            if place % _AT_A_STRETCH == _AT_A_STRETCH - 1:
                await asyncio.sleep(0)
            # Its event is committed before the offsets behind it are fetched again.
            if found.export_id not in ended:
                one = known[found.export_id] = self._with_progress(found)
                # The first look only records the state: no client has begun before it.
                if self._looked.is_set():
                    self._put_change(self._known.get(one.export_id), one)
        for export_id in self._known.keys() - known.keys():
            self._changes.drop_progress(export_id)
        self._known = known

    def _with_progress(self, one: ListedExport) -> ListedExport:
        progress = self._node.progress(one.export_id)
        return one.with_progress(*progress) if progress else one

    def _put_change(self, before: ListedExport | None, one: ListedExport) -> None:
        if before is None or before.state != one.state:
            self._changes.put_state(one, _now_ms())
        elif one.rows is not None and (before.rows, before.bytes) != (one.rows, one.bytes):
            self._changes.put_progress(one, _now_ms())
        else:
            return
        self._wake_soon()

    def _put_end(self, one: ListedExport) -> None:
        # Otherwise no client has begun, and each one fetches its list after it does.
        if self._looked.is_set():
            self._changes.put_state(one, _now_ms())
            self._wake_soon()

    def _wake_soon(self) -> None:
        if self._wake_due is None:
            loop = asyncio.get_running_loop()
            self._wake_due = loop.call_later(_WAKE_SECONDS, self._wake)

    def _wake(self) -> None:
        self._wake_due = None
        self._woken = self._changes.end
        self._moved.set()
        self._moved = asyncio.Event()

    def _note(self, error: Exception) -> None:
        if not isinstance(error, FORESEEN):
            log.error("live exports failed", exc_info=error)


def _now_ms() -> int:
    return int(time.time() * 1000)
