"""Which recorded exports are complete, and where their messages are.

An export is whole if its batches run from 0 to a ``last`` one without a gap, without wrong fields,
and without an unreadable batch under its key. Repeated batches are replayed too.
Invariant: ``request_at`` and ``batch_at`` find only messages of whole exports.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from producer.replay.scratch import scratch_database
from schemas.records import Batch
from schemas.vocabulary import is_export_id

_FAR_SEQ = 2**62  # the database ends at 64 bits, a hostile ``seq`` doesn't; both are a gap
_EXPORTS = """
CREATE TABLE exports (
    number INTEGER PRIMARY KEY, partition INTEGER NOT NULL, id TEXT NOT NULL,
    request_offset INTEGER NOT NULL, at_ms INTEGER NOT NULL, next_seq INTEGER NOT NULL DEFAULT 0,
    first_offset INTEGER, last_offset INTEGER, broken INTEGER NOT NULL DEFAULT 0,
    UNIQUE (partition, id)
)"""
_BY_REQUEST = "CREATE UNIQUE INDEX by_request ON exports (partition, request_offset)"
_UNSETTLED = (
    "CREATE VIEW unsettled AS SELECT * FROM exports WHERE last_offset IS NULL AND NOT broken"
)
_WHOLE = "CREATE VIEW whole AS SELECT * FROM exports WHERE last_offset IS NOT NULL AND NOT broken"


@dataclass(frozen=True, slots=True)
class CatalogueMessage:
    """A message of a whole export: its export, when that was requested, whether it is the last."""

    number: int
    export_id: str
    requested_ms: int
    last: bool


@dataclass(frozen=True, slots=True)
class Found:
    """How much of an export exists: its consecutive batches from the first on, and whether all."""

    batches: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class OffsetSpan:
    """The offsets that cover the messages of a partition's whole exports."""

    partition: int
    requests: range
    records: range


class ExportCatalogue:
    """The exports that the survey has found; one export is one id in one partition."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add_request(self, partition: int, export_id: str, offset: int, at_ms: int) -> bool:
        """Add a request; False if the id was requested before. ``at_ms`` never goes down."""
        added = self._database.execute(
            "INSERT OR IGNORE INTO exports (partition, id, request_offset, at_ms)"
            " VALUES (?, ?, ?, ?)",
            (partition, export_id, offset, at_ms),
        )
        return added.rowcount == 1

    def add_batch(self, partition: int, batch: Batch, offset: int) -> None:
        """Add a batch, in log order; a batch of an unknown or ended export is ignored."""
        seq = min(batch.seq, _FAR_SEQ)
        fitting = self._database.execute(
            "UPDATE exports SET next_seq = next_seq + 1, first_offset = coalesce(first_offset, ?),"
            " last_offset = CASE WHEN ? THEN ? END WHERE number ="
            " (SELECT number FROM unsettled WHERE partition = ? AND id = ? AND next_seq = ?)",
            (offset, batch.last, offset, partition, batch.export_id, seq),
        )
        if fitting.rowcount == 0:
            self._break_before(seq, partition, batch.export_id)

    def add_fault(self, partition: int, export_id: str) -> None:
        """Add a batch that fails the export, unless that has ended before."""
        if is_export_id(export_id):
            self._break_before(_FAR_SEQ + 1, partition, export_id)

    def settled(self, partition: int) -> bool:
        """Whether every export of the partition is complete or broken."""
        found = self._database.execute("SELECT 1 FROM unsettled WHERE partition = ?", (partition,))
        return found.fetchone() is None

    def counts(self) -> tuple[int, int]:
        """The number of exports, and of whole ones."""
        found = self._database.execute(
            "SELECT (SELECT count(*) FROM exports), (SELECT count(*) FROM whole)"
        )
        requested, whole = found.fetchone()
        return requested, whole

    def began_ms(self) -> int:
        """When the first whole export was requested. There must be one."""
        began: int = self._database.execute("SELECT min(at_ms) FROM whole").fetchone()[0]
        return began

    def find(self, partition: int, export_id: str) -> Found | None:
        """The export of an id, if it was added."""
        found = self._database.execute(
            "SELECT next_seq, last_offset IS NOT NULL AND NOT broken FROM exports"
            " WHERE partition = ? AND id = ?",
            (partition, export_id),
        ).fetchone()
        return found and Found(found[0], bool(found[1]))

    def offset_spans(self) -> Iterator[OffsetSpan]:
        """One for each partition that has whole exports."""
        found = self._database.execute(
            "SELECT partition, min(request_offset), max(request_offset), min(first_offset),"
            " max(last_offset) FROM whole GROUP BY partition"
        )
        for partition, request, last_request, record, last_record in found:
            yield OffsetSpan(
                partition, range(request, last_request + 1), range(record, last_record + 1)
            )

    def request_at(self, partition: int, offset: int) -> CatalogueMessage | None:
        """The request of a whole export at this offset; None if there is none."""
        found = self._database.execute(
            "SELECT number, id, at_ms, 0 FROM whole WHERE partition = ? AND request_offset = ?",
            (partition, offset),
        )
        return _place(found.fetchone())

    def batch_at(self, partition: int, export_id: str, offset: int) -> CatalogueMessage | None:
        """The batch at this offset, if it belongs to a whole export of this id."""
        found = self._database.execute(
            "SELECT number, id, at_ms, last_offset = ? FROM whole"
            " WHERE partition = ? AND id = ? AND ? BETWEEN first_offset AND last_offset",
            (offset, partition, export_id, offset),
        )
        return _place(found.fetchone())

    def _break_before(self, seq: int, partition: int, export_id: str) -> None:
        """Mark the export as broken if it has neither ended nor reached ``seq``."""
        self._database.execute(
            "UPDATE exports SET broken = 1 WHERE number ="
            " (SELECT number FROM unsettled WHERE partition = ? AND id = ? AND next_seq < ?)",
            (partition, export_id, seq),
        )


def _place(row: tuple[int, str, int, int] | None) -> CatalogueMessage | None:
    if row is None:
        return None
    number, export_id, requested_ms, last = row
    return CatalogueMessage(number, export_id, requested_ms, bool(last))


@contextmanager
def export_catalogue() -> Iterator[ExportCatalogue]:
    """An empty catalogue, for the block."""
    with scratch_database(_EXPORTS, _BY_REQUEST, _UNSETTLED, _WHOLE) as database:
        yield ExportCatalogue(database)
