"""Points in time as the contract writes them: RFC 3339, UTC, milliseconds, ``Z``.

Inside the program a time is an aware ``datetime`` in UTC, whole milliseconds; Kafka's timestamps
are integer milliseconds since the epoch. No clock is read here.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$"
_RFC3339 = re.compile(_PATTERN)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_time(moment: datetime) -> str:
    """``2026-11-21T10:00:00.000Z``; ``moment`` is aware and in UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_time(text: object) -> datetime:
    """Read an RFC 3339 time that ends in ``Z``; digits past milliseconds are cut off.

    Raises:
        ValueError: it is not such a string; the message is fit for the sender.
    """
    if isinstance(text, datetime):
        return text
    if not isinstance(text, str) or not _RFC3339.match(text):
        raise ValueError("must be an RFC 3339 time in UTC, such as 2026-11-21T10:00:00.000Z")
    seconds, _, fraction = text[:-1].partition(".")
    moment = datetime.strptime(seconds, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return moment + timedelta(milliseconds=int((fraction + "000")[:3]))


def from_millis(milliseconds: int) -> datetime:
    """The time of a Kafka timestamp, which is in milliseconds since the epoch."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_millis(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware time."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


Timestamp = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _PATTERN}),
]
"""A model's field that holds a time of the contract."""
