import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import exact_json
from schemas.build.generate import schemas
from schemas.codec import InvalidRequest, decode_request, encode_request
from schemas.completions import (
    ExportCancelled,
    ExportCompleted,
    ExportFailed,
    Source,
    TerminalEvent,
    decode_event,
    encode_event,
)
from schemas.errors import Invalid, SchemaError
from schemas.formulas import is_formula
from schemas.options import CsvOptions, JsonOptions, Options, PdfOptions, XlsxOptions, XmlOptions
from schemas.records import Batch, decode_batch, encode_batch
from schemas.requests import Column, ExportRequested, is_user
from schemas.sheets import is_sheet_name
from schemas.times import format_time, from_millis, parse_time, to_millis
from schemas.vocabulary import EXPORT_ID, Compression, FailReason, Format, is_export_id
from tests.support.json_schema import is_valid
from tests.support.samples import BATCH, REQUEST
from tests.support.strategies import cells, texts

Decoded = TypeVar("Decoded")
SCHEMAS = schemas()
ids = st.from_regex(EXPORT_ID.replace("127", "20"), fullmatch=True)
moments = st.datetimes(timezones=st.just(UTC)).map(parse_time)
counts = st.integers(0, 2**63 - 1)
delimiters = st.characters(codec="utf-8", exclude_characters='".\r\n')
compressions = st.sampled_from(Compression)
json_options = st.builds(JsonOptions, compression=compressions)
options: dict[Format, st.SearchStrategy[Options]] = {
    Format.CSV: st.builds(
        CsvOptions,
        delimiter=delimiters,
        null=texts.filter(lambda text: not is_formula(text)),
        bom=st.booleans(),
        compression=compressions,
    ),
    Format.PDF: st.builds(PdfOptions, records_per_page=st.integers(1, 1_000)),
    Format.XLSX: st.builds(XlsxOptions, header=st.booleans(), sheet=texts.filter(is_sheet_name)),
    Format.NDJSON: json_options,
    Format.JSON: json_options,
    Format.XML: st.builds(
        XmlOptions, row=st.sampled_from(["row", "größe"]), compression=compressions
    ),
}
columns = st.lists(
    st.builds(Column, key=texts, header=texts, width=st.none() | st.floats(0.5, 1_000)),
    min_size=1,
    max_size=4,
    unique_by=lambda column: column.key,
).map(tuple)


@st.composite
def requests(draw: st.DrawFn) -> ExportRequested:
    file_format = draw(st.sampled_from(Format))
    return ExportRequested(
        export_id=draw(ids),
        format=file_format,
        columns=draw(columns),
        title=draw(st.none() | texts),
        user=draw(texts.filter(is_user)),
        priority=draw(st.integers(0, 9)),
        requested_at=draw(st.none() | moments),
        options=draw(options[file_format]),
    )


ended: dict[str, st.SearchStrategy[Any]] = {
    "export_id": ids,
    "user": texts,
    "rows": counts,
    "requested_at": moments,
    "started_at": st.none() | moments,
    "completed_at": moments,
    "duration_ms": counts,
    "source": st.builds(Source, topic=texts, partition=counts, offset=counts),
}
formats = st.sampled_from(Format)
events: st.SearchStrategy[TerminalEvent] = st.one_of(
    st.builds(
        ExportCompleted,
        **ended,
        format=formats,
        location=texts,
        bytes=counts,
        pages=st.none() | counts,
        sha256=st.from_regex("[0-9a-f]{64}", fullmatch=True),
        replaced_characters=st.none() | counts,
    ),
    st.builds(
        ExportFailed,
        **ended,
        format=formats | st.just("unknown"),
        reason=st.sampled_from(FailReason),
        message=texts,
    ),
    st.builds(ExportCancelled, **ended, format=formats, message=texts),
)
# A right message with some fields replaced, left out or added, so that every check is met.
names = st.sampled_from(["type", *REQUEST, *BATCH, "total_rows", "delimiter"]) | texts
plausible = st.sampled_from(
    ["csv", "pdf", "a", "", 0, 5, 9, -1, True, {}, [], ["a"], {"bom": True}]
)
alterations = st.dictionaries(names, plausible | cells, max_size=3)
omissions = st.sets(names, max_size=2)


@given(st.none() | st.binary(max_size=60) | cells.map(json.dumps).map(str.encode))
def test_any_bytes_are_read_or_refused_by_a_schema_error(value: bytes | None) -> None:
    for decode in (decode_request, decode_batch):
        with pytest.raises(SchemaError):
            decode(value)


def outcome(decode: Callable[[bytes], Decoded], message: dict[str, Any]) -> Decoded | SchemaError:
    try:
        return decode(json.dumps(message).encode())
    except SchemaError as error:
        return error


@given(alterations, omissions)
def test_an_altered_request_is_read_or_its_wrong_fields_are_named(
    altered: dict[str, Any], omitted: set[str]
) -> None:
    message = {key: v for key, v in {**REQUEST, **altered}.items() if key not in omitted}
    touched = {name.split(".")[0] for name in {*altered, *omitted}}
    result = outcome(decode_request, message)
    if isinstance(result, InvalidRequest):
        assert {finding.field.split(".")[0] for finding in result.errors} <= touched
        assert result.fields == message
    elif isinstance(result, SchemaError):
        assert {"type", "export_id"} & touched
    elif isinstance(result, ExportRequested):
        assert decode_request(encode_request(result)) == result
        assert is_valid(message, SCHEMAS["export.requested.schema.json"])


@given(alterations, omissions)
def test_an_altered_batch_is_read_or_its_wrong_fields_are_named(
    altered: dict[str, Any], omitted: set[str]
) -> None:
    message = {key: v for key, v in {**BATCH, **altered}.items() if key not in omitted}
    result = outcome(decode_batch, message)
    if isinstance(result, Invalid):
        assert {finding.field for finding in result.errors} <= {*altered, *omitted}
    elif isinstance(result, SchemaError):
        assert "export_id" in {*altered, *omitted}
    else:
        assert result.rows == message["rows"]
        assert decode_batch(encode_batch(result)) == result


@given(requests())
def test_a_request_comes_back_from_its_bytes(request: ExportRequested) -> None:
    value = encode_request(request)
    assert decode_request(value) == request
    assert is_valid(orjson.loads(value), SCHEMAS["export.requested.schema.json"])


@given(ids, counts, st.lists(st.lists(cells) | st.dictionaries(texts, cells)), st.booleans())
def test_a_batch_comes_back_from_its_bytes(
    export_id: str,
    seq: int,
    rows: list[Any],
    last: bool,
) -> None:
    batch = Batch(export_id, seq, rows, last, len(rows) if last else None)
    assert decode_batch(encode_batch(batch)) == batch


@given(events)
def test_an_event_comes_back_from_its_bytes_and_is_valid_by_its_schema(
    event: TerminalEvent,
) -> None:
    value = encode_event(event)
    again = decode_event(value)
    assert again == event
    assert again.event_id == event.event_id
    assert encode_event(again) == value
    assert is_valid(orjson.loads(value), SCHEMAS[f"{event.type}.schema.json"])


@given(cells, st.booleans())
def test_exact_json_reads_what_the_standard_library_writes(cell: Any, ascii_only: bool) -> None:
    value = json.dumps(cell, ensure_ascii=ascii_only).encode()
    assert repr(exact_json.loads(value)) == repr(cell)
    assert repr(exact_json.loads(exact_json.dumps(cell))) == repr(cell)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 253_402_300_799_999))
def test_times_come_back_to_the_millisecond(moment: datetime, milliseconds: int) -> None:
    text = format_time(moment)
    assert format_time(parse_time(text)) == text
    assert abs(moment - parse_time(text)).total_seconds() < 0.001
    assert to_millis(from_millis(milliseconds)) == milliseconds
    assert parse_time(format_time(from_millis(milliseconds))) == from_millis(milliseconds)


@given(ids, texts)
def test_an_id_with_anything_before_or_after_it_is_one_only_if_all_of_it_is(
    export_id: str, more: str
) -> None:
    assert is_export_id(export_id)
    allowed = more.isascii() and all(c.isalnum() or c in "._-" for c in more)
    assert is_export_id(export_id + more) == allowed
