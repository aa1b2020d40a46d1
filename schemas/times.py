"""Points in time as the contract writes them: RFC 3339, UTC, milliseconds, ``Z``.

Inside the program a time is an aware ``datetime`` in UTC, whole milliseconds; Kafka's timestamps
are integer milliseconds since the epoch. No clock is read here.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

# The hour is spelt out because later Pythons accept 24 as midnight, which RFC 3339 does not.
_PATTERN = "[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z"
_RFC3339 = re.compile(_PATTERN)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
"""Kafka's records have had timestamps since 2016: an earlier one counts as absent."""
_LAST = datetime.max.replace(tzinfo=UTC, microsecond=999_000)
_MILLISECOND = timedelta(milliseconds=1)


def format_time(moment: datetime) -> str:
    """``2026-11-21T10:00:00.000Z``; ``moment`` is aware and in UTC."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_time(text: object) -> datetime:
    """Read an RFC 3339 time that ends in ``Z``; digits past milliseconds are cut off.

    An aware ``datetime``, from this program itself, is converted to UTC and milliseconds.

    Raises:
        ValueError: it is not such a string; the message is fit for the sender.
    """
    if isinstance(text, datetime):
        return _in_milliseconds(text)
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time in UTC, such as 2026-11-21T10:00:00.000Z")
    return _in_milliseconds(datetime.fromisoformat(text))


def _in_milliseconds(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("must have a time zone")
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)


def from_millis(milliseconds: int) -> datetime:
    """The time of a Kafka timestamp, which is in milliseconds since the epoch.

    A producer may write any 64-bit number; one beyond the year 9999 becomes its end, one before the
    epoch (-1: not set) the epoch.
    """
    return of_millis(min(max(milliseconds, 0), to_millis(_LAST)))


def of_millis(milliseconds: int) -> datetime:
    """The reverse of ``to_millis``."""
    return _EPOCH + milliseconds * _MILLISECOND


def recorded_time(timestamp_ms: int) -> datetime | None:
    """The time of a Kafka timestamp; None if it is too early to be one."""
    return from_millis(timestamp_ms) if timestamp_ms >= to_millis(EARLIEST) else None


def to_millis(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware time."""
    return (moment - _EPOCH) // _MILLISECOND


Timestamp = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": f"^{_PATTERN}$"}),
]
"""A model's field that holds a time of the contract."""
