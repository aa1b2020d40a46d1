"""What every partition of a node works with: storage, formats, metrics, limits, clocks."""

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

    ``writer`` makes a format writer for a request and its date, if it has one. ``now`` is for what
    people read, ``monotonic`` (seconds) for durations. ``in_hand`` says what each partition works
    on now. ``large_work`` is held to decode or encode a large message: one may take 200 MiB for a
    moment, so that five at once would be more than a node has. ``kept_texts`` are those of large
    batches between turns. ``storage_timeout_seconds`` is how long the storage may refuse an end,
    ``retention_seconds`` how long files are kept at most. ``encoders`` make batches
    into bytes without Python's objects, where they can.
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
        """How long the file of an export is kept; None: until someone removes it."""
        bounds = (self.retention_seconds, request.expires_in_seconds)
        return min((bound for bound in bounds if bound is not None), default=None)

    def decoding(self, value: bytes | None) -> AbstractContextManager[object]:
        """Held while a message is decoded, so that large ones are one at a time."""
        return self.large_work if len(value or b"") > LARGE_BYTES else _FREELY
