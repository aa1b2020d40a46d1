"""One partition's lane: a single task, from takeover to loss of the partition.

    load    start the producer (fences the predecessor), fetch what is committed, sweep, start feeds
    work    take from the feeds, a turn in a slot, a transaction on its way while the next turn runs
    rest    during a rebalance: turns and transactions finished, queues dropped, position kept
    reload  after any doubt: drop the producer and the partial files, wait a heartbeat, load

``consumer.core.lane_machine`` splits these into states. A kept partition resumes with its producer
and exports: any other owner would have started a producer before its first read, so ours would be
fenced at the next transaction. Invariant: a lane does only what the state of its machine says.
"""

import asyncio
import contextlib
import math
import time

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from consumer.core.lane_machine import Event, LaneMachine, State, Step
from consumer.core.second_attempts import SecondAttempts
from consumer.core.storage_retry import RetryBudget
from consumer.core.suspects import MessagePlace
from consumer.errors import ConsumerError, LaneStopped, MessageFault, StorageUnavailable
from consumer.exports.in_hand import SILENT_SECONDS
from consumer.exports.partition import PartitionExports
from consumer.lanes.commits import Commits
from consumer.lanes.faults import Faults
from consumer.lanes.health import WORKING, Health, HealthKind
from consumer.lanes.lane_context import LaneContext
from consumer.lanes.takeover import Takeover
from consumer.lanes.transactions import PartitionProducer
from consumer.lanes.turns import Turns
from consumer.lanes.work import HEARTBEAT_SECONDS, Work, until_ours

log = structlog.get_logger(__name__)

# A lane that has been loaded this long counts as working; earlier failures count as consecutive.
LASTING_SECONDS = 10.0
# /ready ignores fewer consecutive failures: any inconsistency leads to a reload.
MANY_RELOADS = 3
# How often a stopped lane retries the takeover, in case a person has acted.
STOPPED_SECONDS = 30.0


class Lane:
    """One partition's task, and its interface to the group."""

    def __init__(self, partition: int, context: LaneContext) -> None:
        self.partition = partition
        self._health = WORKING
        self._context = context
        self._machine = LaneMachine()
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()
        # Set until the lane works: a revoke need not wait for a lane that is still loading.
        self._resting = asyncio.Event()
        self._resting.set()
        self.requests, self.records = context.feeds(partition, self._moved.set)
        self._in_hand = context.export_context.in_hand.begin(partition)
        self._work: Work | None = None
        # Kept here, so that position and lag stay visible while a lane keeps reloading.
        self._positions = (0, 0)
        self._dead_letter_bytes = context.destination.dead_letter_bytes
        self._reloads = 0
        self._loaded_at = math.inf
        # Survives reloads: otherwise each reload would restart the time a storage may refuse.
        self._retry_budget = RetryBudget(context.limits.storage_timeout_seconds)
        self._faults = Faults(partition, context.export_context, context.threads)
        self._second_attempts = SecondAttempts()
        self._task = asyncio.create_task(self._run(), name=f"lane-{partition}")

    # Called by the group.

    @property
    def health(self) -> Health:
        """Whether it makes progress, and if not, why."""
        silent_seconds = self._in_hand.silent_seconds()
        if silent_seconds > SILENT_SECONDS:
            return WORKING.failing(f"the storage does not answer, for {silent_seconds:.0f} s now")
        return self._health

    @property
    def open_count(self) -> int:
        """The number of exports accepted and unfinished."""
        return self._work.exports.open_count if self._work else 0

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes so far of an export open in this lane."""
        return self._work.exports.progress(export_id) if self._work else None

    @property
    def positions(self) -> tuple[int, int]:
        """The next offsets to handle, of requests and records; the last known during a reload."""
        if self._work:
            self._positions = self._work.exports.next_offsets
        return self._positions

    @property
    def lag(self) -> tuple[int, int]:
        """Messages not handled yet, of requests and records; the last known during a reload."""
        requests, records = self.positions
        return self.requests.behind(requests), self.records.behind(records)

    @property
    def working(self) -> bool:
        """Whether the partition was taken over and isn't resting."""
        return self._work is not None and not self._resting.is_set()

    async def quiesce(self) -> None:
        """Come to rest for a rebalance; returns when turns and transactions have finished."""
        self._machine.on(Event.REVOKED)
        self._moved.set()
        await self._resting.wait()

    def resume(self) -> None:
        """The partition was kept: resume where it was."""
        self._machine.on(Event.KEPT)
        self._moved.set()

    def abandon(self) -> None:
        """The revoke's deadline has passed: make no more decisions."""
        if self._work:
            self._work.exports.abandon()

    def stop(self, problem: str) -> None:
        """Stop and report it: a person has to act."""
        if self._work:
            self._work.stop_requested = problem
            self._moved.set()

    async def close(self) -> None:
        """The partition is lost: remove partial files and close everything; never raises."""
        # First: a turn that hangs on its thread may wake up later and must not decide anything
        # then.
        self.abandon()
        # The consumer may own the partition again with a new lane, which this one must not pause.
        self.requests.detach()
        self.records.detach()
        self._machine.on(Event.LOST)
        self._task.cancel()
        # Don't await the task itself: that would raise its exception.
        await asyncio.wait([self._task])

    # The lane's own task.

    async def _run(self) -> None:
        # Unloading can raise in place of a cancellation and so swallow it.
        while not self._task.cancelling():
            await until_ours(self._machine, self._moved)
            seconds = HEARTBEAT_SECONDS
            try:
                await self._own()
            except LaneStopped as error:
                self._say_stopped(str(error))
                seconds = STOPPED_SECONDS
            except (ConsumerError, KafkaError, OSError) as error:
                # None of these tells who owns the partition now: even ``ProducerFenced`` may be our
                # own timed-out transaction. So reload in any case.
                self._say_reloading(error)
            except Exception as error:
                if self._task.cancelling():
                    return  # the node shut its threads down while a call hung
                log.exception("lane failed", partition=self.partition)
                self._say_reloading(error)
            finally:
                # A lane that failed on its way to rest must not hold up the rebalance.
                self._resting.set()
            await asyncio.sleep(seconds)

    def _say_reloading(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        say = log.debug if self._context.cluster.contact.explains(error) else log.warning
        say("lane reloads", partition=self.partition, reason=reason)
        self._context.export_context.metrics.lane_reloaded()
        if isinstance(error, StorageUnavailable):
            self._context.export_context.metrics.storage_failed(error)
        lasted, self._loaded_at = time.monotonic() - self._loaded_at, math.inf
        self._reloads = 1 if lasted > LASTING_SECONDS else self._reloads + 1
        if self._reloads >= MANY_RELOADS:
            self._health = self._health.failing(f"loaded {self._reloads} times in a row: {reason}")

    def _say_stopped(self, problem: str) -> None:
        self._health = Health(HealthKind.STOPPED, problem)
        log.error("lane stopped", partition=self.partition, problem=problem)

    async def _own(self) -> None:
        """Own the partition until an inconsistency or failure, which is raised."""
        to = self._context.destination
        producer = PartitionProducer(self.partition, to, self._dead_letter_bytes)
        takeover = Takeover(self.partition, producer, self._context)
        # A takeover that got no answer is retried: its silence goes on.
        takeover.in_hand.silent_since = self._in_hand.silent_since
        self._in_hand = takeover.in_hand
        self._machine.on(Event.BEGIN)
        try:
            await self._drive(takeover.steps)
            self._work = self._open(takeover, producer)
            self._machine.on(Event.DONE)
            await self._drive(self._work.steps)
        except MessageFault as fault:
            await self._faults.count(fault)
            raise
        except MessageSizeTooLargeError:
            # The topic accepts less than its settings say or we computed: forward less next time.
            self._dead_letter_bytes //= 4
            raise
        finally:
            self._machine.on(Event.FAILED)
            try:
                # Also on cancellation or loss: then ``LEAVING`` stays ``LEAVING``.
                await self._unload(producer)
            finally:
                self._machine.on(Event.UNLOADED)

    async def _drive(self, steps: dict[State, Step]) -> None:
        """Perform states for as long as ``steps`` has them."""
        while perform := steps.get(self._machine.state):
            state = self._machine.on(await perform())
            if state is State.WORKING:
                # Clear it only now: from here on a revoke has to wait for turns and transactions.
                self._resting.clear()
            elif state is State.RESTING:
                self._resting.set()
            elif state is State.WAITING and self._work:
                self._note_health(self._work)

    def _open(self, takeover: Takeover, producer: PartitionProducer) -> Work:
        # 5. Start with the open exports of the resume point.
        context, point = self._context, takeover.point
        export_context, metrics = context.export_context, context.export_context.metrics
        given_up = self._retry_budget.given_up(time.monotonic())
        self._second_attempts.keep(
            lambda request: point.will_read(MessagePlace(is_batch=False, offset=request))
        )
        exports = PartitionExports(
            self.partition,
            point,
            export_context,
            given_up,
            self._faults.above(point),
            self._wake,
            self._second_attempts,
        )
        self._in_hand = exports.in_hand
        turns = Turns(exports, context.slots, context.threads, metrics, self._retry_budget)
        published, moved = context.published_events, self._moved.set
        commits = Commits(producer, published, exports, metrics, takeover.committed, moved)
        self._health = self._health.taken_over()
        self._loaded_at = time.monotonic()
        log.info(
            "partition taken over",
            partition=self.partition,
            offset=point.records_resume,
            open_exports=len(point.open_requests),
            swept=takeover.swept,
        )
        feeds = self.requests, self.records
        return Work(self._machine, self._moved, feeds, exports, turns, commits, context)

    async def _unload(self, producer: PartitionProducer) -> None:
        self.requests.stop()
        self.records.stop()
        # First: no status may be read from exports that are being discarded.
        work, self._work = self._work, None
        if work:
            # Before the producer, because the transaction uses it.
            await work.commits.drop()
            # A node that is shutting down has no threads left; the next owner sweeps.
            with contextlib.suppress(RuntimeError):
                await self._context.in_thread(work.exports.discard)
        await producer.drop()

    def _wake(self) -> None:
        """Wake the lane; callable from any thread."""
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(self._moved.set)

    def _note_health(self, work: Work) -> None:
        now, turns, commits, search = time.monotonic(), work.turns, work.commits, work.search
        if turns.health is not WORKING:
            self._health = turns.health
        elif trouble := work.exports.publication.trouble:
            self._health = WORKING.failing(trouble)
        elif commits.looked_for_seconds > LASTING_SECONDS:
            waits = "events wait: a transaction is open on the completions topic"
            self._health = WORKING.failing(waits)
        elif search and now - search.begun_at > LASTING_SECONDS:
            waits = "a batch waits for its request: a transaction is open on the requests"
            self._health = WORKING.failing(waits)
        elif now - self._loaded_at > LASTING_SECONDS:
            self._health = WORKING
