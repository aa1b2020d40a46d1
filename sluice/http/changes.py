"""The latest changes of exports, as messages of Server-Sent Events that all clients share.

Pure. A client is a ``ExportPlace`` and no queue of its own: one that reads slowly gets the latest
progress of each export, and each change of state that is still kept. Invariant: a client that is
behind what is kept gets a message that says so; none misses an end without it.
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
"""Changes of state that are kept: 2 MiB, 16 with the longest of names."""
_PIECE_BYTES = 16 * 1024
_PLACE = re.compile(r"([0-9a-f]{16})-([0-9]{1,15})")


class ExportPlace(NamedTuple):
    """How far a client has read: which log it was, and the number of the last change."""

    log: str
    number: int

    def encode(self) -> str:
        """As the ``id`` of a message."""
        return f"{self.log}-{self.number}"

    @classmethod
    def decode(cls, text: str) -> "ExportPlace":
        """The place of a ``Last-Event-ID``; one of no log if it is none."""
        found = _PLACE.fullmatch(text)
        return cls(found[1], int(found[2])) if found else cls("", 0)


@dataclass(frozen=True, slots=True)
class _Change:
    number: int
    user: str
    message: bytes


class ChangeLog:
    """Changes in their order. Progress is kept once for each export: the latest."""

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
        """The place behind the latest change."""
        return ExportPlace(self._name, self._number)

    def put_state(self, one: ListedExport, now_ms: int) -> None:
        """An export has another state, or is new."""
        self._progress.pop(one.export_id, None)
        self._states.append(self._change("state", one, now_ms))
        if len(self._states) >= 2 * self._most:  # rarely, as it moves all of them
            self._forgotten = self._states[-self._most - 1].number
            del self._states[: -self._most]

    def put_progress(self, one: ListedExport, now_ms: int) -> None:
        """An export has more rows."""
        self._progress.pop(one.export_id, None)  # so that the latest change is the last one
        self._progress[one.export_id] = self._change("progress", one, now_ms)

    def drop_progress(self, export_id: str) -> None:
        """The export is no longer followed here: what it had is out of date."""
        self._progress.pop(export_id, None)

    def since(self, place: ExportPlace, asker: Asker) -> tuple[bytes, ExportPlace]:
        """Messages that the asker may see, up to some KiB of them, and the place behind them."""
        # A place in another node's log or an earlier one, or behind what is kept.
        if place.log != self._name or not self._forgotten <= place.number <= self._number:
            return _message(self.end, {"type": "reload"}), self.end
        # Most clients are at the same place, and many are of one user.
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
        # The dict is in the order of changes, so the latest ones are at its end.
        latest = takewhile(lambda one: one.number > number, reversed(self._progress.values()))
        return iter(sorted([*self._states[first:], *latest], key=lambda change: change.number))

    def _change(self, kind: str, one: ListedExport, now_ms: int) -> _Change:
        # A piece may reach to the end of the log, which moves now.
        self._pieces.clear()
        self._number += 1
        fields = {"type": kind, **one.fields(now_ms)}
        return _Change(self._number, one.user, _message(self.end, fields))


def _message(place: ExportPlace, fields: dict[str, object]) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (place.encode().encode(), orjson.dumps(fields))
