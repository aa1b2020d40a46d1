"""Every metric, declared once: its name, its labels, its unit and what it means.

Declarations only: nothing is counted here. ``docs/metrics.md`` is made of them, so what a metric
means stands in its help, and what a label says in ``LABELS``; comments here say why. Invariant: the
names and labels of ``ContractMetrics`` are the contract's, and a series that can be there from the
start is, at 0, so that a rate over it sees the first event. A name that ends in ``_total`` is a
counter; the others say their unit.
"""

import errno
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.vocabulary import DeadLetterReason, FailReason, Format

UNKNOWN_FORMAT = "unknown"
"""The ``format`` of a request whose format is none."""

SIZES = ("small", "medium", "large")

OTHER_ERROR = "other"
"""The ``errno`` of a storage error that came with none."""

# What a full, a broken, a read-only and an unmounted storage say; others appear as they come.
EXPECTED_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE)

LABELS = {
    "encoder": (
        "`native`: at one go, by the crate in `native/`; `python`: by the formats' writers"
    ),
    "errno": "what the operating system called it, such as `ENOSPC`; `other` where it didn't",
    "format": "`csv`, `pdf`, `xlsx`, `ndjson`, `json`, `xml`; `unknown` where a request named none",
    "outcome": "`committed` or `aborted`",
    "partition": "a number; requests and records of one number belong together",
    "python": "the version of Python",
    "reason": (
        "of failures the [reason](contract.md#reasons) of the event, of dead letters their "
        "[`sluice_reason`](contract.md#dead-letters)"
    ),
    "size": "by rows: `small` to 1,000, `medium` to 10,000, `large` above",
    "status": "how it ended: `succeeded`, `failed`, `cancelled`, `duplicate`",
    "topic": "the name of an input topic",
    "user": "the first 100 users; others are `other`",
    "version": "the version of Sluice",
    "why": (
        "`repeat`: its number is lower than expected; `late`: its export has ended; `replayed`: "
        "read again after a takeover, handled before"
    ),
}
"""What each label says, in Markdown."""


class Encoder(StrEnum):
    """What encoded the rows of a batch."""

    NATIVE = "native"
    PYTHON = "python"


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
# From where the loop was only busy to where the group takes the node for dead; 0.25 is warned of.
STALL_BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TRANSACTION_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
UPLOAD_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class ContractMetrics:
    """The nine metrics that users' dashboards and ``sluice check`` depend on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "export_requests_total",
            "Requests ended, repeats among them.",
            ["format", "status", "user"],
            registry=registry,
        )
        # Exports that timed out say nothing about speed.
        self.latency_ms = Histogram(
            "export_latency_ms",
            "Of completed exports: milliseconds from the request record's timestamp to completion.",
            ["format", "size"],
            buckets=LATENCY_BUCKETS_MS,
            registry=registry,
        )
        self.bytes = Counter(
            "export_bytes_total",
            "Bytes of files. Only an export that succeeded leaves one.",
            ["format", "status"],
            registry=registry,
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
    """The node's own metrics, all ``sluice_*``, in base units."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open_exports = Gauge(
            "sluice_open_exports", "Exports accepted and unfinished.", registry=registry
        )
        self.slots = Gauge(
            "sluice_slots",
            "Slots of the node: the most that export_concurrent_running can be.",
            registry=registry,
        )
        self._declare_partitions(registry)
        self._declare_work(registry)
        self._declare_uploads(registry)
        self._declare_expiry(registry)
        self._declare_doubts(registry)
        self._declare_loop(registry)
        # Set by a separate check: a scrape must not wait for an unreachable Kafka.
        self.ready = Gauge(
            "sluice_ready",
            "1 while /ready would answer 200, 0 otherwise; checked every 5 s.",
            registry=registry,
        )
        # What a node counted before its first scrape, no increase() sees: a young one has counted
        # all that it says within its age.
        self.start_time_seconds = Gauge(
            "sluice_start_time_seconds", "When the node started, in Unix time.", registry=registry
        )
        # Always 1: what it says is in its labels, to be joined with other metrics.
        self.build_info = Gauge(
            "sluice_build_info", "Always 1.", ["version", "python"], registry=registry
        )
        self._begin_at_zero()

    def _declare_partitions(self, registry: CollectorRegistry) -> None:
        """Series for as long as a partition is assigned to the node."""
        self.lag_records = Gauge(
            "sluice_consumer_lag_records",
            "Records of an assigned partition still to be handled, up to the last stable offset "
            "that was last fetched.",
            ["topic", "partition"],
            registry=registry,
        )
        # With the lag it distinguishes a stopped partition from a slow one: a hung write raises
        # nothing.
        self.position_offset = Gauge(
            "sluice_consumer_position_offset",
            "Offset of the next record of an assigned partition to be handled.",
            ["topic", "partition"],
            registry=registry,
        )
        self.partition_trouble = Gauge(
            "sluice_partition_trouble",
            "1 while an assigned partition stands still until someone acts, or keeps failing; "
            "/ready says why.",
            ["partition"],
            registry=registry,
        )

    def _declare_work(self, registry: CollectorRegistry) -> None:
        # A turn is one partition's, in one slot; its count is the number of turns.
        self.turn_seconds = Histogram(
            "sluice_turn_seconds",
            "How long turns held a slot.",
            buckets=TURN_BUCKETS_SECONDS,
            registry=registry,
        )
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
        self.truncated_cells = Counter(
            "sluice_truncated_cells_total",
            "Cells of completed exports that their files don't show whole.",
            ["format"],
            registry=registry,
        )
        self.replaced_characters = Counter(
            "sluice_replaced_characters_total",
            "Characters of completed exports that their files show as U+FFFD.",
            ["format"],
            registry=registry,
        )
        self.batches_applied = Counter(
            "sluice_batches_applied_total",
            "Batches whose rows are whole in a file, by what encoded them.",
            ["encoder"],
            registry=registry,
        )
        self.batches_dropped = Counter(
            "sluice_batches_dropped_total",
            "Batches that changed nothing.",
            ["why"],
            registry=registry,
        )
        self.messages_set_aside = Counter(
            "sluice_messages_set_aside_total",
            "Messages set aside unread, as nodes had died on them twice, or broken.",
            registry=registry,
        )
        self.cancels_ignored = Counter(
            "sluice_cancels_ignored_total",
            "Cancellations of exports that had ended or were never requested.",
            registry=registry,
        )

    def _declare_uploads(self, registry: CollectorRegistry) -> None:
        """Of a storage in a bucket; with a directory they stay at 0."""
        self.upload_seconds = Histogram(
            "sluice_storage_upload_seconds",
            "How long files took into the bucket, until their manifests were made.",
            buckets=UPLOAD_BUCKETS_SECONDS,
            registry=registry,
        )
        self.uploaded_bytes = Counter(
            "sluice_storage_uploaded_bytes_total",
            "Bytes of files that were brought into the bucket.",
            registry=registry,
        )
        self.uploads_running = Gauge(
            "sluice_storage_uploads_running",
            "Files on their way into the bucket now.",
            registry=registry,
        )
        self.scratch_bytes = Gauge(
            "sluice_scratch_bytes",
            "Bytes in the scratch directory of files that are not in the bucket yet.",
            registry=registry,
        )

    def _declare_expiry(self, registry: CollectorRegistry) -> None:
        self.expired_files = Counter(
            "sluice_expired_files_total",
            "Files that were removed as they had expired. Several nodes may count one.",
            registry=registry,
        )
        self.expired_bytes = Counter(
            "sluice_expired_bytes_total", "Bytes of these files.", registry=registry
        )
        self.expired_manifests = Counter(
            "sluice_expired_manifests_total",
            "Manifests that were removed as they were old enough.",
            registry=registry,
        )
        self.expiry_failures = Counter(
            "sluice_expiry_failures_total",
            "Expired files and old manifests, or passes over them, that the storage refused.",
            registry=registry,
        )

    def _declare_loop(self, registry: CollectorRegistry) -> None:
        # Heartbeats and all responses share the one event loop.
        self.loop_stall_seconds = Histogram(
            "sluice_event_loop_stall_seconds",
            "How long the event loop stood still, each time that it did for 50 ms and more.",
            buckets=STALL_BUCKETS_SECONDS,
            registry=registry,
        )
        self.loop_longest_stall_seconds = Gauge(
            "sluice_event_loop_longest_stall_seconds",
            "The longest of these since the node started.",
            registry=registry,
        )

    def _declare_doubts(self, registry: CollectorRegistry) -> None:
        """What was done over, and why."""
        self.rebalances = Counter(
            "sluice_rebalances_total", "Assignments received from the group.", registry=registry
        )
        self.lane_reloads = Counter(
            "sluice_lane_reloads_total",
            "Times a partition's state was dropped and read again.",
            registry=registry,
        )
        self.storage_retries = Counter(
            "sluice_storage_retries_total",
            "Turns, and ends of exports apart from turns, that the storage refused and that are "
            "taken again.",
            registry=registry,
        )
        # More than retries: a storage that refuses the takeover of a partition counts too.
        self.storage_errors = Counter(
            "sluice_storage_errors_total",
            "Errors of the storage that a partition met.",
            ["errno"],
            registry=registry,
        )
        # A kill by chance leaves one as well, if it hits a message in hand.
        self.suspect_messages = Counter(
            "sluice_suspect_messages_total",
            "Messages that owners of a partition had in hand when they died, seen at a takeover.",
            registry=registry,
        )
        self.parts_swept = Counter(
            "sluice_parts_swept_total", "Partial files of former owners removed.", registry=registry
        )

    def _begin_at_zero(self) -> None:
        for reason in DeadLetterReason:
            self.dead_letters.labels(reason=reason)
        self.truncated_cells.labels(Format.PDF)
        for file_format in (Format.PDF, Format.XML):
            self.replaced_characters.labels(file_format)
        for encoder in Encoder:
            self.batches_applied.labels(encoder=encoder)
        for why in Dropped:
            self.batches_dropped.labels(why=why)
        for outcome in ("committed", "aborted"):
            self.transaction_seconds.labels(outcome=outcome)
        for number in EXPECTED_ERRNOS:
            self.storage_errors.labels(errno=errno.errorcode[number])
        self.storage_errors.labels(errno=OTHER_ERROR)
