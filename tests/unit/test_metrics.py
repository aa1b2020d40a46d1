"""Metrics: what a scrape shows after something happened, in both text formats."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from consumer.metrics import Dropped, Metrics
from consumer.metrics.catalogue import LABELS, ContractMetrics, NodeMetrics
from consumer.metrics.document import PAGE, declared, page
from consumer.metrics.window import SlidingCount
from schemas.completions import (
    ExportCancelled,
    ExportCompleted,
    ExportFailed,
    Source,
)
from schemas.vocabulary import DeadLetterReason, FailReason, Format
from tests.support.clock import Clock
from tests.support.metrics import series, value

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

FORMATS = [*Format, "unknown"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics(clock)


def completed(
    file_format: Format = Format.CSV,
    *,
    rows: int = 10,
    size_bytes: int = 1_000,
    duration_ms: int = 120,
    user: str = "alice",
) -> ExportCompleted:
    return ExportCompleted(
        export_id="e-1",
        format=file_format,
        user=user,
        rows=rows,
        bytes=size_bytes,
        location="file:///e-1.csv",
        sha256="0" * 64,
        requested_at=NOON,
        started_at=NOON,
        completed_at=NOON + timedelta(milliseconds=duration_ms),
        duration_ms=duration_ms,
        source=Source(topic="export.requests", partition=0, offset=0),
    )


FILE = {"type", "format", "location", "bytes", "pages", "sha256"} | {
    *("replaced_characters", "truncated_cells", "expires_at")
}


def failed(
    file_format: Format | Literal["unknown"] = Format.CSV,
    reason: FailReason = FailReason.SEQUENCE_GAP,
) -> ExportFailed:
    fields = completed().model_dump(exclude=FILE)
    return ExportFailed(**fields, format=file_format, reason=reason, message="a gap")


def cancelled() -> ExportCancelled:
    fields = completed().model_dump(exclude=FILE)
    return ExportCancelled(**fields, format=Format.CSV, message="someone cancelled it")


def openmetrics_text(metrics: Metrics) -> str:
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    return encode(metrics.registry).decode()


def parse_openmetrics(text: str) -> list[Metric]:
    # The library's strict parser has no types.
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


NINE = {
    "export_requests_total": "counter",
    "export_latency_ms": "histogram",
    "export_bytes_total": "counter",
    "export_concurrent_running": "gauge",
    "export_queue_depth": "gauge",
    "export_fail_total": "counter",
    "export_memory_bytes": "gauge",
    "export_throughput_ops_per_sec": "gauge",
    "export_success_rate": "gauge",
}


def declared_in(text: str) -> dict[str, str]:
    lines = (line.split() for line in text.splitlines() if line.startswith("# TYPE"))
    return {name: kind for _, _, name, kind in lines}


def test_all_nine_are_declared_before_anything_happened(metrics: Metrics) -> None:
    text = generate_latest(metrics.registry).decode()
    ours = {name: kind for name, kind in declared_in(text).items() if name.startswith("export_")}
    assert ours == NINE


def test_every_other_metric_is_the_node_s_own_and_counters_say_total(metrics: Metrics) -> None:
    kinds = declared_in(generate_latest(metrics.registry).decode())
    for name in kinds.keys() - NINE.keys():
        assert name.startswith("sluice_")
        assert (kinds[name] == "counter") == name.endswith("_total")


def test_what_files_do_not_show_as_it_was_sent_is_counted(metrics: Metrics) -> None:
    assert value(metrics, "sluice_truncated_cells_total", format="pdf") == 0
    assert value(metrics, "sluice_replaced_characters_total", format="xml") == 0
    for truncated, replaced in ((3, 0), (4, 2)):
        counts = {"truncated_cells": truncated, "replaced_characters": replaced}
        metrics.ended(completed(Format.PDF).model_copy(update=counts))
    metrics.ended(completed(Format.CSV))
    assert value(metrics, "sluice_truncated_cells_total", format="pdf") == 7
    assert value(metrics, "sluice_replaced_characters_total", format="pdf") == 2


def test_openmetrics_has_the_same_samples_under_the_same_names(metrics: Metrics) -> None:
    for event in (completed(), failed(), cancelled()):
        metrics.ended(event)
    metrics.turn(0.03)
    metrics.wrote([Format.CSV])
    metrics.progress("export.records", 3, position=40, lag=7)

    def samples(families: Iterable[Metric]) -> list[tuple[str, list[tuple[str, str]], float]]:
        found = [one for family in families for one in family.samples]
        return sorted((one.name, sorted(one.labels.items()), one.value) for one in found)

    text, strict = generate_latest(metrics.registry).decode(), openmetrics_text(metrics)
    assert samples(parse_text(text)) == samples(parse_openmetrics(strict))
    assert "_created" not in text + strict


def test_nothing_is_registered_with_the_process(metrics: Metrics) -> None:
    metrics.ended(completed())
    names = {family.name for family in REGISTRY.collect()}
    assert not [name for name in names if name.startswith(("export_", "sluice_"))]
    assert value(Metrics(), "export_bytes_total", format="csv", status="succeeded") == 0


def test_failures_have_all_their_series_from_the_start(metrics: Metrics) -> None:
    assert len(series(metrics, "export_fail_total")) == len(FailReason) * len(FORMATS)
    for reason in FailReason:
        for name in FORMATS:
            assert value(metrics, "export_fail_total", reason=reason, format=name) == 0


def test_the_node_s_closed_sets_have_their_series_from_the_start(metrics: Metrics) -> None:
    for reason in DeadLetterReason:
        assert value(metrics, "sluice_dead_letters_total", reason=reason) == 0
    for why in Dropped:
        assert value(metrics, "sluice_batches_dropped_total", why=why) == 0


def test_a_completed_export_counts_everywhere_it_belongs(metrics: Metrics, clock: Clock) -> None:
    metrics.ended(completed(Format.PDF, rows=50_000, size_bytes=9_000, duration_ms=1_400))
    user = {"format": "pdf", "user": "alice"}
    size = {"format": "pdf", "size": "large"}
    assert value(metrics, "export_requests_total", status="succeeded", **user) == 1
    assert value(metrics, "export_bytes_total", format="pdf", status="succeeded") == 9_000
    assert value(metrics, "export_latency_ms_sum", **size) == 1_400
    assert value(metrics, "export_latency_ms_bucket", le="1000.0", **size) == 0
    assert value(metrics, "export_latency_ms_bucket", le="1500.0", **size) == 1
    assert value(metrics, "export_throughput_ops_per_sec", format="pdf") == pytest.approx(1 / 60)
    assert value(metrics, "export_throughput_ops_per_sec", format="csv") == 0
    assert value(metrics, "export_success_rate", format="pdf") == 100


def test_a_failed_export_counts_by_reason_and_leaves_latency_and_bytes_alone(
    metrics: Metrics,
) -> None:
    metrics.ended(failed(Format.PDF, FailReason.TIMED_OUT))
    labels = {"format": "pdf", "user": "alice"}
    assert value(metrics, "export_requests_total", status="failed", **labels) == 1
    assert value(metrics, "export_fail_total", reason="timed_out", format="pdf") == 1
    assert value(metrics, "export_latency_ms_count", format="pdf", size="small") == 0
    assert value(metrics, "export_success_rate", format="pdf") == 0
    assert series(metrics, "export_bytes_total") == [
        {"format": name, "status": "succeeded"} for name in Format
    ]


def test_a_request_of_no_known_format_fails_as_unknown(metrics: Metrics) -> None:
    metrics.ended(failed("unknown", FailReason.INVALID_REQUEST))
    metrics.duplicate("zip", "alice")
    labels = {"format": "unknown", "user": "alice"}
    assert value(metrics, "export_requests_total", status="failed", **labels) == 1
    assert value(metrics, "export_requests_total", status="duplicate", **labels) == 1
    assert value(metrics, "export_fail_total", reason="invalid_request", format="unknown") == 1
    assert value(metrics, "export_success_rate", format="csv") == 100


def test_a_cancelled_export_and_a_repeat_are_neither_success_nor_failure(metrics: Metrics) -> None:
    metrics.ended(cancelled())
    metrics.duplicate(Format.CSV, "bob")
    assert series(metrics, "export_requests_total") == [
        {"format": "csv", "status": "cancelled", "user": "alice"},
        {"format": "csv", "status": "duplicate", "user": "bob"},
    ]
    assert value(metrics, "export_success_rate", format="csv") == 100
    assert value(metrics, "export_throughput_ops_per_sec", format="csv") == 0


@pytest.mark.parametrize(
    ("rows", "size"),
    [(0, "small"), (1_000, "small"), (1_001, "medium"), (10_000, "medium"), (10_001, "large")],
)
def test_size_goes_by_rows(metrics: Metrics, rows: int, size: str) -> None:
    metrics.ended(completed(rows=rows))
    assert value(metrics, "export_latency_ms_count", format="csv", size=size) == 1


def test_latency_buckets_hold_the_contract_s_and_span_the_range(metrics: Metrics) -> None:
    labels = {"format": "csv", "size": "small"}
    bounds = [
        float(one["le"])
        for one in series(metrics, "export_latency_ms_bucket")
        if labels.items() <= one.items()
    ]
    assert {10_000, 30_000} <= set(bounds)
    assert bounds == sorted(bounds)
    assert bounds[0] <= 50
    assert bounds[-2] >= 600_000
    assert bounds[-1] == float("inf")


def test_users_beyond_a_hundred_share_a_series(metrics: Metrics) -> None:
    for number in range(150):
        metrics.duplicate("csv", f"user-{number}")
    metrics.duplicate("csv", "user-99")
    metrics.duplicate("csv", "user-100")
    metrics.ended(completed(user="user-149"))
    users = {one["user"] for one in series(metrics, "export_requests_total")}
    assert users == {f"user-{number}" for number in range(100)} | {"other"}
    labels = {"format": "csv", "status": "duplicate"}
    assert value(metrics, "export_requests_total", user="user-99", **labels) == 2
    assert value(metrics, "export_requests_total", user="other", **labels) == 51
    assert value(metrics, "export_requests_total", user="other", format="csv", status="succeeded")


@pytest.mark.parametrize("user", ['a"b', "a\\b", "ä, =}", "\\n", "a\u00a0b"])
def test_a_user_of_any_characters_reads_back(metrics: Metrics, user: str) -> None:
    metrics.duplicate("csv", user)
    labels = {"format": "csv", "status": "duplicate"}
    assert value(metrics, "export_requests_total", user=user, **labels) == 1
    assert parse_openmetrics(openmetrics_text(metrics))


@pytest.mark.parametrize("user", ["a\x00b", "\n", "a\x1b[2J", "\x7f", "a\x85", "a\u2028b"])
def test_control_characters_are_in_no_label(metrics: Metrics, user: str) -> None:
    metrics.ended(completed(user=user))
    assert {one["user"] for one in series(metrics, "export_requests_total")} == {"other"}


def test_a_user_as_long_as_a_book_is_one_of_the_others(metrics: Metrics) -> None:
    metrics.duplicate("csv", "x" * 1_000_000)
    assert series(metrics, "export_requests_total") == [
        {"format": "csv", "status": "duplicate", "user": "other"}
    ]


def test_the_page_of_metrics_is_made_of_the_catalogue() -> None:
    assert PAGE.read_text("utf-8") == page(), "make metrics-docs"


def test_every_label_is_explained_and_used() -> None:
    registry = CollectorRegistry()
    catalogues = (ContractMetrics(registry), NodeMetrics(registry))
    names = [name for catalogue in catalogues for name, _, _ in declared(catalogue)]
    labels = {one for name in names for one in re.findall(r"(\w+)[,}]", name)}
    assert labels == LABELS.keys()


def test_throughput_and_success_forget(metrics: Metrics, clock: Clock) -> None:
    for _ in range(30):
        metrics.ended(completed())
    for _ in range(10):
        metrics.ended(failed())
    assert value(metrics, "export_throughput_ops_per_sec", format="csv") == 0.5
    assert value(metrics, "export_success_rate", format="csv") == 75
    clock.seconds += 60
    assert value(metrics, "export_throughput_ops_per_sec", format="csv") == 0
    clock.seconds += 539
    assert value(metrics, "export_success_rate", format="csv") == 75
    clock.seconds += 1
    assert value(metrics, "export_success_rate", format="csv") == 100


@given(
    window=st.integers(1, 20),
    steps=st.lists(st.floats(0, 5, allow_nan=False) | st.just(0.0), max_size=60),
)
def test_a_window_counts_what_fell_into_its_seconds(window: int, steps: list[float]) -> None:
    clock = Clock()
    count = SlidingCount(window, clock)
    events: list[int] = []
    for step in steps:
        clock.seconds += step
        count.add()
        events.append(int(clock.seconds))
        newest = int(clock.seconds)
        assert count.total() == sum(newest - window < event <= newest for event in events)


def test_a_window_s_memory_does_not_grow_with_events(clock: Clock) -> None:
    count = SlidingCount(10, clock)
    for _ in range(20_000):
        clock.seconds += 0.001
        count.add()
    # White box: what is bounded can't be seen from outside.
    assert len(count._seconds) <= 10
    assert 9_000 <= count.total() <= 10_000
