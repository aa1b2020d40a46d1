from datetime import UTC, datetime, timedelta, timezone

import pytest

from schemas.times import format_time, from_millis, parse_time, to_millis


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00.000Z"),
        ("2026-11-21T10:00:00.5Z", "2026-11-21T10:00:00.500Z"),
        ("2026-11-21T10:00:00.001Z", "2026-11-21T10:00:00.001Z"),
        ("2026-11-21T10:00:00.999999999Z", "2026-11-21T10:00:00.999Z"),
        ("2024-02-29T23:59:59.123Z", "2024-02-29T23:59:59.123Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_is_read_and_written_in_milliseconds(text: str, canonical: str) -> None:
    assert format_time(parse_time(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21",
        "2026-11-21T10:00Z",
        "2026-11-21T10:00:00",
        "2026-11-21T10:00:00z",
        "2026-11-21t10:00:00Z",
        "2026-11-21 10:00:00Z",
        "2026-11-21T10:00:00+00:00",
        "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00,5Z",
        "2026-11-21T10:00:00.1234567890Z",
        "2026-11-21T10:00:00Z\n",
        " 2026-11-21T10:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T23:59:60Z",
        "2026-13-01T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-11-21T10:00:00Z",
        1795255200,
        None,
        True,
    ],
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_time(text)


def test_an_aware_datetime_is_brought_to_utc_and_milliseconds() -> None:
    ankara = timezone(timedelta(hours=3))
    moment = parse_time(datetime(2026, 11, 21, 13, 0, 0, 123_456, tzinfo=ankara))
    assert moment == datetime(2026, 11, 21, 10, 0, 0, 123_000, tzinfo=UTC)
    assert format_time(moment) == "2026-11-21T10:00:00.123Z"
    with pytest.raises(ValueError, match="time zone"):
        parse_time(datetime(2026, 11, 21))  # noqa: DTZ001 - a naive one is the point


def test_kafka_timestamps_there_and_back() -> None:
    assert format_time(from_millis(1_795_255_200_123)) == "2026-11-21T10:00:00.123Z"
    assert to_millis(from_millis(1_795_255_200_123)) == 1_795_255_200_123
    assert to_millis(from_millis(0)) == 0


def test_a_timestamp_out_of_range_stands_for_the_nearest_time() -> None:
    assert format_time(from_millis(-1)) == "1970-01-01T00:00:00.000Z"
    assert format_time(from_millis(2**63 - 1)) == "9999-12-31T23:59:59.999Z"
