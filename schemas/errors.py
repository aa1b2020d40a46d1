"""What decoding can refuse. Two kinds, by what becomes of the message.

SchemaError
├── Unreadable        nothing ties the message to an export -> dead letter
└── Invalid           the export is known, the message is wrong -> that export fails
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.vocabulary import DeadLetterReason


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
    """A message that can't be tied to an export."""

    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Invalid(SchemaError):  # noqa: N818 - as above
    """A message of a known export with one or more wrong fields."""

    def __init__(self, export_id: str, errors: Iterable[FieldError]) -> None:
        self.export_id = export_id
        self.errors = tuple(errors)
        super().__init__("; ".join(map(str, self.errors)))


def field_errors(error: ValidationError) -> list[FieldError]:
    """Pydantic's findings in the contract's words, one per wrong field."""
    findings = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        FieldError(".".join(map(str, finding["loc"])), _in_words(finding["type"], finding["msg"]))
        for finding in findings
        if not _follows_from_another(finding["type"], finding["loc"], findings)
    ]


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


def _in_words(kind: str, message: str) -> str:
    return _WORDS.get(kind) or message.removeprefix("Value error, ").replace("Input should", "must")


def _follows_from_another(
    kind: str, location: tuple[int | str, ...], findings: list[ErrorDetails]
) -> bool:
    """A list is "too short" too when its only items are wrong: that is no finding of its own."""
    return kind == "too_short" and any(
        len(other["loc"]) > len(location) and other["loc"][: len(location)] == location
        for other in findings
    )
