"""Bytes of the requests topic to events, and events to bytes.

Says what is unreadable (a dead letter) and what is invalid (an export that fails). No I/O.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import orjson
from pydantic import ValidationError

from schemas.errors import FieldError, Invalid, Unreadable, field_errors, shown, summary
from schemas.json_pieces import MOST_MEMBER_BYTES, MOST_MEMBER_VALUES, UNBUILT
from schemas.records import Crowded, decode_object, export_id_of
from schemas.requests import CancelRequested, ExportRequested
from schemas.vocabulary import DeadLetterReason

Request: TypeAlias = ExportRequested | CancelRequested


class InvalidRequest(Invalid):
    """A request with a valid id and wrong fields; ``fields`` is what was sent."""

    def __init__(
        self, export_id: str, errors: Iterable[FieldError], fields: dict[str, Any]
    ) -> None:
        super().__init__(export_id, errors)
        self.fields = fields


def decode_request(value: bytes | None) -> Request:
    """Read a record of the requests topic.

    Raises:
        Unreadable: null, not JSON, of an unknown type, without a valid id, or a cancellation
            with further fields: a dead letter.
        InvalidRequest: the request of a valid id has wrong fields; it names each.
    """
    fields = _fields(value)
    match fields.get("type"):
        case "export.requested":
            export_id = export_id_of(fields)
            if errors := [*_unbuilt(fields)]:
                raise InvalidRequest(export_id, errors, fields)
            try:
                return ExportRequested.model_validate(fields)
            except ValidationError as error:
                raise InvalidRequest(export_id, field_errors(error), fields) from None
        case "export.cancel_requested":
            export_id_of(fields)
            try:
                return CancelRequested.model_validate(fields)
            except ValidationError as error:
                wrong = summary(field_errors(error))
                raise Unreadable(DeadLetterReason.UNREADABLE, wrong) from None
        case other:
            raise Unreadable(DeadLetterReason.UNKNOWN_TYPE, f"type: {shown(other)} is unknown")


def _fields(value: bytes | None) -> dict[str, Any]:
    try:
        return decode_object(value)
    except Crowded as error:
        if error.fields.get("type") == "export.requested":
            raise InvalidRequest(error.export_id, error.errors, error.fields) from None
        raise Unreadable(DeadLetterReason.UNREADABLE, str(error)) from None


def _unbuilt(fields: dict[str, Any]) -> Iterator[FieldError]:
    for name, field in fields.items():
        if field is UNBUILT:
            yield FieldError(
                name,
                f"makes the request hold more than {MOST_MEMBER_VALUES:,} values"
                f" or {MOST_MEMBER_BYTES:,} bytes",
            )


def encode_request(request: Request) -> bytes:
    """The request as compact UTF-8 JSON, without fields that were left out."""
    return orjson.dumps(request.model_dump(mode="json", exclude_none=True))
