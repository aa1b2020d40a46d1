"""Records events: each updates every metric it belongs to.

Invariant: memory is bounded. Labels come from closed sets, except the user: only the first 100 have
series of their own. Thread-safe, because turns report from their threads.
"""

import errno
import platform
import time
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import version
from threading import Lock

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from consumer.metrics.catalogue import (
    OTHER_ERROR,
    UNKNOWN_FORMAT,
    ContractMetrics,
    Dropped,
    Encoder,
    NodeMetrics,
)
from consumer.metrics.memory import resident_bytes
from consumer.metrics.window import SlidingCount
from schemas.completions import ExportCompleted, ExportFailed, TerminalEvent
from schemas.requests import is_user
from schemas.vocabulary import DeadLetterReason, Format

MAX_USERS = 100
OTHER_USERS = "other"

_FORMATS = (*Format, UNKNOWN_FORMAT)
# The contract's windows.
_THROUGHPUT_SECONDS = 60
_SUCCESS_SECONDS = 600


class Metrics:
    """All metrics of one node, in their own registry.

    ``clock`` gives seconds that never run backwards; the sliding windows go by it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry: CollectorRegistry = _Registry()
        self._contract = ContractMetrics(self.registry)
        self._node = NodeMetrics(self.registry)
        self._users: set[str] = set()
        self._users_lock = Lock()
        self._topics: set[str] = set()
        self._longest_stall_seconds = 0.0
        self._recent = {name: _Recent(clock) for name in _FORMATS}
        for name in Format:
            recent = self._recent[name]
            self._contract.throughput.labels(name).set_function(recent.per_second)
            self._contract.success_percent.labels(name).set_function(recent.success_percent)
        self._node.build_info.labels(version("sluice"), platform.python_version()).set(1)
        self._node.start_time_seconds.set_to_current_time()

    def watch(self, running: Callable[[], int], open_exports: Callable[[], int]) -> None:
        """Call these at each scrape, for slots held and for exports accepted and unfinished."""
        self._contract.running.set_function(running)
        # Two readings, of which the second may be of a moment later.
        self._contract.queue_depth.set_function(lambda: max(0, open_exports() - running()))
        self._node.open_exports.set_function(open_exports)

    def ready(self, ready: bool) -> None:
        """Whether the node can work, as /ready answers."""
        self._node.ready.set(ready)

    def loop_stalled(self, seconds: float) -> None:
        """The event loop stood still for so long."""
        self._node.loop_stall_seconds.observe(seconds)
        self._longest_stall_seconds = max(self._longest_stall_seconds, seconds)
        self._node.loop_longest_stall_seconds.set(self._longest_stall_seconds)

    def slots(self, capacity: int) -> None:
        """Set how many turns may run at a time."""
        self._node.slots.set(capacity)

    def ended(self, event: TerminalEvent) -> None:
        """An export's terminal event is committed."""
        recent = self._recent[event.format]
        match event:
            case ExportCompleted():
                self._request(event.format, "succeeded", event.user)
                self._contract.bytes.labels(event.format, "succeeded").inc(event.bytes)
                latency = self._contract.latency_ms.labels(event.format, _size(event.rows))
                latency.observe(event.duration_ms)
                if event.truncated_cells is not None:
                    self._node.truncated_cells.labels(event.format).inc(event.truncated_cells)
                if event.replaced_characters is not None:
                    replaced = self._node.replaced_characters.labels(event.format)
                    replaced.inc(event.replaced_characters)
                recent.completed()
            case ExportFailed():
                self._request(event.format, "failed", event.user)
                self._contract.failures.labels(event.reason, event.format).inc()
                recent.failed()
            case _:
                self._request(event.format, "cancelled", event.user)

    def duplicate(self, file_format: str, user: str) -> None:
        """A request was a repeat and was ignored."""
        self._request(file_format, "duplicate", user)

    def turn(self, seconds: float) -> None:
        """A lane gave its slot back after ``seconds``."""
        self._node.turn_seconds.observe(seconds)

    def wrote(self, formats: Collection[Format]) -> None:
        """A turn ended that wrote these formats."""
        if formats:
            # Of the whole process: what one format takes of it isn't known.
            resident = resident_bytes()
            for file_format in formats:
                self._contract.memory_bytes.labels(file_format).set(resident)

    def transaction(self, seconds: float, committed: bool) -> None:
        """A transaction ended: it was committed, or aborted."""
        outcome = "committed" if committed else "aborted"
        self._node.transaction_seconds.labels(outcome).observe(seconds)

    def dead_letter(self, reason: DeadLetterReason) -> None:
        """A dead letter is committed."""
        self._node.dead_letters.labels(reason).inc()

    def set_aside(self) -> None:
        """A message was set aside unread."""
        self._node.messages_set_aside.inc()

    def suspected(self, messages: int) -> None:
        """Count messages found that owners of a partition died on."""
        self._node.suspect_messages.inc(messages)

    def dropped(self, why: Dropped) -> None:
        """A batch changed nothing."""
        self._node.batches_dropped.labels(why).inc()

    def applied(self, *, natively: bool) -> None:
        """A batch is whole in its export's file."""
        self._node.batches_applied.labels(Encoder.NATIVE if natively else Encoder.PYTHON).inc()

    def cancel_ignored(self) -> None:
        """A cancellation named an export that isn't open."""
        self._node.cancels_ignored.inc()

    def rebalance(self) -> None:
        """The group gave this node an assignment."""
        self._node.rebalances.inc()

    def lane_reloaded(self) -> None:
        """A lane dropped its state and reads it again."""
        self._node.lane_reloads.inc()

    def storage_failed(self, error: Exception) -> None:
        """A partition met this error of the storage; its cause, an ``OSError``, names it."""
        cause = error.__cause__
        number = cause.errno if isinstance(cause, OSError) else None
        self._node.storage_errors.labels(errno.errorcode.get(number or 0, OTHER_ERROR)).inc()

    def storage_retried(self, error: Exception) -> None:
        """The storage refused a turn with this error, and the turn is retried."""
        self._node.storage_retries.inc()
        self.storage_failed(error)

    def upload_began(self) -> None:
        """A file begins its way into the bucket; ``upload_ended`` follows."""
        self._node.uploads_running.inc()

    def upload_ended(self, seconds: float, size: int | None) -> None:
        """It is there, with its manifest; or (no ``size`` in bytes) it was refused."""
        self._node.uploads_running.dec()
        if size is not None:
            self._node.upload_seconds.observe(seconds)
            self._node.uploaded_bytes.inc(size)

    def watch_scratch(self, count_bytes: Callable[[], int]) -> None:
        """Call this at each scrape: bytes in the scratch directory."""
        self._node.scratch_bytes.set_function(count_bytes)

    def files_expired(self, files: int, size: int) -> None:
        """So many files, of so many bytes together, were removed as they had expired."""
        self._node.expired_files.inc(files)
        self._node.expired_bytes.inc(size)

    def manifests_expired(self, manifests: int) -> None:
        """So many manifests were removed as they were old enough."""
        self._node.expired_manifests.inc(manifests)

    def expiry_refused(self, count: int) -> None:
        """So many of them the storage refused to remove."""
        self._node.expiry_failures.inc(count)

    def swept(self, parts: int) -> None:
        """So many partial files of former owners were removed."""
        self._node.parts_swept.inc(parts)

    def progress(self, topic: str, partition: int, position: int, lag: int) -> None:
        """An assigned partition's next offset, and how many records are still to be handled."""
        self._topics.add(topic)
        self._node.position_offset.labels(topic, partition).set(position)
        self._node.lag_records.labels(topic, partition).set(lag)

    def trouble(self, partition: int, *, troubled: bool) -> None:
        """Whether an assigned partition stands still or keeps failing."""
        self._node.partition_trouble.labels(partition).set(troubled)

    def forget_partition(self, partition: int) -> None:
        """The partition is no longer ours; its owner reports it."""
        for metric in (self._node.position_offset, self._node.lag_records):
            for topic in self._topics:
                metric.remove(topic, partition)
        self._node.partition_trouble.remove(partition)

    def _request(self, file_format: str, status: str, user: str) -> None:
        known = file_format if file_format in _FORMATS else UNKNOWN_FORMAT
        self._contract.requests.labels(known, status, self._user_label(user)).inc()

    def _user_label(self, user: str) -> str:
        # A label is no place for a long text; nobody reads it there, and each scrape carries it.
        # Control characters come in events of builds that took them; some parsers can't read them.
        if not is_user(user):
            return OTHER_USERS
        with self._users_lock:
            if len(self._users) < MAX_USERS:
                self._users.add(user)
            return user if user in self._users else OTHER_USERS


class _Registry(CollectorRegistry):
    """Without the ``_created`` series that the library adds to each counter and histogram.

    The contract has no such names. The library's own switch is one for the whole process.
    """

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


class _Recent:
    """What became of one format's exports lately."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._completed_last_minute = SlidingCount(_THROUGHPUT_SECONDS, clock)
        self._completed = SlidingCount(_SUCCESS_SECONDS, clock)
        self._failed = SlidingCount(_SUCCESS_SECONDS, clock)

    def completed(self) -> None:
        self._completed_last_minute.add()
        self._completed.add()

    def failed(self) -> None:
        self._failed.add()

    def per_second(self) -> float:
        return self._completed_last_minute.total() / _THROUGHPUT_SECONDS

    def success_percent(self) -> float:
        completed, failed = self._completed.total(), self._failed.total()
        return 100.0 * completed / (completed + failed) if completed + failed else 100.0


def _size(rows: int) -> str:
    """The contract's classes: small up to 1,000 rows, medium up to 10,000, large above."""
    if rows <= 1_000:
        return "small"
    return "medium" if rows <= 10_000 else "large"
