"""One open export: its request, its progress, and its growing file."""

from datetime import datetime
from typing import NamedTuple

from consumer.core.batch_sequence import BatchSequence
from consumer.exports.terminal_events import Origin, Progress
from consumer.formats.base import BatchEncoder, FormatWriter
from consumer.formats.compression import Compressor
from consumer.storage.base import Part
from schemas.completions import ExportCompleted
from schemas.requests import ExportRequested


class GrowingFile(NamedTuple):
    """The path of an export's rows: through writer and compressor into the part."""

    writer: FormatWriter
    compressor: Compressor
    part: Part


class OpenExport:
    """An accepted request that has not ended.

    ``decided`` is the manifest of an earlier attempt that completed, which binds this one. ``file``
    and ``encoder`` are set with the first batch, ``first_offset`` once it was applied.
    ``active_at`` is in monotonic seconds. ``attempts`` is 2 if our own code broke in an earlier
    attempt, else None.
    """

    # There may be a thousand open exports in each partition.
    __slots__ = (
        "active_at",
        "assembly",
        "attempts",
        "decided",
        "encoder",
        "file",
        "first_offset",
        "origin",
        "request",
        "started_at",
    )

    def __init__(
        self,
        request: ExportRequested,
        origin: Origin,
        decided: ExportCompleted | None,
        active_at: float,
        attempts: int | None = None,
    ) -> None:
        self.request = request
        self.origin = origin
        self.decided = decided
        self.active_at = active_at
        self.attempts = attempts
        self.assembly = BatchSequence(
            [column.key for column in request.columns], [column.type for column in request.columns]
        )
        self.file: GrowingFile | None = None
        self.encoder: BatchEncoder | None = None
        self.first_offset: int | None = None
        self.started_at: datetime | None = None

    def progress(self, now: datetime) -> Progress:
        """Its progress at ``now``; it started with the first batch that was applied."""
        started_at = None if self.first_offset is None else self.started_at
        return Progress(self.assembly.rows, started_at, now, self.attempts)

    @property
    def part(self) -> Part | None:
        """Its part, once there is one."""
        return self.file.part if self.file else None

    @property
    def size_bytes(self) -> int:
        """Size of its file so far."""
        return self.part.size if self.part else 0
