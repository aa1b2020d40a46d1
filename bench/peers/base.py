"""What a contender in Python is: made for an export, given its messages, finished.

Invariant: everything that an export costs is in these calls, and nothing that a process pays once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeAlias

from schemas.records import Cell, Row

TITLE = "Bench"
ROWS_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Job:
    """An export: its columns, their widths in points on A4 landscape, and where bytes go."""

    columns: tuple[str, ...]
    widths: tuple[float, ...]
    out: BinaryIO


class PeerEncoder(Protocol):
    """Makes one file."""

    def message(self, value: bytes) -> None:
        """A message of the records topic."""

    def finish(self) -> None:
        """No more will come: the file is whole afterwards."""


NewEncoder: TypeAlias = Callable[[Job], PeerEncoder]


def cells_of(row: Row, job: Job) -> Sequence[Cell]:
    """The cells of a row in column order, whether it is an array or an object by key."""
    return [*map(row.get, job.columns)] if isinstance(row, dict) else row
