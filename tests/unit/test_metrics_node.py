"""A node's own metrics: gauges, storage errors, partitions, and what runs."""

import errno
import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import pytest

from consumer.errors import StorageUnavailable
from consumer.metrics import Dropped, Metrics
from schemas.vocabulary import DeadLetterReason, Format
from tests.support.metrics import series, value

MIB = 1024 * 1024


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_gauges_ask_at_each_scrape(metrics: Metrics) -> None:
    slots, exports = 0, 0
    metrics.watch(lambda: slots, lambda: exports)
    slots, exports = 2, 9
    assert value(metrics, "export_concurrent_running") == 2
    assert value(metrics, "export_queue_depth") == 7
    assert value(metrics, "sluice_open_exports") == 9
    slots, exports = 1, 0  # a lane may hold a slot with nothing open
    assert value(metrics, "export_queue_depth") == 0


def test_before_there_is_a_node_the_gauges_are_zero(metrics: Metrics) -> None:
    assert value(metrics, "export_concurrent_running") == 0
    assert value(metrics, "export_queue_depth") == 0


def test_memory_is_what_this_process_holds_after_a_turn_of_the_format(metrics: Metrics) -> None:
    metrics.turn(0.01)
    metrics.wrote([])
    assert series(metrics, "export_memory_bytes") == []
    metrics.wrote([Format.CSV])
    before = value(metrics, "export_memory_bytes", format="csv")
    ballast = bytearray(b"x" * 64 * MIB)
    metrics.wrote([Format.PDF])
    after = value(metrics, "export_memory_bytes", format="pdf")
    assert before is not None
    assert after is not None
    assert 48 * MIB < after - before < 160 * MIB
    assert value(metrics, "export_memory_bytes", format="csv") == before
    assert value(metrics, "sluice_turn_seconds_count") == 1
    del ballast


def test_transactions_are_timed_by_outcome(metrics: Metrics) -> None:
    metrics.transaction(0.02, committed=True)
    metrics.transaction(7.0, committed=False)
    assert value(metrics, "sluice_transaction_seconds_sum", outcome="committed") == 0.02
    assert value(metrics, "sluice_transaction_seconds_sum", outcome="aborted") == 7


@pytest.mark.parametrize(
    ("happen", "name", "labels"),
    [
        (
            lambda m: m.dead_letter(DeadLetterReason.ORPHAN_BATCH),
            "sluice_dead_letters_total",
            {"reason": "orphan_batch"},
        ),
        (lambda m: m.dropped(Dropped.LATE), "sluice_batches_dropped_total", {"why": "late"}),
        (lambda m: m.cancel_ignored(), "sluice_cancels_ignored_total", {}),
        (lambda m: m.rebalance(), "sluice_rebalances_total", {}),
        (lambda m: m.lane_reloaded(), "sluice_lane_reloads_total", {}),
        (lambda m: m.storage_retried(refusal(None)), "sluice_storage_retries_total", {}),
        (lambda m: m.swept(1), "sluice_parts_swept_total", {}),
        (lambda m: m.files_expired(1, 5), "sluice_expired_files_total", {}),
        (lambda m: m.files_expired(5, 1), "sluice_expired_bytes_total", {}),
        (lambda m: m.manifests_expired(1), "sluice_expired_manifests_total", {}),
        (lambda m: m.expiry_refused(1), "sluice_expiry_failures_total", {}),
    ],
)
def test_each_thing_counts_once_in_its_own_metric(
    metrics: Metrics, happen: Callable[[Metrics], None], name: str, labels: dict[str, str]
) -> None:
    happen(metrics)
    assert value(metrics, name, **labels) == 1


def refusal(cause: Exception | None) -> Exception:
    """As a storage raises it."""
    error = StorageUnavailable("it refuses")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "name"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "ENOSPC"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "ENAMETOOLONG"),
        (OSError("no number"), "other"),
        (ValueError(28, "no error of the system"), "other"),
        (None, "other"),
    ],
)
def test_a_storage_error_counts_under_the_system_s_name_for_it(
    metrics: Metrics, cause: Exception | None, name: str
) -> None:
    assert value(metrics, "sluice_storage_errors_total", errno="ENOSPC") == 0
    metrics.storage_failed(refusal(cause))
    assert value(metrics, "sluice_storage_errors_total", errno=name) == 1
    assert value(metrics, "sluice_storage_retries_total") == 0
    metrics.storage_retried(refusal(cause))
    assert value(metrics, "sluice_storage_errors_total", errno=name) == 2


def test_what_is_counted_of_a_partition_goes_with_it(metrics: Metrics) -> None:
    for partition in (3, 4):
        metrics.progress("export.requests", partition, position=1, lag=1)
        metrics.progress("export.records", partition, position=7, lag=40)
        metrics.trouble(partition, troubled=True)
    metrics.progress("export.records", 4, position=8, lag=39)
    metrics.trouble(4, troubled=False)
    metrics.forget_partition(3)
    metrics.forget_partition(9)
    for name in ("sluice_consumer_lag_records", "sluice_consumer_position_offset"):
        assert [one["partition"] for one in series(metrics, name)] == ["4", "4"]
    labels = {"topic": "export.records", "partition": "4"}
    assert value(metrics, "sluice_consumer_lag_records", **labels) == 39
    assert value(metrics, "sluice_consumer_position_offset", **labels) == 8
    assert value(metrics, "sluice_partition_trouble", partition="4") == 0
    assert value(metrics, "sluice_partition_trouble", partition="3") is None


def test_what_runs_is_shown(metrics: Metrics) -> None:
    metrics.slots(3)
    assert value(metrics, "sluice_slots") == 3
    labels = {"version": version("sluice"), "python": platform.python_version()}
    assert value(metrics, "sluice_build_info", **labels) == 1


def test_a_node_is_not_ready_until_it_says_so(metrics: Metrics) -> None:
    assert value(metrics, "sluice_ready") == 0
    metrics.ready(True)
    assert value(metrics, "sluice_ready") == 1
    metrics.ready(False)
    assert value(metrics, "sluice_ready") == 0


def test_the_start_is_given_in_unix_time() -> None:
    before = time.time()
    started = value(Metrics(), "sluice_start_time_seconds")
    assert started is not None
    assert before <= started <= time.time()
