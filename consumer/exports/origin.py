"""Where a request came from, and the terminal events that can be made of it.

Pure: times are given. Invariant: what an event says of its request comes from the request's record
alone, so it is the same whoever makes it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict

from consumer.exports.messages import Message
from schemas.codec import InvalidRequest
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed, Source
from schemas.requests import MOST_USER_CHARACTERS, ExportRequested
from schemas.times import from_millis, parse_time, to_millis
from schemas.vocabulary import FailReason, Format


class _Ended(TypedDict):
    export_id: str
    user: str
    rows: int
    requested_at: datetime
    started_at: datetime | None
    completed_at: datetime
    duration_ms: int
    source: Source


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an export came: rows applied, when the first was, and when it ended."""

    rows: int
    started_at: datetime | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Origin:
    """A request's identity. ``recorded_ms`` is its record's Kafka timestamp."""

    export_id: str
    format: Format | Literal["unknown"]
    user: str
    requested_at: datetime
    recorded_ms: int
    source: Source

    def failed(self, reason: FailReason, message: str, progress: Progress) -> ExportFailed:
        """``export.failed``."""
        return ExportFailed(
            format=self.format, reason=reason, message=message, **self._ended(progress)
        )

    def cancelled(self, message: str, progress: Progress) -> ExportCancelled:
        """``export.cancelled``."""
        return ExportCancelled(format=Format(self.format), message=message, **self._ended(progress))

    def completed(
        self,
        progress: Progress,
        *,
        location: str,
        size_bytes: int,
        sha256: str,
        pages: int | None,
        replaced_characters: int | None,
    ) -> ExportCompleted:
        """``export.completed``."""
        return ExportCompleted(
            format=Format(self.format),
            location=location,
            bytes=size_bytes,
            sha256=sha256,
            pages=pages,
            replaced_characters=replaced_characters,
            **self._ended(progress),
        )

    def _ended(self, progress: Progress) -> _Ended:
        return {
            "export_id": self.export_id,
            "user": self.user,
            "rows": progress.rows,
            "requested_at": self.requested_at,
            "started_at": progress.started_at,
            "completed_at": progress.ended_at,
            "duration_ms": max(0, to_millis(progress.ended_at) - self.recorded_ms),
            "source": self.source,
        }


def origin_of(request: ExportRequested, message: Message) -> Origin:
    """The origin of a valid request."""
    return Origin(
        request.export_id,
        request.format,
        request.user,
        request.requested_at or from_millis(message.timestamp),
        message.timestamp,
        _source(message),
    )


def origin_of_invalid(error: InvalidRequest, message: Message) -> Origin:
    """The origin of a request with wrong fields: those that are right, and defaults."""
    sent = error.fields
    return Origin(
        error.export_id,
        known_format(sent),
        known_user(sent),
        _time(sent.get("requested_at")) or from_millis(message.timestamp),
        message.timestamp,
        _source(message),
    )


def known_format(sent: dict[str, Any]) -> Format | Literal["unknown"]:
    """The format that was sent, or ``unknown`` where there is no such one."""
    sent_format = sent.get("format")
    if isinstance(sent_format, str) and sent_format in set(Format):
        return Format(sent_format)
    return "unknown"


def known_user(sent: dict[str, Any]) -> str:
    """The user that was sent, or ``anonymous`` where there is no such one."""
    user = sent.get("user")
    return user[:MOST_USER_CHARACTERS] if isinstance(user, str) and user else "anonymous"


def _time(sent: object) -> datetime | None:
    try:
        return parse_time(sent)
    except ValueError:
        return None


def _source(message: Message) -> Source:
    return Source(topic=message.topic, partition=message.partition, offset=message.offset)
