"""Errors of decoding, grouped by what happens to the message.

SchemaError
├── Unreadable        nothing ties the message to an export -> dead letter
│   └── TooLarge      and an export that its key names fails by its own reason
└── Invalid           the export is known, the message is wrong -> that export fails
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from schemas.vocabulary import EXPORT_ID, EXPORT_ID_IN_WORDS, DeadLetterReason


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: its path, such as ``columns.2.key``, and what is wrong, in words."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class SchemaError(ValueError):
    """A message that breaks the contract."""


class Unreadable(SchemaError):  # noqa: N818 - it names the message, as its dead letter does
    """A message that belongs to no export."""

    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooLarge(Unreadable):
    """A message too large to be read; ``export_id`` is the one found at its beginning, if any."""

    def __init__(self, reason: DeadLetterReason, message: str, export_id: str | None) -> None:
        super().__init__(reason, message)
        self.export_id = export_id


class Invalid(SchemaError):  # noqa: N818 - as above
    """A message of a known export, with one or more invalid fields.

    ``errors`` has them all; the text has a limit, because it goes into the terminal event.
    """

    def __init__(self, export_id: str, errors: Iterable[FieldError]) -> None:
        self.export_id = export_id
        self.errors = tuple(errors)
        super().__init__(summary(self.errors))


def summary(errors: Sequence[FieldError]) -> str:
    """The findings in one line of at most a few thousand characters."""
    words = [f"{error!s:.200}" for error in errors[:_MOST_IN_SUMMARY]]
    if len(errors) > _MOST_IN_SUMMARY:
        words.append(f"and {len(errors) - _MOST_IN_SUMMARY} more")
    return "; ".join(words)


def shown(value: object) -> str:
    """A value shown in a message: short, and no deeper than its outermost brackets."""
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    return repr(value[:80]) if isinstance(value, str) else f"{value!r:.80}"


def field_errors(error: ValidationError) -> list[FieldError]:
    """Pydantic's findings in the contract's words, one per wrong field."""
    findings = error.errors(include_url=False, include_context=False, include_input=False)
    above = {finding["loc"][:depth] for finding in findings for depth in range(len(finding["loc"]))}
    return [
        FieldError(".".join(map(str, finding["loc"])), _in_words(finding["type"], finding["msg"]))
        for finding in findings
        if not _follows_from_another(finding["type"], finding["loc"], above)
    ]


_MOST_IN_SUMMARY = 20

_WORDS = {
    "extra_forbidden": "is not a field of the contract",
    "missing": "is missing",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be an array",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "float_type": "must be a number",
}
_SUBJECT = re.compile(r"^(Input|String|Tuple) should ")
_INSIDE = re.compile(r" after validation, not (more than )?\d+$")  # what only pydantic knows


def _in_words(kind: str, message: str) -> str:
    if kind == "string_pattern_mismatch" and EXPORT_ID in message:
        return f"must be {EXPORT_ID_IN_WORDS}"
    sentence = _INSIDE.sub("", message.removeprefix("Value error, "))
    return _WORDS.get(kind) or _SUBJECT.sub("must ", sentence)


def _follows_from_another(
    kind: str, location: tuple[int | str, ...], above: set[tuple[int | str, ...]]
) -> bool:
    """Whether a finding only follows from another; ``above`` are paths that contain findings.

    A list whose only items are invalid is also "too short", and the default of ``options`` can't be
    built if any other field is invalid.
    """
    return kind == "default_factory_not_called" or (kind == "too_short" and location in above)
