"""Where an export's times come from: its record, or where that has none, when it was read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumer.exports.export_context import ExportContext
from consumer.exports.partition import PartitionExports
from consumer.exports.terminal_events import origin_of
from consumer.formats.registry import Formats
from schemas.codec import decode_request
from schemas.completions import ExportCompleted
from schemas.requests import ExportRequested
from schemas.times import EARLIEST, from_millis, to_millis
from tests.support.partition import REQUESTS, START, Bench, Sent, only, take_outcome

READ = datetime(2026, 11, 21, 10, tzinfo=UTC)
REQUESTED_AT = "2026-11-20T08:00:00.000Z"
HOUR_MS = 3_600_000


def sent(timestamp: int, requested_at: str | None = None) -> tuple[ExportRequested, Sent]:
    value = Bench.encode(
        {
            "type": "export.requested",
            "export_id": "a",
            "format": "pdf",
            "columns": ["n"],
            "requested_at": requested_at,
        }
    )
    request = decode_request(value)
    assert isinstance(request, ExportRequested)
    return request, Sent(REQUESTS, 0, value, timestamp=timestamp)


def test_times_are_those_of_the_record() -> None:
    recorded = to_millis(READ) - HOUR_MS
    origin = origin_of(*sent(recorded), READ)
    assert (origin.requested_at, origin.dated_at) == (from_millis(recorded),) * 2
    assert origin.counts_from_ms == recorded


@pytest.mark.parametrize("timestamp", [-(2**63), -1, 0, 1000, to_millis(EARLIEST) - 1])
def test_without_a_timestamp_they_count_from_the_reading(timestamp: int) -> None:
    origin = origin_of(*sent(timestamp), READ)
    assert (origin.requested_at, origin.dated_at) == (READ, None)
    assert origin.counts_from_ms == to_millis(READ)


def test_a_retry_says_of_which_export(tmp_path: Path) -> None:
    request, message = sent(-1)
    retried = origin_of(request.model_copy(update={"retry_of": "ord"}), message, READ)
    assert retried.retry_of == "ord"
    bench = Bench(tmp_path)
    bench.request("a", retry_of="ord", format="doc")
    bench.request("b", retry_of="no/id")
    ended = {event.export_id: event.retry_of for event in bench.turn()}
    assert ended == {"a": "ord", "b": None}, "also where the request is wrong"


def test_the_earliest_timestamp_is_one() -> None:
    origin = origin_of(*sent(to_millis(EARLIEST)), READ)
    assert (origin.requested_at, origin.dated_at) == (EARLIEST, EARLIEST)
    assert origin.counts_from_ms == to_millis(EARLIEST)


def test_what_the_request_says_needs_no_timestamp() -> None:
    origin = origin_of(*sent(-1, REQUESTED_AT), READ)
    requested = datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert (origin.requested_at, origin.dated_at) == (requested, requested)
    assert origin.counts_from_ms == to_millis(READ)


@pytest.mark.parametrize("ahead_ms", [1, 40 * HOUR_MS, 2**62])
def test_nothing_has_lasted_since_the_future(ahead_ms: int) -> None:
    recorded = to_millis(READ) + ahead_ms
    origin = origin_of(*sent(recorded), READ)
    assert origin.dated_at == origin.requested_at == from_millis(recorded)
    assert origin.counts_from_ms == to_millis(READ)


@pytest.mark.parametrize("timestamp", [-1, 1000])
def test_neither_the_file_nor_the_latency_shows_it(tmp_path: Path, timestamp: int) -> None:
    """Two nodes read the request a day apart: the same bytes, and a duration of seconds."""
    files = []
    for days in (0, 1):
        bench = Bench(tmp_path / str(days))
        bench.clock.seconds = 86_400.0 * days
        event = _exported(bench, timestamp)
        assert event.duration_ms == 2_000
        assert event.requested_at == READ + timedelta(days=days)
        files.append((bench.directory / "a.pdf").read_bytes())
        bench.metrics.ended(event)
        labels = {"format": "pdf", "size": "small"}
        assert bench.metric("export_latency_ms_sum", **labels) == 2_000
    assert files[0] == files[1]


def _exported(bench: Bench, timestamp: int) -> ExportCompleted:
    context = ExportContext(
        bench.storage,
        Formats().writer,
        bench.metrics,
        1_000_000,
        bench.clock.now,
        bench.clock.monotonic,
    )
    partition = PartitionExports(3, START, context)
    partition.take_requests([sent(timestamp)[1]])
    partition.turn()
    bench.clock.seconds += 2
    bench.batch(0, [1], last=True)
    partition.take_records(bench.records)
    partition.turn()
    event = only(take_outcome(partition).events)
    assert isinstance(event, ExportCompleted)
    return event
