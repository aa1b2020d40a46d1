import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.codec import InvalidRequest, decode_request, encode_request
from schemas.errors import Unreadable
from schemas.options import CsvOptions, PdfOptions
from schemas.requests import CancelRequested, Column, ExportRequested
from schemas.vocabulary import DeadLetterReason, Format
from tests.support.samples import (
    LEFT_OUT,
    REQUEST,
    RIGHT_REQUESTS,
    WRONG_BEYOND_SCHEMA,
    WRONG_REQUESTS,
)
from tests.support.samples import changed as changed_in

CANCEL = {"type": "export.cancel_requested", "export_id": "ord-1"}


def changed(**fields: Any) -> bytes:
    return json.dumps(changed_in(REQUEST, **fields)).encode()


def test_the_contracts_example_is_read_whole() -> None:
    assert decode_request(changed()) == ExportRequested(
        export_id="ord-2026-11",
        format=Format.CSV,
        columns=(Column(key="id"), Column(key="amount", header="Amount (EUR)", width=80)),
        title="Orders",
        user="alice",
        priority=5,
        requested_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
        options=CsvOptions(),
    )


def test_what_is_left_out_has_its_default() -> None:
    request = decode_request(
        b'{"type": "export.requested", "export_id": "a", "format": "csv", "columns": ["id"]}'
    )
    assert isinstance(request, ExportRequested)
    assert (request.title, request.user, request.priority) == (None, "anonymous", 5)
    assert request.requested_at is None
    assert request.options == CsvOptions(
        delimiter=",", header=True, bom=False, line_ending="crlf", null="", escape_formulas=True
    )
    assert request.columns[0].header == "id"
    assert request.columns[0].width is None


def test_the_options_are_those_of_the_format() -> None:
    request = decode_request(changed(format="pdf", options={"page_size": "letter"}))
    assert isinstance(request, ExportRequested)
    assert request.options == PdfOptions(
        page_size="letter", orientation="auto", records_per_page=50
    )


def test_an_empty_header_is_not_a_missing_one() -> None:
    request = decode_request(changed(columns=[{"key": "a", "header": ""}]))
    assert isinstance(request, ExportRequested)
    assert request.columns[0].header == ""


@pytest.mark.parametrize("sample", RIGHT_REQUESTS)
def test_a_right_request_comes_back_from_its_bytes(sample: dict[str, Any]) -> None:
    request = decode_request(json.dumps(sample).encode())
    assert decode_request(encode_request(request)) == request


@pytest.mark.parametrize(("sample", "wrong"), WRONG_REQUESTS + WRONG_BEYOND_SCHEMA)
def test_every_wrong_field_is_named_and_no_other(sample: dict[str, Any], wrong: set[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(json.dumps(sample).encode())
    assert {error.field for error in caught.value.errors} == wrong
    assert len(caught.value.errors) == len(wrong)
    assert caught.value.export_id == sample["export_id"]
    assert caught.value.fields == sample


@pytest.mark.parametrize(("sample", "wrong"), WRONG_REQUESTS + WRONG_BEYOND_SCHEMA)
def test_what_is_wrong_is_named_in_one_short_line(sample: dict[str, Any], wrong: set[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(json.dumps(sample).encode())
    text = str(caught.value)
    assert all(name in text for name in wrong)
    assert "\n" not in text
    assert "pydantic" not in text
    assert "Value error" not in text


def test_a_format_of_a_later_release_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"^format: .*parquet comes in a later release$"):
        decode_request(changed(format="parquet"))


def test_every_repeated_key_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"more than once: 'x', 'z'$"):
        decode_request(changed(columns=["x", "z", "y", {"key": "z"}, "x", "x"]))


def test_the_text_of_an_error_is_bounded_but_its_findings_are_not() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(changed(**{f"{number}-" + "x" * 10_000: 1 for number in range(90)}))
    assert len(caught.value.errors) == 90
    assert len(str(caught.value)) < 5_000
    assert str(caught.value).endswith("and 70 more")


def test_what_was_left_out_is_not_written() -> None:
    minimal = {"type": "export.requested", "export_id": "a", "format": "csv", "columns": ["id"]}
    fields = json.loads(encode_request(decode_request(json.dumps(minimal).encode())))
    assert not {"title", "requested_at"} & fields.keys()
    assert fields["columns"] == [{"key": "id", "header": "id"}]


def test_a_cancellation_is_read_and_comes_back_from_its_bytes() -> None:
    request = decode_request(b'{"type": "export.cancel_requested", "export_id": "ord-1"}')
    assert request == CancelRequested(export_id="ord-1")
    assert decode_request(encode_request(request)) == request
    assert b"message" not in encode_request(request)


def test_a_cancellation_may_say_why() -> None:
    request = CancelRequested(export_id="ord-1", message="line 3: \u0000")
    assert decode_request(encode_request(request)) == request


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, DeadLetterReason.NULL_VALUE),
        (b"", DeadLetterReason.UNREADABLE),
        (b"{", DeadLetterReason.UNREADABLE),
        (b"\xff", DeadLetterReason.UNREADABLE),
        (b"[]", DeadLetterReason.UNREADABLE),
        (b'"export.requested"', DeadLetterReason.UNREADABLE),
        (b"NaN", DeadLetterReason.UNREADABLE),
        (changed().decode().encode("utf-16"), DeadLetterReason.UNREADABLE),
        (b"\xef\xbb\xbf" + changed(), DeadLetterReason.UNREADABLE),
        (b'{"title": "\\ud800", ' + changed()[1:], DeadLetterReason.UNREADABLE),
        (b'{"priority": 1e400, ' + changed()[1:], DeadLetterReason.UNREADABLE),
        (b'{"type": ' + b"[" * 2_000 + b"]" * 2_000 + b"}", DeadLetterReason.UNREADABLE),
        (b"{}", DeadLetterReason.UNKNOWN_TYPE),
        (changed(type=LEFT_OUT), DeadLetterReason.UNKNOWN_TYPE),
        (changed(type=None), DeadLetterReason.UNKNOWN_TYPE),
        (changed(type=["export.requested"]), DeadLetterReason.UNKNOWN_TYPE),
        (changed(type="export.completed"), DeadLetterReason.UNKNOWN_TYPE),
        (changed(type="Export.Requested"), DeadLetterReason.UNKNOWN_TYPE),
        (b'{"type": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", DeadLetterReason.UNKNOWN_TYPE),
        (changed(export_id=LEFT_OUT), DeadLetterReason.INVALID_ID),
        (changed(export_id=None), DeadLetterReason.INVALID_ID),
        (changed(export_id=7), DeadLetterReason.INVALID_ID),
        (changed(export_id={"id": "a"}), DeadLetterReason.INVALID_ID),
        (b'{"type": "export.cancel_requested"}', DeadLetterReason.INVALID_ID),
        (changed(type="export.cancel_requested"), DeadLetterReason.UNREADABLE),
        *(
            (json.dumps({**CANCEL, "message": wrong}).encode(), DeadLetterReason.UNREADABLE)
            for wrong in ("", "x" * 501, 7)
        ),
    ],
)
def test_what_no_export_can_be_named_for_is_a_dead_letter(
    value: bytes | None, reason: DeadLetterReason
) -> None:
    with pytest.raises(Unreadable) as caught:
        decode_request(value)
    assert caught.value.reason is reason
    assert len(str(caught.value)) < 1_000


def test_an_id_as_deep_as_json_goes_is_still_no_id() -> None:
    value = b'{"type": "export.requested", "export_id": ' + b"[" * 1_000 + b"]" * 1_000 + b"}"
    with pytest.raises(Unreadable) as caught:
        decode_request(value)
    assert caught.value.reason is DeadLetterReason.INVALID_ID


def test_of_a_name_given_twice_the_last_counts() -> None:
    request = decode_request(changed()[:-1] + b', "priority": 9}')
    assert isinstance(request, ExportRequested)
    assert request.priority == 9


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "europe/istanbul", "../zones", "Europe"])
def test_a_time_zone_that_is_none_is_refused_by_its_field(zone: str) -> None:
    with pytest.raises(InvalidRequest, match=r"options\.timezone: must be an IANA name"):
        decode_request(changed(format="pdf", options={"timezone": zone}))
