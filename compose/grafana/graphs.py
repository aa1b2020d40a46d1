"""What the dashboard shows: graphs and their queries, in rows.

Queries stand on the metrics of docs/metrics.md and on the service levels that rules/export.yml
records. Invariant: each query is of the group that is chosen, ``$job``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Graph:
    """Lines over time.

    ``queries`` are PromQL, each with the legend of its series; ``unit`` is Grafana's name of one;
    ``limits`` are drawn across.
    """

    title: str
    says: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    limits: tuple[float, ...] = ()
    low_is_bad: bool = False


def _level(name: str) -> str:
    return f'{name}{{job="$job"}}'


def _sum(metric: str, by: str) -> str:
    return f'sum by ({by}) ({metric}{{job="$job"}})'


def _rate(metric: str, by: str) -> str:
    return f'sum by ({by}) (rate({metric}{{job="$job"}}[$__rate_interval]))'


def _events(metric: str, by: str) -> str:
    return f'sum by ({by}) (increase({metric}{{job="$job"}}[$__rate_interval]))'


def _p95(histogram: str, by: str) -> str:
    return f"histogram_quantile(0.95, {_rate(f'{histogram}_bucket', by)})"


_SERVICE_LEVELS = (
    Graph(
        "Latency, P95",
        "Of completed exports, from the request to the end. Alert: ExportLatencyP95High",
        "ms",
        (
            (_level("job:export_latency_ms:p95_5m"), "all"),
            (_p95("export_latency_ms", "format, size, le"), "{{format}} {{size}}"),
        ),
        limits=(10_000, 30_000),
    ),
    Graph(
        "Success rate",
        "Completed, of those completed or failed in 10 minutes. Alert: ExportSuccessRateLow",
        "percent",
        (
            (_level("job:export_success:percent_10m"), "all"),
            (_sum("export_success_rate", "instance, format"), "{{instance}} {{format}}"),
        ),
        limits=(90, 95),
        low_is_bad=True,
    ),
    Graph(
        "Throughput",
        "Exports completed per second, over a minute. Alert: ExportThroughputLow",
        "ops",
        (
            (_level("job:export_throughput:per_second"), "all"),
            (_sum("export_throughput_ops_per_sec", "format"), "{{format}}"),
        ),
    ),
    Graph(
        "Bytes",
        "Of finished files, per second.",
        "Bps",
        ((_rate("export_bytes_total", "format"), "{{format}}"),),
    ),
    Graph(
        "Bytes in an hour",
        "Of finished files. Alert: ExportBytesAnomaly",
        "decbytes",
        ((_level("job:export_bytes:increase_1h"), "all"),),
        limits=(1e9,),
    ),
    Graph(
        "Failures",
        "Exports failed, by reason. Alert: ExportFailSpike",
        "short",
        ((_events("export_fail_total", "reason"), "{{reason}}"),),
    ),
)

_NODES = (
    Graph(
        "Concurrent",
        "Slots held, of those there are. Alerts: ExportSaturated, ExportConcurrentHigh",
        "short",
        (
            (_sum("export_concurrent_running", "instance"), "{{instance}}"),
            (_sum("sluice_slots", "instance"), "{{instance}} has"),
        ),
        limits=(10,),
    ),
    Graph(
        "Open exports",
        "Accepted and unfinished; waiting are those that hold no slot.",
        "short",
        (
            (_sum("sluice_open_exports", "instance"), "{{instance}}"),
            (_sum("export_queue_depth", "instance"), "{{instance}} waiting"),
        ),
    ),
    Graph(
        "Memory",
        "Resident memory of a node, after its last turn of a format.",
        "bytes",
        ((_sum("export_memory_bytes", "instance, format"), "{{instance}} {{format}}"),),
    ),
    Graph(
        "Turns",
        "Per second, of all partitions.",
        "ops",
        ((_rate("sluice_turn_seconds_count", "instance"), "{{instance}}"),),
    ),
    Graph(
        "Turns, P95",
        "How long a turn holds its slot.",
        "s",
        ((_p95("sluice_turn_seconds", "instance, le"), "{{instance}}"),),
    ),
    Graph(
        "Event loop, P95 of stalls",
        "How long it stands still, when it does for 50 ms and more. The log names the message.",
        "s",
        ((_p95("sluice_event_loop_stall_seconds", "instance, le"), "{{instance}}"),),
    ),
    Graph(
        "Nodes",
        "Those that answer. Alerts: ExportNodeAbsent, ExportNodeGone, ExportNodeNotReady",
        "short",
        (
            (_sum("up", "job"), "up"),
            (_sum("sluice_ready", "job"), "ready"),
            (_sum("sluice_build_info", "version, python"), "Sluice {{version}}, Python {{python}}"),
        ),
    ),
)

_KAFKA = (
    Graph(
        "Lag",
        "Records still to be handled, by topic. Alert: ExportLagGrowing",
        "short",
        (
            (_level("job:sluice_consumer_lag_records:sum"), "all"),
            (_sum("sluice_consumer_lag_records", "topic"), "{{topic}}"),
        ),
    ),
    Graph(
        "Lag of partitions",
        "Requests and records together. Alert: ExportPartitionStuck",
        "short",
        (
            (_sum("sluice_consumer_lag_records", "partition"), "{{partition}}"),
            (_sum("sluice_partition_trouble", "partition"), "{{partition}} is in trouble"),
        ),
    ),
    Graph(
        "Dead letters",
        "Messages that belong to no export, by reason. Alert: ExportDeadLetters",
        "short",
        ((_events("sluice_dead_letters_total", "reason"), "{{reason}}"),),
    ),
    Graph(
        "Transactions",
        "Per second, by outcome.",
        "ops",
        ((_rate("sluice_transaction_seconds_count", "outcome"), "{{outcome}}"),),
    ),
    Graph(
        "Transactions, P95",
        "How long a transaction takes.",
        "s",
        ((_p95("sluice_transaction_seconds", "outcome, le"), "{{outcome}}"),),
    ),
    Graph(
        "Done over",
        "Rebalances, partitions read again, refusals of the storage. Alerts: ExportStorageFailing, "
        "ExportExpiryFailing",
        "short",
        (
            (_events("sluice_rebalances_total", "job"), "rebalances"),
            (_events("sluice_lane_reloads_total", "job"), "reloads"),
            (_events("sluice_storage_retries_total", "job"), "storage retries"),
            (_events("sluice_storage_errors_total", "errno"), "storage: {{errno}}"),
            (_events("sluice_expiry_failures_total", "job"), "removals refused"),
        ),
    ),
    Graph(
        "Seconds until a file is in the bucket and decided (P95)",
        "Of an object store. Without one, nothing.",
        "s",
        ((_p95("sluice_storage_upload_seconds", "le"), "upload"),),
    ),
    Graph(
        "Bytes into the bucket a second, and on scratch disks",
        "Files wait on a scratch disk until they are uploaded; it must not fill up.",
        "bytes",
        (
            (_rate("sluice_storage_uploaded_bytes_total", "job"), "uploaded a second"),
            (_sum("sluice_scratch_bytes", "instance"), "waiting: {{instance}}"),
        ),
    ),
    Graph(
        "Files on their way into the bucket",
        "At most 20 on each node; more wait on its disk.",
        "short",
        ((_sum("sluice_storage_uploads_running", "instance"), "{{instance}}"),),
    ),
)

ROWS = {"Service levels": _SERVICE_LEVELS, "Nodes": _NODES, "Kafka and storage": _KAFKA}
