"""One partition's lane: its order, its one task, from taking the partition over to losing it.

    load    start the producer (fences the predecessor), read what is committed, sweep, seek
    work    take from the feeds, a turn in a slot, a transaction on its way while the next turn runs
    rest    during a rebalance: turns and transactions finished, queues dropped, position kept
    reload  after any doubt: drop the producer and the partial files, wait a heartbeat, load

A kept partition goes on with its producer and its state: any other owner must have started a
producer before its first read, so ours would be fenced at its next transaction. Invariant: a lane
decides nothing before ``load`` has fenced the owner before.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from consumer.core.admission_limit import admission_limit
from consumer.core.budget import TURN_BYTES
from consumer.core.resume import ResumePoint, whole_resume_point
from consumer.core.storage_retry import RetryBudget
from consumer.errors import ConsumerError, LaneStopped, MessageFault, PartLost, StorageUnavailable
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from consumer.lanes.commits import COMMIT_SECONDS, Commits
from consumer.lanes.deaths import count_deaths
from consumer.lanes.faults import Faults
from consumer.lanes.health import WORKING, Health, HealthKind
from consumer.lanes.idle import IdleWatch
from consumer.lanes.lane_context import LaneContext
from consumer.lanes.transactions import PartitionProducer
from consumer.lanes.turns import Turns

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
LASTING_SECONDS = 10.0
MANY_RELOADS = 3
STOPPED_SECONDS = 30.0
SILENT_SECONDS = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _OwnerSearch:
    """Read requests up to ``requests_end``; then batches below ``records_below`` have theirs."""

    requests_end: int
    records_below: int
    begun_at: float


class Lane:
    """One partition's task and what the group may ask of it."""

    def __init__(self, partition: int, context: LaneContext) -> None:
        self.partition = partition
        self._health = WORKING
        self._context = context
        self._moved = asyncio.Event()
        self._go = asyncio.Event()
        self._go.set()
        self._rest_requested = False
        self._resting = asyncio.Event()
        self._resting.set()
        self.requests, self.records = context.feeds(partition, self._moved.set)
        self._in_hand = context.export_context.in_hand.begin(partition)
        self._exports: PartitionExports | None = None
        self._search: _OwnerSearch | None = None
        self._stop_requested: str | None = None
        self._positions = (0, 0)
        self._dead_letter_bytes = context.destination.dead_letter_bytes
        self._reloads = 0
        self._loaded_at = math.inf
        self._retry_budget = RetryBudget(context.limits.storage_timeout_seconds)
        self._faults = Faults(partition, context.export_context, context.threads)
        self._task = asyncio.create_task(self._run(), name=f"lane-{partition}")

    # What the group asks and tells.

    @property
    def health(self) -> Health:
        """Whether it makes progress, and why not."""
        silent_seconds = self._in_hand.storage_seconds()
        if silent_seconds > SILENT_SECONDS:
            return WORKING.failing(f"the storage does not answer, for {silent_seconds:.0f} s now")
        return self._health

    @property
    def open_count(self) -> int:
        """Exports accepted and unfinished."""
        return self._exports.open_count if self._exports else 0

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes so far of an export that is open here."""
        return self._exports.progress(export_id) if self._exports else None

    @property
    def positions(self) -> tuple[int, int]:
        """Offsets to be handled next, of requests and records; while it reloads, as last known."""
        if self._exports:
            self._positions = self._exports.next_offsets
        return self._positions

    @property
    def lag(self) -> tuple[int, int]:
        """Messages not handled yet, of requests and records, likewise."""
        requests, records = self.positions
        return self.requests.behind(requests), self.records.behind(records)

    @property
    def working(self) -> bool:
        """Whether the partition was taken over and is not resting."""
        return self._exports is not None and not self._resting.is_set()

    async def rest(self) -> None:
        """Come to rest for a rebalance: returns when turns and transactions are finished."""
        self._go.clear()
        self._rest_requested = True
        self._moved.set()
        await self._resting.wait()

    def go_on(self) -> None:
        """The partition was kept: go on where it was."""
        self._go.set()

    def abandon(self) -> None:
        """The revoke's deadline has passed: decide nothing more."""
        if self._exports:
            self._exports.abandon()

    def stop(self, problem: str) -> None:
        """Stop loudly: a person has to act."""
        self._stop_requested = problem
        self._moved.set()

    async def drop(self) -> None:
        """The partition is lost: remove what is partial, close what is open; never raises."""
        self.abandon()
        self.requests.detach()
        self.records.detach()
        self._task.cancel()
        await asyncio.wait([self._task])

    # The lane's own task.

    async def _run(self) -> None:
        while not self._task.cancelling():
            await self._go.wait()
            seconds = HEARTBEAT_SECONDS
            try:
                await self._own()
            except LaneStopped as error:
                self._say_stopped(str(error))
                seconds = STOPPED_SECONDS  # then see whether a person has acted
            except (ConsumerError, KafkaError, OSError) as error:
                self._say_reloading(error)
            except Exception as error:
                if self._task.cancelling():
                    return  # the node's threads are gone before a call that hung was
                log.exception("lane failed", partition=self.partition)
                self._say_reloading(error)
            finally:
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
        """Own the partition until something is in doubt, which is raised."""
        to = self._context.destination
        producer = PartitionProducer(self.partition, to, self._dead_letter_bytes)
        commits: Commits | None = None
        try:
            committed, exports = await self._load(producer)
            metrics = self._context.export_context.metrics
            published, moved = self._context.published_events, self._moved.set
            commits = Commits(producer, published, exports, metrics, committed, moved)
            await self._work(exports, self._turns(exports), commits, self._idle_watch(exports))
        except MessageFault as fault:
            await self._faults.count(fault)
            raise
        except MessageSizeTooLargeError:
            # The topic takes less than it says, or than we reckon: forward less the next time.
            self._dead_letter_bytes //= 4
            raise
        finally:
            await self._unload(producer, commits)

    async def _load(
        self, producer: PartitionProducer
    ) -> tuple[ResumePoint | None, PartitionExports]:
        """Take the partition over. The steps are those of docs/architecture.md."""
        # 1. Fence the predecessor; only now are offsets stable.
        await producer.start()
        # 2. Read where to resume.
        committed = await self._context.cluster.committed(self.partition)
        starts = await self._context.cluster.log_starts(self.partition)
        try:
            point = whole_resume_point(committed, starts)
        except ValueError as error:
            raise LaneStopped(str(error)) from None
        # 3. Remove the partial files of former owners.
        context = self._context
        self._in_hand = in_hand = context.export_context.in_hand.begin(self.partition)
        swept = await self._in_thread(self._sweep)
        # 4. Read their marks, and commit what they died on.
        point = await count_deaths(
            point, producer, context.export_context, context.threads, in_hand
        )
        # 5. Begin with the open exports of the resume point.
        given_up = self._retry_budget.given_up(time.monotonic())
        exports = PartitionExports(
            self.partition, point, context.export_context, given_up, self._faults.above(point)
        )
        self._exports, self._in_hand = exports, exports.in_hand
        self._search = self._stop_requested = None
        # 6. Wait while the group rebalances.
        await self._wait_to_resume()
        self._health = self._health.taken_over()
        self._loaded_at = time.monotonic()
        # 7. Read on from there.
        self._seat(min((point.requests_position, *point.open_requests)), point.records_resume)
        log.info(
            "partition taken over",
            partition=self.partition,
            offset=point.records_resume,
            open_exports=len(point.open_requests),
            swept=swept,
        )
        return (point if all(committed) else None), exports

    async def _unload(self, producer: PartitionProducer, commits: Commits | None) -> None:
        self.requests.stop()
        self.records.stop()
        exports, self._exports = self._exports, None
        if commits:
            await commits.drop()
        if exports:
            # A node that has ended has no threads left; the next owner sweeps.
            with contextlib.suppress(RuntimeError):
                await self._in_thread(exports.discard)
        await producer.drop()

    async def _work(
        self, exports: PartitionExports, turns: Turns, commits: Commits, idle: IdleWatch
    ) -> None:
        while True:
            self._moved.clear()
            if self._rest_requested:
                await self._rest_until_resumed(exports, commits)
            if self._stop_requested:
                raise LaneStopped(self._stop_requested)
            unpacking = await self._unpack(exports)
            self._take(exports)
            await idle.expire()
            full = exports.outcome_full and commits.advance()
            if self._can_turn(exports) and not turns.wait_seconds and not full:
                await self._turn(exports, turns, commits)
                commits.advance()
                continue
            commits.advance()
            self._note_health(turns, commits)
            if not unpacking:
                await self._wait(turns.wait_seconds or COMMIT_SECONDS)

    async def _turn(self, exports: PartitionExports, turns: Turns, commits: Commits) -> None:
        result = await turns.run()
        if result.owner_found:
            self._search = None
        if result.end is TurnEnd.OWNER_UNKNOWN and self._search is None:
            # One search at a time, or steady requests would move its end for ever.
            await self._begin_search()
        if result.orphan_pending:  # before its id can be requested after all
            await commits.finish()
            exports.orphan_committed()

    async def _unpack(self, exports: PartitionExports) -> bool:
        """Unpack a piece of what is next in each feed, if it is packed; whether there is more."""
        threads = self._context.threads
        more = not exports.pending_requests and await self.requests.unpack(threads)
        return (not exports.pending_records and await self.records.unpack(threads)) or more

    def _take(self, exports: PartitionExports) -> None:
        """Hand over a turn's worth; requests only as far as more exports may be open."""
        if not exports.pending_requests:
            allowed = admission_limit(
                max_open=self._context.limits.max_open_exports,
                open_count=exports.open_count,
                searching=self._search is not None and not exports.batches_next,
                restored_below=exports.next_offsets[0] if exports.restoring else None,
            )
            taken = self.requests.take(TURN_BYTES, allowed.most, allowed.free_below)
            exports.take_requests(taken)
        if not exports.pending_records:
            exports.take_records(self.records.take(TURN_BYTES))
        exports.advance(
            0 if self.requests else self.requests.position,
            0 if self.records else self.records.position,
        )

    def _can_turn(self, exports: PartitionExports) -> bool:
        if self._search is None:
            return exports.runnable
        # Handled up to it: steady requests would keep us for ever, had the feed to run dry first.
        if exports.next_offsets[0] >= self._search.requests_end:
            exports.owners_known(self._search.records_below)
            self._search = None
            return True
        return exports.writes_due or exports.pending_requests or exports.batches_next

    async def _begin_search(self) -> None:
        """A batch's owner isn't known: requests up to an end fetched from now on may hold it."""
        below = self.records.position
        end = await self._context.cluster.end(self.requests.partition)
        self._search = _OwnerSearch(end, below, time.monotonic())

    async def _rest_until_resumed(self, exports: PartitionExports, commits: Commits) -> None:
        if not exports.settled:
            raise PartLost("a rebalance came while the storage refused")
        if commits.looked_for_seconds > HEARTBEAT_SECONDS:
            raise PartLost("a rebalance came while events were looked for")
        await commits.finish()
        self.requests.stop()
        self.records.stop()
        exports.drop_pending()
        self._search = None
        self._resting.set()
        await self._wait_to_resume()
        if exports.restoring:
            raise PartLost("a rebalance came before open requests were read")
        self._seat(*exports.next_offsets)

    async def _wait_to_resume(self) -> None:
        while not self._go.is_set():
            await self._go.wait()
        self._rest_requested = False

    def _note_health(self, turns: Turns, commits: Commits) -> None:
        now, search = time.monotonic(), self._search
        if turns.health is not WORKING:
            self._health = turns.health
        elif commits.looked_for_seconds > LASTING_SECONDS:
            waits = "events wait: a transaction is open on the completions topic"
            self._health = WORKING.failing(waits)
        elif search and now - search.begun_at > LASTING_SECONDS:
            waits = "a batch waits for its request: a transaction is open on the requests"
            self._health = WORKING.failing(waits)
        elif now - self._loaded_at > LASTING_SECONDS:
            self._health = WORKING

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()

    def _seat(self, requests_offset: int, records_offset: int) -> None:
        self.requests.start_at(requests_offset)
        self.records.start_at(records_offset)
        self._resting.clear()

    def _turns(self, exports: PartitionExports) -> Turns:
        context, metrics = self._context, self._context.export_context.metrics
        return Turns(exports, context.slots, context.threads, metrics, self._retry_budget)

    def _idle_watch(self, exports: PartitionExports) -> IdleWatch:
        context = self._context
        timeout_seconds = context.limits.idle_timeout_seconds
        return IdleWatch(exports, context.cluster, self.records.partition, timeout_seconds)

    def _sweep(self) -> int:
        with self._in_hand:
            swept = self._context.export_context.storage.sweep(self.partition)
        self._context.export_context.metrics.swept(swept)
        return swept

    async def _in_thread(self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._context.threads, call)
