"""A node's log, read while it grows: what the node holds, and when it took it.

Invariant: only whole lines are read; times are the node's own, in seconds since the epoch.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.killers import KILLING
from tests.chaos.node import MARK


@dataclass(slots=True)
class Journal:
    """See the module. ``read`` it now and then; the rest is what it has shown so far."""

    path: Path
    url: str | None = None
    partitions: frozenset[int] = frozenset()
    assignments: int = 0
    storage_refused: int = 0
    point: str | None = None
    taken: dict[int, list[float]] = field(default_factory=dict)
    died_on: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    last_line: str = ""
    _offset: int = 0

    def read(self) -> None:
        """Take in what was written since."""
        for line in self._new_lines():
            self.last_line = line
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the interpreter's own words, or a line that a kill cut off
            self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        match entry.get("event"):
            case "node started":
                self.url = entry["url"]
            case "partitions assigned":
                self.partitions = frozenset(entry["partitions"])
                self.assignments += 1
            case "partition taken over":
                at = datetime.fromisoformat(entry["timestamp"]).timestamp()
                self.taken.setdefault(entry["partition"], []).append(at)
            case "storage refuses":
                self.storage_refused += 1
            case event if event == MARK:
                self.point = entry["point"]
            case event if event == KILLING:
                self.died_on.append(entry["export_id"])
        if "exception" in entry or entry.get("level") in ("error", "critical"):
            self.unexpected.append(json.dumps(entry))

    def _new_lines(self) -> Iterator[str]:
        with self.path.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        yield from whole.decode(errors="replace").splitlines()
