"""What all partitions of a node share: storage, formats, metrics, limits, clocks."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime

from consumer.exports.in_hand import PartitionsInHand
from consumer.exports.kept_texts import KeptTexts
from consumer.formats.base import Encoders, FormatWriter
from consumer.formats.native import PythonEncoders
from consumer.metrics import Metrics
from consumer.storage.base import Storage
from schemas.limits import LARGE_BYTES
from schemas.requests import ExportRequested

_FREELY = nullcontext()


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ExportContext:
    """Shared by all partitions and threads of a node.

    ``writer`` creates a format writer for a request and its date, if any. ``now`` is for times
    shown to people, ``monotonic`` (seconds) for durations. ``in_hand`` holds what each partition is
    working on. ``large_work`` is held at work on a large message: one may take 200 MiB for a
    moment, and five at once would be more than a node has. ``kept_texts`` keeps texts of large
    batches between turns. ``storage_timeout_seconds`` is how long the storage may refuse an end,
    ``retention_seconds`` the longest time that files are kept. ``encoders`` turn batches into bytes
    without Python objects where they can.
    """

    storage: Storage
    writer: Callable[[ExportRequested, datetime | None], FormatWriter]
    metrics: Metrics
    max_export_bytes: int
    now: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    in_hand: PartitionsInHand = field(default_factory=PartitionsInHand)
    large_work: threading.Lock = field(default_factory=threading.Lock)
    kept_texts: KeptTexts = field(default_factory=KeptTexts)
    storage_timeout_seconds: float = 300.0
    retention_seconds: int | None = None
    encoders: Encoders = field(default_factory=PythonEncoders)

    def kept_seconds(self, request: ExportRequested) -> int | None:
        """How long an export's file is kept; None if it doesn't expire."""
        bounds = (self.retention_seconds, request.expires_in_seconds)
        return min((bound for bound in bounds if bound is not None), default=None)

    def at_work_on(self, value_bytes: int) -> AbstractContextManager[object]:
        """Hold this while reading, decoding or encoding a message: large ones go one at a time."""
        return self.large_work if value_bytes > LARGE_BYTES else _FREELY
