import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.completions import (
    ExportCancelled,
    ExportCompleted,
    ExportFailed,
    Source,
    TerminalEvent,
    cloud_event_headers,
    decode_event,
    encode_event,
)
from schemas.vocabulary import FailReason, Format

ENDED: dict[str, Any] = {
    "export_id": "ord-2026-11",
    "user": "alice",
    "rows": 10_000,
    "requested_at": datetime(2026, 11, 21, 10, tzinfo=UTC),
    "started_at": datetime(2026, 11, 21, 10, 0, 0, 200_000, tzinfo=UTC),
    "completed_at": datetime(2026, 11, 21, 10, 0, 0, 812_000, tzinfo=UTC),
    "duration_ms": 812,
    "source": Source(topic="export.requests", partition=3, offset=42),
}
CSV = ExportCompleted(
    **ENDED,
    format=Format.CSV,
    location="file:///srv/exports/ord-2026-11.csv",
    bytes=1_048_576,
    sha256="0f" * 32,
)
PDF = ExportCompleted(
    **ENDED,
    format=Format.PDF,
    location="file:///srv/exports/ord-2026-11.pdf",
    bytes=1_048_576,
    sha256="0f" * 32,
    pages=200,
    replaced_characters=0,
)
FAILED = ExportFailed(
    **{**ENDED, "started_at": None},
    format="unknown",
    reason=FailReason.INVALID_REQUEST,
    message="format: must be 'csv', 'pdf', 'xlsx', 'ndjson', 'json' or 'xml'",
)
CANCELLED = ExportCancelled(**ENDED, format=Format.PDF, message="cancelled on request")
RETRIED = CANCELLED.model_copy(update={"retry_of": "ord-2026-10"})
EVENTS = [CSV, PDF, FAILED, CANCELLED, RETRIED]


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_comes_back_from_its_bytes(event: TerminalEvent) -> None:
    again = decode_event(encode_event(event))
    assert again == event
    assert encode_event(again) == encode_event(event)


def test_only_a_retry_names_an_original() -> None:
    assert json.loads(encode_event(RETRIED))["retry_of"] == "ord-2026-10"
    assert "retry_of" not in json.loads(encode_event(CANCELLED))


def test_a_completed_csv_is_as_the_contract_shows_it() -> None:
    assert json.loads(encode_event(CSV)) == {
        "type": "export.completed",
        "export_id": "ord-2026-11",
        "format": "csv",
        "user": "alice",
        "location": "file:///srv/exports/ord-2026-11.csv",
        "bytes": 1_048_576,
        "rows": 10_000,
        "pages": None,
        "sha256": "0f" * 32,
        "expires_at": None,
        "requested_at": "2026-11-21T10:00:00.000Z",
        "started_at": "2026-11-21T10:00:00.200Z",
        "completed_at": "2026-11-21T10:00:00.812Z",
        "duration_ms": 812,
        "source": {"topic": "export.requests", "partition": 3, "offset": 42},
    }


def test_a_completed_pdf_counts_pages_and_replaced_characters() -> None:
    fields = json.loads(encode_event(PDF))
    assert (fields["pages"], fields["replaced_characters"]) == (200, 0)


def test_what_did_not_complete_has_no_location() -> None:
    failed, cancelled = json.loads(encode_event(FAILED)), json.loads(encode_event(CANCELLED))
    assert failed["reason"] == "invalid_request"
    assert "reason" not in cancelled
    assert failed["started_at"] is None
    for fields in (failed, cancelled):
        assert not {"location", "bytes", "sha256", "pages"} & fields.keys()


def test_the_id_of_an_event_depends_on_where_its_request_was_read_alone() -> None:
    # A literal, as consumers dedupe on it: it must not change from one release to the next.
    assert CSV.event_id == "902e1ef3-99ca-52ab-a0db-64e56ba5bb68"
    assert {event.event_id for event in EVENTS} == {CSV.event_id}
    elsewhere = (
        {"export_id": "ord-2026-12"},
        {"source": Source(topic="export.requests", partition=3, offset=43)},
        {"source": Source(topic="export.requests", partition=4, offset=42)},
        {"source": Source(topic="other.requests", partition=3, offset=42)},
    )
    ids = {CSV.model_copy(update=change).event_id for change in elsewhere}
    assert len(ids | {CSV.event_id}) == 5


def test_the_headers_are_those_of_cloud_events() -> None:
    assert dict(cloud_event_headers(CSV)) == {
        "ce_id": CSV.event_id.encode(),
        "ce_type": b"export.completed",
        "ce_source": b"/sluice/export.requests",
        "ce_specversion": b"1.0",
        "ce_time": b"2026-11-21T10:00:00.812Z",
        "content-type": b"application/json",
    }


def fields_of(event: TerminalEvent) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(encode_event(event))
    return fields


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"null",
        b"{",
        b'{"type": "export.requested"}',
        json.dumps({**fields_of(CSV), "type": "export.done"}).encode(),
        json.dumps({**fields_of(CSV), "rows": -1}).encode(),
        json.dumps({**fields_of(CSV), "rows": True}).encode(),
        json.dumps({**fields_of(CSV), "bytes": "5"}).encode(),
        json.dumps({**fields_of(CSV), "sha256": "0F" * 32}).encode(),
        json.dumps({**fields_of(CSV), "export_id": "../a"}).encode(),
        json.dumps({**fields_of(CSV), "completed_at": "now"}).encode(),
        json.dumps({**fields_of(CSV), "reason": "internal"}).encode(),
        json.dumps({**fields_of(FAILED), "reason": "tired"}).encode(),
        json.dumps({**fields_of(FAILED), "location": "file:///a"}).encode(),
        json.dumps({**fields_of(FAILED), "format": "doc"}).encode(),
    ],
)
def test_what_is_no_event_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_event(value)
