"""The latest changes of exports, as Server-Sent Events shared by all clients.

Pure. A client is an ``ExportPlace`` without a queue of its own: a slow client gets the latest
progress of each export and every state change still kept. Invariant: a client that falls behind
what is kept gets a message to reload, so that none misses an end unnoticed.
"""

import re
import secrets
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

import orjson

from consumer.core.listing import ListedExport
from sluice.access.askers import Asker

MOST_STATES = 4_096
"""State changes kept: 2 MiB, 16 MiB with the longest names."""
_PIECE_BYTES = 16 * 1024
_PLACE = re.compile(r"([0-9a-f]{16})-([0-9]{1,15})")


class ExportPlace(NamedTuple):
    """A client's position: which log, and the number of its last change."""

    log: str
    number: int

    def encode(self) -> str:
        """The ``id`` of a message."""
        return f"{self.log}-{self.number}"

    @classmethod
    def decode(cls, text: str) -> "ExportPlace":
        """Parse a ``Last-Event-ID``; a place in no log if it is malformed."""
        found = _PLACE.fullmatch(text)
        return cls(found[1], int(found[2])) if found else cls("", 0)


@dataclass(frozen=True, slots=True)
class _Change:
    number: int
    user: str
    message: bytes


class ChangeLog:
    """Changes in order. Of each export only the latest progress is kept."""

    def __init__(self, most_states: int = MOST_STATES) -> None:
        self._most = most_states
        self._name = secrets.token_hex(8)
        self._number = 0
        self._forgotten = 0
        self._states: list[_Change] = []
        self._progress: dict[str, _Change] = {}
        self._pieces: dict[tuple[int, Asker], tuple[bytes, ExportPlace]] = {}

    @property
    def end(self) -> ExportPlace:
        """The place after the latest change."""
        return ExportPlace(self._name, self._number)

    def put_state(self, one: ListedExport, now_ms: int) -> None:
        """An export is new or has changed state."""
        self._progress.pop(one.export_id, None)
        self._states.append(self._change("state", one, now_ms))
        if len(self._states) >= 2 * self._most:  # rarely, because it moves all of them
            self._forgotten = self._states[-self._most - 1].number
            del self._states[: -self._most]

    def put_progress(self, one: ListedExport, now_ms: int) -> None:
        """An export has more rows."""
        self._progress.pop(one.export_id, None)  # keeps the latest change last
        self._progress[one.export_id] = self._change("progress", one, now_ms)

    def drop_progress(self, export_id: str) -> None:
        """The export is no longer followed here: its progress is out of date."""
        self._progress.pop(export_id, None)

    def since(self, place: ExportPlace, asker: Asker) -> tuple[bytes, ExportPlace]:
        """Messages that the asker may see, up to some KiB, and the place after them."""
        # A place in another or an earlier log, or older than what is kept.
        if place.log != self._name or not self._forgotten <= place.number <= self._number:
            return _message(self.end, {"type": "reload"}), self.end
        # Most clients are at the same place, and many belong to one user.
        key = (place.number, asker)
        if key not in self._pieces:
            self._pieces[key] = self._piece(place.number, asker)
        return self._pieces[key]

    def _piece(self, number: int, asker: Asker) -> tuple[bytes, ExportPlace]:
        messages: list[bytes] = []
        gathered_bytes = 0
        for change in self._after(number):
            if not asker.may_see(change.user):
                continue
            messages.append(change.message)
            gathered_bytes += len(change.message)
            if gathered_bytes >= _PIECE_BYTES:
                return b"".join(messages), ExportPlace(self._name, change.number)
        return b"".join(messages), self.end

    def _after(self, number: int) -> Iterator[_Change]:
        first = bisect_right(self._states, number, key=lambda change: change.number)
        # The dict is ordered by change, with the latest at its end.
        latest = takewhile(lambda one: one.number > number, reversed(self._progress.values()))
        return iter(sorted([*self._states[first:], *latest], key=lambda change: change.number))

    def _change(self, kind: str, one: ListedExport, now_ms: int) -> _Change:
        # A cached piece may reach to the end of the log, which moves now.
        self._pieces.clear()
        self._number += 1
        fields = {"type": kind, **one.fields(now_ms)}
        return _Change(self._number, one.user, _message(self.end, fields))


def _message(place: ExportPlace, fields: dict[str, object]) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (place.encode().encode(), orjson.dumps(fields))
