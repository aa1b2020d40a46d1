"""What ``POST /export/run`` asks for, from a JSON body or from query parameters. Pure.

Invariant: a refusal names every field that is wrong, and nothing that was sent is ignored.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from producer.seed import new_export_id
from schemas import exact_json
from schemas.codec import encode_request
from schemas.errors import FieldError, field_errors
from schemas.records import Row
from schemas.requests import ExportRequested
from sluice.http.problems import wrong_fields
from sluice.http.rows import RowCheck

MOST_WAIT_SECONDS = 3_600
_MOST_REQUEST_BYTES = 1_000_000
"""A request is one message, and by default brokers take one of 1,048,588 bytes."""
_FIELDS = ("export_id", "format", "columns", "title", "user", "priority", "options")
_UNKNOWN = "is not a field of the contract"


@dataclass(frozen=True, slots=True)
class Submission:
    """A valid request. ``is_named``: its id was given, so it may have been given before."""

    request: ExportRequested
    is_named: bool

    @property
    def check(self) -> RowCheck:
        """What its rows have to be."""
        return RowCheck(column.key for column in self.request.columns)


def parse_json(body: bytes, asker: str | None) -> tuple[Submission, list[Row]]:
    """A JSON body, and its rows.

    ``asker`` is the token's user. Of a key that appears twice, the last one counts.

    Raises:
        Refusal: 400, it names each wrong field; rows by their index, from 0.
    """
    fields = _object(body)
    rows: Any = fields.pop("data", _MISSING)
    submission, errors = _submission(fields, asker)
    errors += _wrong_rows(rows, RowCheck(_keys(fields, errors)), len(body))
    if submission is None or errors:
        raise wrong_fields(errors)
    return submission, rows


def parse_query(fields: Mapping[str, str], asker: str | None) -> Submission:
    """The query parameters that stand beside an NDJSON body.

    ``columns`` are keys by commas, quoted as in CSV, or a JSON array as in a JSON body;
    ``options`` is a JSON object.

    Raises:
        Refusal: 400, it names each wrong field.
    """
    given: dict[str, Any] = dict(fields)
    errors: list[FieldError] = []
    for name, parse in (("columns", _columns), ("options", exact_json.loads), ("priority", _count)):
        if name in given:
            try:
                given[name] = parse(given[name].encode())
            except (ValueError, csv.Error) as error:
                errors.append(FieldError(name, _malformed(error)))
    wrong = {error.field for error in errors}
    submission, further = _submission(given, asker)
    errors += [error for error in further if error.field.partition(".")[0] not in wrong]
    if submission is None or errors:
        raise wrong_fields(errors)
    return submission


def query_fields(query: bytes) -> dict[str, str]:
    """The query parameters.

    Raises:
        Refusal: 400, one is given twice, or isn't UTF-8.
    """
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise wrong_fields([FieldError("", "the query is not UTF-8")]) from None
    times = Counter(name for name, _ in pairs)
    if errors := [FieldError(name, "is given twice") for name in times if times[name] > 1]:
        raise wrong_fields(errors)
    return dict(pairs)


def wait_seconds(fields: dict[str, str]) -> float:
    """How long an answer may wait for the export's end; ``wait`` is taken out of ``fields``.

    Raises:
        Refusal: 400, it is no number of seconds from 0 to 3,600.
    """
    text = fields.pop("wait", "0")
    seconds = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else None
    if seconds is None or seconds > MOST_WAIT_SECONDS:
        message = f"must be a number of seconds from 0 to {MOST_WAIT_SECONDS:,}"
        raise wrong_fields([FieldError("wait", message)])
    return seconds


def unknown_parameters(fields: Mapping[str, str]) -> list[FieldError]:
    """What is wrong with query parameters that stand beside a JSON body, which has all fields."""
    return [
        FieldError(name, "belongs in the JSON body" if name in (*_FIELDS, "data") else _UNKNOWN)
        for name in fields
    ]


_MISSING = object()


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = exact_json.loads(body)
    except ValueError as error:
        raise wrong_fields([FieldError("", _malformed(error))]) from None
    if not isinstance(fields, dict):
        raise wrong_fields([FieldError("", "the body must be a JSON object")])
    return fields


def _submission(
    fields: dict[str, Any], asker: str | None
) -> tuple[Submission | None, list[FieldError]]:
    errors = [FieldError(name, _UNKNOWN) for name in fields if name not in _FIELDS]
    given = {name: fields[name] for name in _FIELDS if name in fields}
    if asker is not None:
        if given.get("user", asker) != asker:
            errors.append(FieldError("user", "must be the user of the token, or left out"))
        given["user"] = asker
    is_named = "export_id" in given
    given.setdefault("export_id", new_export_id("http"))
    try:
        request = ExportRequested.model_validate(given)
    except ValidationError as error:
        return None, [*errors, *field_errors(error)]
    if (size := len(encode_request(request))) > _MOST_REQUEST_BYTES:
        text = f"all fields but data take {size:,} bytes: at most {_MOST_REQUEST_BYTES:,} are sent"
        errors.append(FieldError("", text))
    return Submission(request, is_named), errors


def _keys(fields: dict[str, Any], errors: list[FieldError]) -> list[str] | None:
    """Column keys, of a request that is perhaps wrong in other ways; None if they are wrong."""
    if any(error.field.partition(".")[0] == "columns" for error in errors):
        return None
    return [column if isinstance(column, str) else column["key"] for column in fields["columns"]]


def _wrong_rows(rows: object, check: RowCheck, text_bytes: int) -> list[FieldError]:
    if rows is _MISSING:
        return [FieldError("data", "is missing")]
    if not isinstance(rows, list):
        return [FieldError("data", "must be an array")]
    findings = ((number, check.finding(row, text_bytes)) for number, row in enumerate(rows))
    return [FieldError(f"data.{number}", finding) for number, finding in findings if finding]


def _columns(text: bytes) -> Any:  # noqa: ANN401 - any JSON value; the request's model looks at it
    if text.lstrip().startswith(b"["):
        return exact_json.loads(text)
    return next(csv.reader([text.decode()], skipinitialspace=True, strict=True))


def _count(text: bytes) -> object:
    return int(text) if re.fullmatch(rb"-?[0-9]{1,18}", text) else text.decode()


def _malformed(error: Exception) -> str:
    if isinstance(error, csv.Error):
        return f"must be keys divided by commas, or a JSON array: {error}"
    return f"malformed JSON: {error}"
