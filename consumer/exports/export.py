"""One open export: its request, how far it is, and the file that it is becoming."""

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
    """The way of an export's rows: through the writer and the compressor into the part."""

    writer: FormatWriter
    compressor: Compressor
    part: Part


class OpenExport:
    """A request that was accepted and has not ended.

    ``decided`` is the manifest of an earlier attempt that completed: it binds this one. ``file``
    and ``encoder`` come with the first batch; ``first_offset`` is its own, once it was applied.
    ``active_at`` is a monotonic time in seconds, ``attempts`` 2 where an attempt before this one
    broke our own code, else None.
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
        """How far it is at ``now``."""
        return Progress(self.assembly.rows, self.started_at, now, self.attempts)

    @property
    def part(self) -> Part | None:
        """Its part, once there is one."""
        return self.file.part if self.file else None

    @property
    def size_bytes(self) -> int:
        """Bytes of its file so far."""
        return self.part.size if self.part else 0
