"""How commands and HTTP name and show dead letters.

Pure. Invariant: the output is valid text, whatever bytes a letter holds.
"""

import re
from typing import Any

from producer.dead_letters.records import DeadLetterRecord, Place
from schemas.times import format_time, from_millis, parse_time, to_millis

_PLACE = re.compile("([0-9]{1,9}):([0-9]{1,18})")


def parse_place(text: str) -> Place:
    """The place that ``PARTITION:OFFSET`` names.

    Raises:
        ValueError: it is of another form.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is not of the form PARTITION:OFFSET")
    return int(match[1]), int(match[2])


def parse_millis(time: str) -> int:
    """Milliseconds since the epoch of a time of the contract's form.

    Raises:
        ValueError: it is of another form.
    """
    return to_millis(parse_time(time))


def shown_place(place: Place) -> str:
    """``3:17``."""
    return f"{place[0]}:{place[1]}"


def target_of(letter: DeadLetterRecord) -> str:
    """The topic and partition it came from and would return to; empty if unknown."""
    return f"{letter.source.topic} {letter.source.partition}" if letter.source else ""


def letter_fields(letter: DeadLetterRecord, most_characters: int | None = None) -> dict[str, Any]:
    """A letter for JSON; each text is cut where it is longer than ``most_characters``."""
    partition, offset = letter.place

    def text(content: bytes | None) -> str | None:
        if content is None:
            return None
        # Cut before decoding too, because a value may be large.
        return content[:most_characters].decode(errors="backslashreplace")[:most_characters]

    return {
        "partition": partition,
        "offset": offset,
        "reason": letter.reason,
        "source": letter.source and letter.source.model_dump(),
        "time": format_time(from_millis(letter.timestamp)),
        "key": text(letter.key),
        "bytes": None if letter.value is None else len(letter.value),
        "truncated": letter.truncated,
        "headers": [[name, text(content)] for name, content in letter.headers],
        "value": text(letter.value),
    }
