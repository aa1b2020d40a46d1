"""Every metric, declared once: its name, its labels, its unit and what it means.

Declarations only: nothing is counted here. Invariant: the names and labels of ``ContractMetrics``
are the contract's, and one that can be there from the start is, at 0, so that a rate over it sees
the first event. A name that ends in ``_total`` is a counter; the others say their unit.
"""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.vocabulary import DeadLetterReason, FailReason, Format

UNKNOWN_FORMAT = "unknown"
"""The ``format`` of a request whose format is none."""

SIZES = ("small", "medium", "large")


class Dropped(StrEnum):
    """Why a batch changed nothing."""

    REPEAT = "repeat"
    """Its ``seq`` is below the expected one."""
    LATE = "late"
    """Its export has ended."""
    REPLAYED = "replayed"
    """It lies below the position committed before, and its export isn't open."""


# 10 s and 30 s are in the contract; the rest is dense where exports of 1,000 to 50,000 rows end.
LATENCY_BUCKETS_MS = (
    *(50, 100, 200, 350, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000),
    *(15_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000),
)
# A turn is bounded to about 50 ms of work; a transaction to 30 s.
TURN_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TRANSACTION_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class ContractMetrics:
    """The nine that other people's dashboards and ``sluice check`` stand on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Ended: succeeded, failed, cancelled, duplicate. Beyond 100 users: other.
        self.requests = Counter(
            "export_requests_total",
            "Requests ended, by how.",
            ["format", "status", "user"],
            registry=registry,
        )
        # Of completed exports. An export that idled until it was given up would say nothing
        # about speed; failures have a metric of their own.
        self.latency_ms = Histogram(
            "export_latency_ms",
            "Milliseconds from the request record's timestamp to completion.",
            ["format", "size"],
            buckets=LATENCY_BUCKETS_MS,
            registry=registry,
        )
        # Status as above; only a completed export leaves a file.
        self.bytes = Counter(
            "export_bytes_total", "Bytes of files.", ["format", "status"], registry=registry
        )
        self.running = Gauge("export_concurrent_running", "Slots held now.", registry=registry)
        self.queue_depth = Gauge(
            "export_queue_depth",
            "Exports accepted and unfinished that hold no slot now.",
            registry=registry,
        )
        self.failures = Counter(
            "export_fail_total",
            "Exports failed, by reason.",
            ["reason", "format"],
            registry=registry,
        )
        self.memory_bytes = Gauge(
            "export_memory_bytes",
            "Resident memory of the node at the end of the last turn that wrote this format.",
            ["format"],
            registry=registry,
        )
        # The last two know no format "unknown": such a request can't complete.
        self.throughput = Gauge(
            "export_throughput_ops_per_sec",
            "Exports completed per second over the last 60 s.",
            ["format"],
            registry=registry,
        )
        self.success_percent = Gauge(
            "export_success_rate",
            "Percent completed, of exports completed or failed in the last 10 min; 100 when none.",
            ["format"],
            registry=registry,
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        for file_format in Format:
            self.bytes.labels(format=file_format, status="succeeded")
            for size in SIZES:
                self.latency_ms.labels(format=file_format, size=size)
        for reason in FailReason:
            for name in (*Format, UNKNOWN_FORMAT):
                self.failures.labels(reason=reason, format=name)


class NodeMetrics:
    """The node's own, all ``sluice_*``, in base units."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open_exports = Gauge(
            "sluice_open_exports", "Exports accepted and unfinished.", registry=registry
        )
        # Per topic and assigned partition: records from the position to the partition's end.
        self.lag_records = Gauge(
            "sluice_consumer_lag_records",
            "Records of an assigned partition that are still to be read.",
            ["topic", "partition"],
            registry=registry,
        )
        self.turn_seconds = Histogram(
            "sluice_turn_seconds",
            "How long lanes held a slot.",
            buckets=TURN_BUCKETS_SECONDS,
            registry=registry,
        )
        # Outcome: committed, aborted.
        self.transaction_seconds = Histogram(
            "sluice_transaction_seconds",
            "How long transactions took.",
            ["outcome"],
            buckets=TRANSACTION_BUCKETS_SECONDS,
            registry=registry,
        )
        self.dead_letters = Counter(
            "sluice_dead_letters_total", "Dead letters written.", ["reason"], registry=registry
        )
        # Why: see ``Dropped``.
        self.batches_dropped = Counter(
            "sluice_batches_dropped_total",
            "Batches that changed nothing, by why.",
            ["why"],
            registry=registry,
        )
        self.cancels_ignored = Counter(
            "sluice_cancels_ignored_total",
            "Cancellations of exports that had ended or were never requested.",
            registry=registry,
        )
        self.rebalances = Counter(
            "sluice_rebalances_total", "Assignments received from the group.", registry=registry
        )
        self.lane_reloads = Counter(
            "sluice_lane_reloads_total",
            "Times a lane dropped its state and read it anew.",
            registry=registry,
        )
        self.storage_retries = Counter(
            "sluice_storage_retries_total",
            "Storage calls made again after the storage refused.",
            registry=registry,
        )
        self.parts_swept = Counter(
            "sluice_parts_swept_total", "Partial files of former owners removed.", registry=registry
        )
        for reason in DeadLetterReason:
            self.dead_letters.labels(reason=reason)
        for why in Dropped:
            self.batches_dropped.labels(why=why)
        for outcome in ("committed", "aborted"):
            self.transaction_seconds.labels(outcome=outcome)
