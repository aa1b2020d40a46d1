"""The completions topic: the one terminal event of each export, and its CloudEvents headers.

A manifest holds the same JSON. Invariant: an event's bytes depend only on its fields, so a
republished event is the same event.
"""

import uuid
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import orjson
from pydantic import Field, TypeAdapter

from schemas.file_names import compression_in, extension
from schemas.requests import ExportId
from schemas.strict import Strict
from schemas.times import Timestamp, format_time
from schemas.vocabulary import Compression, FailReason, Format

# The namespace of event ids. Any constant would do, but it must never change.
_EVENT_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:sluice:export-completions")

Count = Annotated[int, Field(ge=0)]


class Source(Strict):
    """The request's place in Kafka; distinguishes two requests with one id."""

    topic: str
    partition: Count
    offset: Count


class _Ended(Strict):
    export_id: ExportId
    user: str
    rows: Count
    requested_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp
    duration_ms: Count
    source: Source
    retry_of: ExportId | None = None
    attempts: Annotated[int, Field(ge=2)] | None = None

    @property
    def event_id(self) -> str:
        """The ``ce_id``; the same however often the event is built."""
        source = self.source
        name = f"{source.topic}/{source.partition}/{source.offset}/{self.export_id}"
        return str(uuid.uuid5(_EVENT_IDS, name))


class ExportCompleted(_Ended):
    """``export.completed``: the file is whole, on disk, and as described.

    From ``expires_at`` on the file can't be fetched; None if it doesn't expire. ``pages`` and
    ``truncated_cells`` are None except for PDF, ``replaced_characters`` except for PDF and XML.
    """

    type: Literal["export.completed"] = "export.completed"
    format: Annotated[Format, Field(strict=False)]
    location: str
    bytes: Count
    pages: Count | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    replaced_characters: Count | None = None
    truncated_cells: Count | None = None
    expires_at: Timestamp | None = None

    def expired(self, now: datetime) -> bool:
        """Whether the file has expired; it may still exist."""
        return self.expires_at is not None and now >= self.expires_at

    @property
    def compression(self) -> Compression:
        """How the file is compressed, from the extension in ``location``."""
        return compression_in(self.location, self.format)

    @property
    def extension(self) -> str:
        """The file name's extension, such as ``csv`` or ``csv.gz``."""
        return extension(self.format, self.compression)


class ExportFailed(_Ended):
    """``export.failed``: there is no file. ``rows`` counts those of completely applied batches."""

    type: Literal["export.failed"] = "export.failed"
    format: Annotated[Format, Field(strict=False)] | Literal["unknown"]
    reason: Annotated[FailReason, Field(strict=False)]
    message: str


class ExportCancelled(_Ended):
    """``export.cancelled``: there is no file, as someone requested."""

    type: Literal["export.cancelled"] = "export.cancelled"
    format: Annotated[Format, Field(strict=False)]
    message: str


TerminalEvent: TypeAlias = ExportCompleted | ExportFailed | ExportCancelled
_TERMINAL: TypeAdapter[TerminalEvent] = TypeAdapter(
    Annotated[TerminalEvent, Field(discriminator="type")]
)


def encode_event(event: TerminalEvent) -> bytes:
    """The event as compact UTF-8 JSON; ``type`` and ``export_id`` come first.

    ``replaced_characters`` and ``truncated_cells`` are included only if the format can have them,
    ``retry_of`` only if the request had it, ``attempts`` only if there was more than one.
    """
    fields = event.model_dump(mode="json")
    for name in ("replaced_characters", "truncated_cells", "retry_of", "attempts"):
        if fields.get(name, 0) is None:
            del fields[name]
    head = {"type": fields.pop("type"), "export_id": fields.pop("export_id")}
    return orjson.dumps({**head, **fields})


def decode_event(value: bytes) -> TerminalEvent:
    """Read a terminal event or a manifest.

    Raises:
        ValueError: it is neither (pydantic's ``ValidationError`` is a ``ValueError`` too).
    """
    return _TERMINAL.validate_python(orjson.loads(value))


def cloud_event_headers(event: TerminalEvent) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 in Kafka's binary mode: attributes as headers, the event as the value."""
    attributes = {
        "ce_id": event.event_id,
        "ce_type": event.type,
        "ce_source": f"/sluice/{event.source.topic}",
        "ce_specversion": "1.0",
        "ce_time": format_time(event.completed_at),
        "content-type": "application/json",
    }
    return [(name, value.encode()) for name, value in attributes.items()]
