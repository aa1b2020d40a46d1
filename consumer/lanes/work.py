"""A loaded partition at work: take, turn, commit; rest during a rebalance, then resume.

Each method performs one state of ``consumer.core.lane_machine`` and returns the next event.
Invariants: a batch has no owner only if the requests were read to an end fetched after it; an
export is idle only if the records were read to an end fetched after its timeout, so nothing from
its upstream was still in flight.
"""

import asyncio
import contextlib
import math
from dataclasses import dataclass

from consumer.core.admission_limit import MOST_OPEN, Admissible, admission_limit
from consumer.core.budget import TURN_BYTES
from consumer.core.lane_machine import Assignment, Event, LaneMachine, State, Step
from consumer.errors import LaneStopped, PartLost
from consumer.exports.partition import PartitionExports
from consumer.exports.turn_result import TurnEnd
from consumer.lanes.commits import COMMIT_SECONDS, Commits
from consumer.lanes.feed import Feed
from consumer.lanes.lane_context import LaneContext
from consumer.lanes.turns import Turns

# The group's heartbeat interval. After a failure the lane waits this long before it reloads: by
# then the member knows whether it still owns the partition.
HEARTBEAT_SECONDS = 1.0
PROMPT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class OwnerSearch:
    """Once requests are read to ``requests_end``, batches below ``records_below`` are decided."""

    requests_end: int
    records_below: int
    begun_at: float


@dataclass(frozen=True, slots=True)
class IdleCheck:
    """Once records are read to ``records_end``, exports inactive since are idle."""

    records_end: int
    active_before: float


class Work:
    """One loaded partition. ``moved`` is set when messages arrive and when the group decides."""

    most_open = MOST_OPEN

    def __init__(
        self,
        machine: LaneMachine,
        moved: asyncio.Event,
        feeds: tuple[Feed, Feed],
        exports: PartitionExports,
        turns: Turns,
        commits: Commits,
        context: LaneContext,
    ) -> None:
        self.exports = exports
        self.turns = turns
        self.commits = commits
        self.search: OwnerSearch | None = None
        self.stop_requested: str | None = None
        self._machine = machine
        self._moved = moved
        self._requests, self._records = feeds
        self._context = context
        self._monotonic = context.export_context.monotonic
        self._idle_check: IdleCheck | None = None
        self._active_before = 0.0
        self._idle_from = -math.inf
        self._records_below = 0
        self._orphan_found = False
        self._settle_by: float | None = None
        self._unpacking = False

    @property
    def steps(self) -> dict[State, Step]:
        """The methods that perform the states of a loaded partition."""
        return {
            State.LOADED: self._start,
            State.WORKING: self._work,
            State.CHECKING_IDLE: self._check_idle,
            State.TURNING: self._turn,
            State.SEARCHING_OWNER: self._search_owner,
            State.CONFIRMING: self._confirm,
            State.WAITING: self._wait,
            State.QUIESCING: self._quiesce,
            State.RESTING: self._resume,
        }

    async def _start(self) -> Event:
        # 6. Wait while the group rebalances.
        await until_ours(self._machine, self._moved)
        # 7. Start reading there.
        point = self.exports.resume_point()
        return self._start_feeds(point.first_request, point.records_resume)

    async def _work(self) -> Event:
        # First: whatever arrives from here on ends the next wait.
        self._moved.clear()
        # ``KEPT`` rests too: the rebalance has reset the consumer to the committed offsets.
        if self._machine.assignment is not Assignment.OURS:
            return self._rest()
        if self.stop_requested:
            raise LaneStopped(self.stop_requested)
        self._unpacking = await self._unpack()
        self._take()
        if self._idle_check is None and self._is_long_idle():
            return Event.LONG_IDLE
        # Handled up to there, not only read: a batch waiting in the queue is activity too.
        if self._idle_check and self.exports.next_offsets[1] >= self._idle_check.records_end:
            check, self._idle_check = self._idle_check, None
            self.exports.expire(check.active_before)
        return self._due()

    async def _check_idle(self) -> Event:
        """Reaching that end may take a while; nothing waits for it."""
        called_at = self._monotonic()
        end = await self._context.cluster.fetch_end(self._records.partition)
        answered_at = self._monotonic()
        if answered_at - called_at > PROMPT_SECONDS:
            # Kafka was down, for upstream too: a node that reconnects first would end every export
            # whose upstream retries a moment later. So restart the whole timeout.
            self._idle_from = answered_at
        else:
            self._idle_check = IdleCheck(end, self._active_before)
        return self._due()

    async def _turn(self) -> Event:
        result = await self.turns.run()
        if result.owner_found:
            self.search = None
        self._orphan_found = result.orphan_pending
        # One search at a time, or a steady flow of requests would keep moving its end.
        if result.end is TurnEnd.OWNER_UNKNOWN and self.search is None:
            # Note this before fetching the requests' end: the request of a later batch may lie
            # above that end.
            self._records_below = self._records.position
            return Event.OWNER_UNKNOWN
        return self._commit()

    async def _search_owner(self) -> Event:
        """Read requests to an end fetched after the batch: its owner may be among them."""
        end = await self._context.cluster.fetch_end(self._requests.partition)
        self.search = OwnerSearch(end, self._records_below, self._monotonic())
        return self._commit()

    async def _confirm(self) -> Event:
        if self.commits.advance(at_once=True):
            await self.commits.wait()
            return Event.COMMITTING
        self.exports.orphan_committed()
        return Event.DONE

    async def _wait(self) -> Event:
        # With a packed batch in a feed, the next piece is due now and nothing would set ``moved``.
        if not self._unpacking:
            with contextlib.suppress(TimeoutError):
                # Progress has to be committed and idle exports found without new messages too.
                async with asyncio.timeout(self.turns.wait_seconds or COMMIT_SECONDS):
                    await self._moved.wait()
        return Event.DONE

    async def _quiesce(self) -> Event:
        if self.commits.advance(at_once=True):
            await self.commits.wait()
            return Event.COMMITTING
        self._requests.stop()
        self._records.stop()
        # The rebalance resets the consumer's positions, so the queues would be handled twice.
        self.exports.drop_pending()
        self.search = None
        return Event.DONE

    async def _resume(self) -> Event:
        await until_ours(self._machine, self._moved)
        # Positions don't tell which requests below them are still to be restored; resuming there
        # would skip those.
        if self.exports.restoring:
            raise PartLost("a rebalance came before open requests were read")
        return self._start_feeds(*self.exports.next_offsets)

    def _start_feeds(self, requests_offset: int, records_offset: int) -> Event:
        self._requests.start_at(requests_offset)
        self._records.start_at(records_offset)
        return Event.RESUME

    def _rest(self) -> Event:
        if not self.exports.settled:
            return self._settle()
        self._settle_by = None
        # Another producer's transaction can stay open for long; the group can't wait for it.
        if self.commits.looked_for_seconds > HEARTBEAT_SECONDS:
            raise PartLost("a rebalance came while events were looked for")
        return Event.REST_DUE

    def _settle(self) -> Event:
        """An end concluded outside of turns may need a moment more; a refused one, longer."""
        now, publication = self._monotonic(), self.exports.publication
        self._settle_by = self._settle_by or now + HEARTBEAT_SECONDS
        if not publication.concluding or now >= self._settle_by:
            raise PartLost("a rebalance came while the storage refused")
        return Event.TURN_DUE if publication.conclusions_due else Event.NOTHING_DUE

    async def _unpack(self) -> bool:
        """Unpack a piece of each feed's next batch if it is packed; whether more is left."""
        threads = self._context.threads
        # Only a piece of each: between pieces the lane checks whether it has to rest.
        more = not self.exports.pending_requests and await self._requests.unpack(threads)
        return (not self.exports.pending_records and await self._records.unpack(threads)) or more

    def _take(self) -> None:
        """Hand over a turn's worth of messages; requests only while more exports may be opened."""
        exports = self.exports
        if not exports.pending_requests:
            allowed = self._admissible()
            taken = self._requests.take(TURN_BYTES, allowed.most, allowed.free_below)
            exports.take_requests(taken)
        if not exports.pending_records:
            exports.take_records(self._records.take(TURN_BYTES))
        # An empty feed also moves past markers and aborted messages, which no consumer sees.
        exports.advance(
            0 if self._requests else self._requests.position,
            0 if self._records else self._records.position,
        )

    def _admissible(self) -> Admissible:
        exports = self.exports
        return admission_limit(
            max_open=self._context.limits.max_open_exports,
            open_count=exports.open_count,
            searching=self.search is not None and not exports.batches_next,
            restored_below=exports.next_offsets[0] if exports.restoring else None,
            most_open=self.most_open,
        )

    def _is_long_idle(self) -> bool:
        # Before an end is fetched: messages sent in that time lie below it.
        now, since = self._monotonic(), self.exports.idle_since()
        self._active_before = now - self._context.limits.idle_timeout_seconds
        return since is not None and max(since, self._idle_from) <= self._active_before

    def _due(self) -> Event:
        # Dead letters are held until they are committed: no turn adds more while they fill a
        # transaction.
        full = self.exports.outcome_full and self.commits.advance()
        if self._can_turn() and not self.turns.wait_seconds and not full:
            return Event.TURN_DUE
        self.commits.advance()
        return Event.NOTHING_DUE

    def _can_turn(self) -> bool:
        exports, search = self.exports, self.search
        if search is None:
            return exports.runnable
        # Handled up to it. Waiting for an empty feed would never end under a steady flow of
        # requests.
        if exports.next_offsets[0] >= search.requests_end:
            exports.owners_known(search.records_below)
            self.search = None
            return True
        return exports.publication.due or exports.pending_requests or exports.batches_next

    def _commit(self) -> Event:
        if self._orphan_found:
            return Event.ORPHAN_FOUND
        self.commits.advance()
        return Event.DONE


async def until_ours(machine: LaneMachine, moved: asyncio.Event) -> None:
    """Wait while the partition is revoked."""
    # ``moved`` is set by messages too.
    while machine.assignment is Assignment.REVOKED:
        moved.clear()
        await moved.wait()
