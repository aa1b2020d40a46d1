"""Bytes of the requests topic to events, and events to bytes.

Distinguishes unreadable messages (dead letters) from invalid ones (failed exports). No I/O.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

import orjson
from pydantic import ValidationError

from schemas.errors import FieldError, Invalid, Unreadable, field_errors, shown, summary
from schemas.json_pieces import PIECE_BYTES, first_members
from schemas.json_text import holds_more
from schemas.limits import LARGE_BYTES, MOST_REQUEST_VALUES
from schemas.records import decode_object, export_id_of
from schemas.requests import CancelRequested, ExportRequested
from schemas.unread_value import UnreadValue, too_large
from schemas.vocabulary import DeadLetterReason, is_export_id

Request: TypeAlias = ExportRequested | CancelRequested


class InvalidRequest(Invalid):
    """A request with a valid id and invalid fields; ``fields`` is what was sent."""

    def __init__(
        self, export_id: str, errors: Iterable[FieldError], fields: dict[str, Any]
    ) -> None:
        super().__init__(export_id, errors)
        self.fields = fields


def decode_request(value: bytes | None, key: bytes | None = None) -> Request:
    """Read a record of the requests topic.

    The key replaces an id that may lie beyond the part that is read; see ``request_fields``.

    Raises:
        Unreadable: null, not JSON, of an unknown type, without a valid id, or a cancellation
            with further fields: a dead letter.
        InvalidRequest: the id is valid but other fields are not; the error names each.
    """
    fields, excess = request_fields(value, key)
    match fields.get("type"):
        case "export.requested":
            export_id = export_id_of(fields)
            if excess:
                raise InvalidRequest(export_id, [FieldError("", excess)], fields)
            try:
                return ExportRequested.model_validate(fields)
            except ValidationError as error:
                raise InvalidRequest(export_id, field_errors(error), fields) from None
        case "export.cancel_requested":
            # Called for its error: without a valid id there is nothing to cancel.
            export_id_of(fields)
            try:
                return CancelRequested.model_validate(fields)
            except ValidationError as error:
                wrong = summary(field_errors(error))
                raise Unreadable(DeadLetterReason.UNREADABLE, wrong) from None
        case other:
            raise Unreadable(DeadLetterReason.UNKNOWN_TYPE, f"type: {shown(other)} is unknown")


def request_fields(
    value: bytes | None, key: bytes | None = None
) -> tuple[dict[str, Any], str | None]:
    """The unchecked fields of a record of the requests topic; always fast.

    Also returns which limit the record exceeds, if any: then the fields still open an export if the
    id is valid. For a value that is held, these are all but the costly fields; for a larger one,
    those at its beginning, and its key is the id unless these fields have another.

    Raises:
        Unreadable: it opens no export: a dead letter.
    """
    excess = request_excess(value)
    if value is None or excess is None:
        return decode_object(value), None
    fields = _fields_at_least(value, key)
    if fields.get("type") == "export.requested" and is_export_id(fields.get("export_id")):
        return fields, excess
    raise Unreadable(DeadLetterReason.UNREADABLE, excess)


def _fields_at_least(value: bytes, key: bytes | None) -> dict[str, Any]:
    is_held = not isinstance(value, UnreadValue) and len(value) <= LARGE_BYTES
    text = value if is_held else value[:PIECE_BYTES]
    fields, may_go_on = first_members(text, is_whole=is_held)
    if not may_go_on:
        return fields
    id_in_key = (key or b"").decode(errors="replace")
    return {"type": "export.requested", "export_id": id_in_key, **fields}


def request_excess(value: bytes | None) -> str | None:
    """Which limit a request's text exceeds, in words; None if it exceeds none."""
    if isinstance(value, UnreadValue):
        return value.why
    size = len(value or b"")
    if size > LARGE_BYTES:
        return too_large(size, LARGE_BYTES).why
    if value and holds_more(value, MOST_REQUEST_VALUES):
        return f"holds more than {MOST_REQUEST_VALUES:,} JSON values"
    return None


def encode_request(request: Request) -> bytes:
    """The request as compact UTF-8 JSON, without unset fields."""
    return orjson.dumps(request.model_dump(mode="json", exclude_none=True))
