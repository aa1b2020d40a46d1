"""The completions topic: the one terminal event of each export, and its CloudEvents headers.

A manifest holds the same JSON. Invariant: the bytes of an event depend on its fields alone, so an
event that is sent again is the same event.
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

# Names the space of event ids; any constant would do, this one must never change.
_EVENT_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:sluice:export-completions")

Count = Annotated[int, Field(ge=0)]


class Source(Strict):
    """Where the request was read: it distinguishes two requests of one id."""

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
        """The ``ce_id``: the same however often the event is made again."""
        source = self.source
        name = f"{source.topic}/{source.partition}/{source.offset}/{self.export_id}"
        return str(uuid.uuid5(_EVENT_IDS, name))


class ExportCompleted(_Ended):
    """``export.completed``: the file is whole, on disk, and as described.

    From ``expires_at`` on nobody gets the file; None: it stays. ``pages`` and ``truncated_cells``
    are None but for a PDF, ``replaced_characters`` but for PDF and XML.
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
        """Whether the file is nobody's any more; it may still be there."""
        return self.expires_at is not None and now >= self.expires_at

    @property
    def compression(self) -> Compression:
        """How the file is compressed: ``location`` ends in its name's extension."""
        return compression_in(self.location, self.format)

    @property
    def extension(self) -> str:
        """What the file's name ends in, such as ``csv`` or ``csv.gz``."""
        return extension(self.format, self.compression)


class ExportFailed(_Ended):
    """``export.failed``: there is no file. ``rows`` counts batches applied whole."""

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

    ``replaced_characters`` and ``truncated_cells`` are there only where the format can have some,
    ``retry_of`` only where the request had it, ``attempts`` only where there was more than one.
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
        ValueError: it isn't one (pydantic's ``ValidationError`` is a ``ValueError`` too).
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
