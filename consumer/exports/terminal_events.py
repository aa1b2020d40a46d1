"""A request's origin, and the terminal events built from it.

Pure: times are passed in. Invariant: an event's data about its request comes only from the
request's record, so it is the same on every node. Only if the record has no usable timestamp do
``requested_at`` and ``duration_ms`` start when a node read it; a file never shows that time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

from consumer.exports.messages import Message
from schemas.codec import InvalidRequest
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed, Source
from schemas.requests import ExportRequested, is_user
from schemas.times import parse_time, recorded_time, to_millis
from schemas.vocabulary import FailReason, Format, is_export_id


class _EndFields(TypedDict):
    export_id: str
    user: str
    rows: int
    requested_at: datetime
    started_at: datetime | None
    completed_at: datetime
    duration_ms: int
    source: Source
    retry_of: str | None
    attempts: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """An export's progress: rows applied, time of the first batch, time of the end, attempts."""

    rows: int
    started_at: datetime | None
    ended_at: datetime
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """A request's identity.

    ``dated_at`` is the date a file may show: the request's own time, or its record's, or None.
    ``counts_from_ms`` is the start of its duration, in milliseconds since the epoch.
    """

    export_id: str
    format: Format | Literal["unknown"]
    user: str
    requested_at: datetime
    dated_at: datetime | None
    counts_from_ms: int
    source: Source
    retry_of: str | None = None

    def failed(self, reason: FailReason, message: str, progress: Progress) -> ExportFailed:
        """``export.failed``."""
        return ExportFailed(
            format=self.format, reason=reason, message=message, **self._ended(progress)
        )

    def cancelled(self, message: str, progress: Progress) -> ExportCancelled:
        """``export.cancelled``."""
        # Only open exports are cancelled, and their format is known.
        return ExportCancelled(format=Format(self.format), message=message, **self._ended(progress))

    def completed(  # noqa: PLR0913 - each is a field of the event
        self,
        progress: Progress,
        *,
        location: str,
        size_bytes: int,
        sha256: str,
        pages: int | None,
        replaced_characters: int | None,
        truncated_cells: int | None,
        kept_seconds: int | None,
    ) -> ExportCompleted:
        """``export.completed``; the file expires after ``kept_seconds``, or never if None."""
        return ExportCompleted(
            format=Format(self.format),
            location=location,
            bytes=size_bytes,
            sha256=sha256,
            pages=pages,
            replaced_characters=replaced_characters,
            truncated_cells=truncated_cells,
            expires_at=_later(progress.ended_at, kept_seconds),
            **self._ended(progress),
        )

    def _ended(self, progress: Progress) -> _EndFields:
        return {
            "export_id": self.export_id,
            "user": self.user,
            "rows": progress.rows,
            "requested_at": self.requested_at,
            "started_at": progress.started_at,
            "completed_at": progress.ended_at,
            # The node's clock may be behind the clock that stamped the request.
            "duration_ms": max(0, to_millis(progress.ended_at) - self.counts_from_ms),
            "source": self.source,
            "retry_of": self.retry_of,
            "attempts": progress.attempts,
        }


def origin_of(request: ExportRequested, message: Message, read_at: datetime) -> Origin:
    """The origin of a valid request, read by this node at ``read_at``."""
    return _origin(
        message,
        read_at,
        request.export_id,
        request.format,
        request.user,
        request.requested_at,
        request.retry_of,
    )


def origin_of_invalid(error: InvalidRequest, message: Message, read_at: datetime) -> Origin:
    """The origin of a request with invalid fields: its valid fields, and defaults."""
    sent = error.fields
    return _origin(
        message,
        read_at,
        error.export_id,
        known_format(sent),
        known_user(sent),
        known_time(sent),
        known_retry_of(sent),
    )


def origin_of_unread(export_id: str, message: Message, read_at: datetime) -> Origin:
    """The origin of a request that was set aside: its key is the id, the rest is unknown."""
    return _origin(message, read_at, export_id, known_format({}), known_user({}), None)


def _origin(
    message: Message,
    read_at: datetime,
    export_id: str,
    file_format: Format | Literal["unknown"],
    user: str,
    requested_at: datetime | None,
    retry_of: str | None = None,
) -> Origin:
    """Build the origin; a timestamp before ``schemas.times.EARLIEST`` counts as absent.

    Producers may set any timestamp, and Kafka writes -1 for none. Taken literally, 1000 made a
    duration of 56 years, and distorted the P95. One later than ``read_at`` is from a clock that
    runs ahead: the duration then starts at ``read_at``.
    """
    recorded_at, read_ms = recorded_time(message.timestamp), to_millis(read_at)
    dated_at = requested_at or recorded_at
    return Origin(
        export_id,
        file_format,
        user,
        dated_at or read_at,
        dated_at,
        min(message.timestamp, read_ms) if recorded_at else read_ms,
        source_of(message),
        retry_of,
    )


def _later(moment: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else moment + timedelta(seconds=seconds)


def known_format(sent: dict[str, Any]) -> Format | Literal["unknown"]:
    """The format as sent, or ``unknown`` if invalid."""
    sent_format = sent.get("format")
    if isinstance(sent_format, str) and sent_format in set(Format):
        return Format(sent_format)
    return "unknown"


def known_user(sent: dict[str, Any]) -> str:
    """The user as sent, or ``anonymous`` if invalid."""
    user = sent.get("user")
    # Not shortened: that could be another user's name, who would see the export.
    return user if isinstance(user, str) and is_user(user) else "anonymous"


def known_time(sent: dict[str, Any]) -> datetime | None:
    """The request time as sent, or None if invalid."""
    try:
        return parse_time(sent.get("requested_at"))
    except ValueError:
        return None


def known_retry_of(sent: dict[str, Any]) -> str | None:
    """The ``retry_of`` as sent, or None if invalid."""
    retry_of = sent.get("retry_of")
    return retry_of if isinstance(retry_of, str) and is_export_id(retry_of) else None


def id_in_key(message: Message) -> str | None:
    """The export id in a message's key, if it is one."""
    export_id = (message.key or b"").decode(errors="replace")
    return export_id if is_export_id(export_id) else None


def source_of(message: Message) -> Source:
    """A message's place in Kafka."""
    return Source(topic=message.topic, partition=message.partition, offset=message.offset)
