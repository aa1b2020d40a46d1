"""Parses the request of ``POST /export/run``, from a JSON body or from query parameters. Pure.

Invariant: a refusal names every invalid field, and no input is silently ignored.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qsl

from pydantic import ValidationError

from producer.seed.scenarios import new_export_id
from schemas import exact_json
from schemas.codec import encode_request
from schemas.errors import FieldError, field_errors
from schemas.json_pieces import PIECE_BYTES, UNBUILT, TooManyValues, divide
from schemas.records import Row
from schemas.requests import Column, ExportRequested
from sluice.http.problems import MOST_ERRORS, wrong_fields
from sluice.http.query_values import GIVEN_AGAIN
from sluice.http.rows import ROW_TEXT_BYTES, RowCheck
from sluice.http.stopping import node_stops

MOST_WAIT_SECONDS = 3_600
_MOST_REQUEST_BYTES = 1_000_000
"""A request is one message with key and headers, and by default brokers take 1,048,588 bytes."""
_FIELDS = (
    "export_id",
    "format",
    "columns",
    "title",
    "user",
    "priority",
    "expires_in_seconds",
    "options",
)
_UNKNOWN = "is not a field of the contract"
_REFUSE, _IGNORE = _EXTRA = ("refuse", "ignore")


@dataclass(frozen=True, slots=True)
class Submission:
    """A valid request. ``is_named``: the client chose the id, so it may be a repeat.

    ``ignores_extra``: objects may have keys that are no columns; these are left out.
    """

    request: ExportRequested
    is_named: bool
    ignores_extra: bool = False

    @property
    def check(self) -> RowCheck:
        """The checker for its rows."""
        return RowCheck(self.request.columns)


Pieces: TypeAlias = Callable[[], Iterator[list[Row]]]
"""The rows of a valid body, in pieces of bounded memory; each call starts at the beginning."""


class Body(Protocol):
    """A body that has come whole; its text may wait on disk."""

    @property
    def on_disk(self) -> bool:
        """Whether it is there."""

    def text(self) -> bytes:
        """All of it."""

    def read(self, start: int, end: int) -> bytes:
        """Its bytes between two positions; only if it is on disk."""


def parse_json(
    body: Body, given_up: Callable[[], bool], *, asker: str | None
) -> tuple[Submission, Pieces]:
    """Parse a JSON body and its rows.

    A large one is in memory as a whole only as text, and only until it is divided: then its rows
    are read from the disk, to be checked and whenever ``Pieces`` is called.

    ``asker`` is the token's user. Of a key that appears twice, the last one counts. Ends early once
    nobody waits for the answer.

    Raises:
        Refusal: 400, it names each wrong field, up to a bound, and counts the others; rows by
            their index, from 0. 503, the disk doesn't give the body back.
    """
    fields, rows = _divided(body)
    unbuilt = [name for name, value in fields.items() if value is UNBUILT]
    submission, errors = _submission(
        {name: value for name, value in fields.items() if value is not UNBUILT}, asker
    )
    # If left out, the model would report them as missing, which isn't the error.
    errors = [error for error in errors if error.field not in unbuilt]
    errors += [FieldError(name, "is too large") for name in unbuilt]
    if isinstance(rows, FieldError):
        raise wrong_fields([*errors, rows])
    check = RowCheck(_columns_of(fields, errors))
    unnamed = _check_rows(rows, check, errors, given_up)
    if submission is None or errors:
        raise wrong_fields(errors, unnamed)
    return submission, rows


def parse_query(fields: Mapping[str, str], asker: str | None) -> Submission:
    """The query parameters that stand beside an NDJSON body.

    ``columns`` are keys by commas, quoted as in CSV, or a JSON array as in a JSON body;
    ``options`` is a JSON object, ``extra`` what becomes of keys that are no columns.

    Raises:
        Refusal: 400, it names each wrong field.
    """
    given: dict[str, Any] = dict(fields)
    errors: list[FieldError] = []
    extra = given.pop("extra", _REFUSE)
    if extra not in _EXTRA:
        errors.append(FieldError("extra", f"must be {' or '.join(_EXTRA)}"))
    for name, parse in _PARSERS.items():
        if name in given:
            try:
                given[name] = parse(given[name].encode())
            except (ValueError, csv.Error) as error:
                errors.append(FieldError(name, _malformed(error)))
    wrong = {error.field for error in errors}
    submission, further = _submission(given, asker)
    # Name an unparsable field once, not again for errors that follow from it.
    errors += [error for error in further if error.field.partition(".")[0] not in wrong]
    if submission is None or errors:
        raise wrong_fields(errors)
    return replace(submission, ignores_extra=extra == _IGNORE)


def query_fields(query: bytes) -> dict[str, str]:
    """The query parameters.

    Raises:
        Refusal: 400, one is given more than once, or isn't UTF-8.
    """
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise wrong_fields([FieldError("", "the query is not UTF-8")]) from None
    times = Counter(name for name, _ in pairs)
    if errors := [FieldError(name, GIVEN_AGAIN) for name in times if times[name] > 1]:
        raise wrong_fields(errors)
    return dict(pairs)


def wait_seconds(fields: dict[str, str]) -> float:
    """How long to wait for the export's end; removes ``wait`` from ``fields``.

    Raises:
        Refusal: 400, it is no number of seconds from 0 to 3,600.
    """
    text = fields.pop("wait", "0")
    # ``float`` alone would take ``nan``, ``inf`` and ``1_0``.
    seconds = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else None
    if seconds is None or seconds > MOST_WAIT_SECONDS:
        message = f"must be a number of seconds from 0 to {MOST_WAIT_SECONDS:,}"
        raise wrong_fields([FieldError("wait", message)])
    return seconds


def unknown_parameters(fields: Mapping[str, str]) -> list[FieldError]:
    """Errors for query parameters beside a JSON body, which has all fields itself."""
    return [
        FieldError(name, "belongs in the JSON body" if name in (*_FIELDS, "data") else _UNKNOWN)
        for name in fields
    ]


def _divided(body: Body) -> tuple[dict[str, Any], Pieces | FieldError]:
    """The fields without ``data``, and its elements or what is wrong with it."""
    text = body.text()
    try:
        if len(text) <= PIECE_BYTES:
            return _small(exact_json.loads(text))
        divided = divide(text, "data")
    except ValueError as error:
        raise wrong_fields([FieldError("", _malformed(error))]) from None
    if body.on_disk:
        divided.read_by(body.read)
    fields = divided.others
    if divided.has_array:
        return fields, lambda: divided.pieces(ROW_TEXT_BYTES)
    return _small(fields)


def _small(fields: Any) -> tuple[dict[str, Any], Pieces | FieldError]:  # noqa: ANN401 - any JSON value
    if not isinstance(fields, dict):
        raise wrong_fields([FieldError("", "the body must be a JSON object")])
    if "data" not in fields:
        return fields, FieldError("data", "is missing")
    rows = fields.pop("data")
    if isinstance(rows, list):
        return fields, lambda: iter([rows])
    return fields, FieldError("data", "must be an array")


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
    encoded = encode_request(request)
    if (size := len(encoded)) > _MOST_REQUEST_BYTES:
        text = f"all fields but data take {size:,} bytes: at most {_MOST_REQUEST_BYTES:,} are sent"
        errors.append(FieldError("", text))
    return Submission(request, is_named), errors


def _columns_of(fields: dict[str, Any], errors: list[FieldError]) -> list[Column] | None:
    """The columns of a request that may be invalid otherwise; None if they are invalid."""
    if any(error.field.partition(".")[0] == "columns" for error in errors):
        return None
    return [*map(Column.model_validate, fields["columns"])]


def _check_rows(
    pieces: Pieces, check: RowCheck, errors: list[FieldError], given_up: Callable[[], bool]
) -> int:
    """Add invalid rows to ``errors``, up to a limit; return how many more are invalid."""
    number = unnamed = 0
    try:
        for rows in pieces():
            if given_up():
                raise node_stops()
            # Only a row alone in its piece can be longer than a piece.
            text_bytes = PIECE_BYTES if len(rows) > 1 else ROW_TEXT_BYTES
            wrong = check.count_wrong(rows, text_bytes)
            if wrong and len(errors) < MOST_ERRORS:
                found = check.findings(rows, text_bytes)
                named = list(islice(found, MOST_ERRORS - len(errors)))
                errors += [FieldError(f"data.{number + index}", why) for index, why in named]
                wrong -= len(named)
            unnamed += wrong
            number += len(rows)
    except ValueError as error:
        raise wrong_fields([FieldError("", _malformed(error))]) from None
    return unnamed


def _columns(text: bytes) -> Any:  # noqa: ANN401 - any JSON value; the request's model looks at it
    if text.lstrip().startswith(b"["):
        return exact_json.loads(text)
    return next(csv.reader([text.decode()], skipinitialspace=True, strict=True))


def _count(text: bytes) -> object:
    return int(text) if re.fullmatch(rb"-?[0-9]{1,18}", text) else text.decode()


def _malformed(error: Exception) -> str:
    if isinstance(error, csv.Error):
        return f"must be keys divided by commas, or a JSON array: {error}"
    return str(error) if isinstance(error, TooManyValues) else f"malformed JSON: {error}"


_PARSERS: dict[str, Callable[[bytes], object]] = {
    "columns": _columns,
    "options": exact_json.loads,
    "priority": _count,
    "expires_in_seconds": _count,
}
"""Parsers of query parameters that aren't text."""
