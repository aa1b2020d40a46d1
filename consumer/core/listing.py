"""Lists of exports, newest first: the latest ended ones merged with the unfinished ones.

Pure. Invariant: exports are ordered by request time and id, which never change, so consecutive
pages neither repeat nor skip an export.
"""

import heapq
import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from schemas.limits import MOST_NAME_CHARACTERS
from schemas.times import format_time, of_millis

MOST_ENDED = 10_000
"""Ended exports that are kept: 7 MiB, 11 MiB with the longest names (measured)."""
# Of a title in lists; the file shows the whole title.
MOST_TITLE_CHARACTERS = 200
_CURSOR_DIVIDER = "~"  # no id holds one
_MILLIS = re.compile("-?[0-9]{1,15}")  # of any year that a request may name


class ExportState(StrEnum):
    """The state of an export."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Position(NamedTuple):
    """An export's place in the order: milliseconds since the epoch, and its id."""

    requested_at_ms: int
    export_id: str

    def encode(self) -> str:
        """The ``before`` parameter of the next page."""
        return f"{self.requested_at_ms}{_CURSOR_DIVIDER}{self.export_id}"

    @classmethod
    def decode(cls, text: str) -> "Position":
        """Parse a ``before`` parameter.

        Raises:
            ValueError: it is malformed.
        """
        millis, divider, export_id = text.partition(_CURSOR_DIVIDER)
        if not (divider and _MILLIS.fullmatch(millis)):
            raise ValueError("must be the next of another page")
        return cls(int(millis), export_id)


@dataclass(frozen=True, slots=True)
class ListedExport:
    """An export in a list. Times are in milliseconds since the epoch.

    ``rows`` and ``bytes`` are None where unknown, as for an export running on another node.
    """

    export_id: str
    state: ExportState
    format: str
    user: str
    title: str | None
    rows: int | None
    bytes: int | None
    requested_at_ms: int
    completed_at_ms: int | None = None
    expires_at_ms: int | None = None

    @property
    def position(self) -> Position:
        """Its place in the order."""
        return Position(self.requested_at_ms, self.export_id)

    def with_progress(self, rows: int, size: int) -> "ListedExport":
        """This unfinished export, as the node that runs it knows it.

        It runs once it has rows; the group's offsets show that with the turn's commit only.
        """
        state = ExportState.RUNNING if rows else self.state
        return replace(self, state=state, rows=rows, bytes=size)

    def fields(self, now_ms: int) -> dict[str, Any]:
        """Its JSON fields in a list as of a time, with times in the contract's format."""
        return {
            "export_id": self.export_id,
            "state": self.state,
            "format": self.format,
            "user": self.user,
            "title": self.title,
            "rows": self.rows,
            "bytes": self.bytes,
            "requested_at": _time(self.requested_at_ms),
            "completed_at": _time(self.completed_at_ms),
            "expires_at": _time(self.expires_at_ms),
            "expired": self.expires_at_ms is not None and now_ms >= self.expires_at_ms,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """A list's filter. None matches anything; ``text`` is part of an id or a title."""

    state: str | None = None
    user: str | None = None
    format: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if self.text is not None:
            # Case-fold once, not per export: 10,000 times a text of 10,000 letters took 0.4 s.
            object.__setattr__(self, "text", self.text.casefold())

    def matches(self, one: ListedExport) -> bool:
        """Whether an export belongs in the list."""
        return (
            (self.state is None or one.state == self.state)
            and (self.user is None or one.user == self.user)
            and (self.format is None or one.format == self.format)
            and (self.text is None or self._is_named(one, self.text))
        )

    @staticmethod
    def _is_named(one: ListedExport, text: str) -> bool:
        return text in one.export_id.casefold() or text in (one.title or "").casefold()


class EndedExports:
    """The most recently ended exports, at most ``most`` of them."""

    def __init__(self, most: int = MOST_ENDED) -> None:
        self.most = most
        self._by_id: dict[str, tuple[ListedExport, int]] = {}
        self._order: list[Position] = []
        # Ordered by the event's time, to drop the oldest; lists are ordered by the request's time.
        self._by_age: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, export_id: str) -> bool:
        return export_id in self._by_id

    @property
    def oldest_ms(self) -> int | None:
        """The time of the oldest event if the limit is reached, else None."""
        if len(self) < self.most:
            return None
        self._drop_stale()
        return self._by_age[0][0]

    def put(self, one: ListedExport, published_at_ms: int) -> bool:
        """Add an event; it may be one read before. Beyond the limit the oldest is dropped.

        Returns whether it is new.
        """
        before = self._by_id.get(one.export_id)
        # The tail is read backwards, so an older event may arrive later.
        if before and before[1] > published_at_ms:
            return False
        if before:
            self._remove(before[0])
            # An event has no title; keep the one found before.
            if one.title is None and before[0].requested_at_ms == one.requested_at_ms:
                one = replace(one, title=before[0].title)
        self._by_id[one.export_id] = (one, published_at_ms)
        insort(self._order, one.position)
        heapq.heappush(self._by_age, (published_at_ms, one.export_id))
        if len(self._by_id) > self.most:
            self._drop_stale()
            self._remove(self._by_id[heapq.heappop(self._by_age)[1]][0])
        return before is None or before[0].completed_at_ms != one.completed_at_ms

    def name(self, export_id: str, title: str) -> None:
        """Set an export's title, which isn't in its event."""
        if found := self._by_id.get(export_id):
            self._by_id[export_id] = (replace(found[0], title=title), found[1])

    def newest(self, before: Position | None = None) -> Iterator[ListedExport]:
        """Newest first, starting after ``before`` if given."""
        end = len(self._order) if before is None else bisect_left(self._order, before)
        for place in range(end - 1, -1, -1):
            yield self._by_id[self._order[place].export_id][0]

    def _remove(self, one: ListedExport) -> None:
        del self._by_id[one.export_id]
        del self._order[bisect_left(self._order, one.position)]

    def _drop_stale(self) -> None:
        """Drop entries whose export was published again or removed."""
        while self._by_age:
            published_at_ms, export_id = self._by_age[0]
            held = self._by_id.get(export_id)
            if held and held[1] == published_at_ms:
                return
            heapq.heappop(self._by_age)


def page(
    ended: EndedExports,
    unfinished: Iterable[ListedExport],
    wanted: Wanted,
    limit: int,
    before: Position | None = None,
) -> tuple[list[ListedExport], Position | None]:
    """The page of matching exports, newest first, and the next page's position, if any.

    An export in both has ended: its event is committed before the group's offsets are fetched
    again.
    """
    newest_open = newest(ended, unfinished, wanted, limit, before)
    newest_ended = (one for one in ended.newest(before) if wanted.matches(one))
    merged = heapq.merge(newest_open, newest_ended, key=_position, reverse=True)
    # One more than is shown, to know whether there is a next page.
    found = list(islice(merged, limit + 1))
    shown = found[:limit]
    return shown, shown[-1].position if len(found) > limit else None


def newest(
    ended: EndedExports,
    unfinished: Iterable[ListedExport],
    wanted: Wanted,
    limit: int,
    before: Position | None = None,
) -> list[ListedExport]:
    """The unfinished exports that ``page`` would use; lets a caller filter them in parts."""
    # A heap, not a full sort: there may be a hundred thousand for a page of 200.
    return heapq.nlargest(
        limit + 1,
        (
            one
            for one in unfinished
            if (before is None or one.position < before)
            and one.export_id not in ended
            and wanted.matches(one)
        ),
        key=_position,
    )


def _time(millis: int | None) -> str | None:
    return None if millis is None else format_time(of_millis(millis))


def _position(one: ListedExport) -> Position:
    return one.position


def known_title(sent: Mapping[str, object]) -> str | None:
    """The title as sent, cut if long; None if absent or invalid."""
    title = sent.get("title")
    if not isinstance(title, str) or not 0 < len(title) <= MOST_NAME_CHARACTERS:
        return None
    if len(title) <= MOST_TITLE_CHARACTERS:
        return title
    return f"{title[: MOST_TITLE_CHARACTERS - 1]}…"
