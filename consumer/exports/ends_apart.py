"""Concludes exports outside of turns, because an upload may take minutes.

Each end is a call on the storage's own threads, while the partition's turns and commits continue.
An end that follows from the batches counts as open until it is concluded: a successor would come to
it again. The cause of any other end, such as a failure or a cancellation, may not be read again, so
nothing is committed and no message handled until it is concluded. Invariant: while a call is
running, only that call touches its ending.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import structlog

from consumer.core.storage_retry import RetryBudget
from consumer.errors import PartLost, StorageUnavailable
from consumer.exports.ending import Ending, conclude
from consumer.exports.export_context import ExportContext
from schemas.completions import ExportCompleted, TerminalEvent

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Call:
    """The calls for one ending, at most one of them running."""

    ending: Ending
    budget: RetryBudget
    under_way: Future[TerminalEvent | None] | None = None
    trouble: str | None = None


def ends_apart(
    partition: int, context: ExportContext, moved: Callable[[], None]
) -> "EndsApart | None":
    """The partition's ``EndsApart``, if its storage concludes ends on threads."""
    threads = context.storage.threads
    return EndsApart(partition, context, threads, moved) if threads else None


class EndsApart:
    """One partition's ends. ``moved`` is called, from any thread, when one can be collected."""

    def __init__(
        self,
        partition: int,
        context: ExportContext,
        threads: Callable[[int], Executor],
        moved: Callable[[], None],
    ) -> None:
        self._partition = partition
        self._context = context
        self._threads = threads
        self._moved = moved
        self._calls: dict[str, _Call] = {}
        self._abandoned = False

    def get(self, export_id: str) -> Ending | None:
        """The ending of this export id."""
        call = self._calls.get(export_id)
        return call.ending if call else None

    def resumable(self) -> Iterator[Ending]:
        """The endings that count as open."""
        calls = list(self._calls.values())  # another thread may count them
        return (call.ending for call in calls if call.ending.follows_from_batches)

    @property
    def settled(self) -> bool:
        """Whether all endings count as open."""
        return all(call.ending.follows_from_batches for call in self._calls.values())

    @property
    def trouble(self) -> str | None:
        """Why the storage refuses an end that can't be given up, if it has done so for too long."""
        return next((call.trouble for call in self._calls.values() if call.trouble), None)

    def begin(self, ending: Ending) -> None:
        """Conclude an end."""
        # One budget per end: the success of another end must not renew it.
        call = _Call(ending, RetryBudget(self._context.storage_timeout_seconds))
        self._calls[ending.export_id] = call
        self._submit(call)

    @property
    def due(self) -> bool:
        """Whether ``collect`` has work to do."""
        now = self._context.monotonic()
        return any(
            call.under_way.done() if call.under_way else not call.budget.wait_seconds(now)
            for call in self._calls.values()
        )

    @property
    def under_way(self) -> bool:
        """Whether a call is running, or has finished and not been collected."""
        return any(call.under_way for call in self._calls.values())

    def collect(self) -> list[tuple[Ending, TerminalEvent | None]]:
        """The concluded ends with their events; restarts those that were refused.

        Raises as ``conclude``, except for refusals.
        """
        concluded = []
        for call in list(self._calls.values()):
            if call.under_way is None:
                if not call.budget.wait_seconds(self._context.monotonic()):
                    self._submit(call)
            elif call.under_way.done():
                finished, call.under_way = call.under_way, None
                try:
                    event = finished.result()
                except StorageUnavailable as error:
                    self._refused(call, error)
                    continue
                del self._calls[call.ending.export_id]
                concluded.append((call.ending, event))
        return concluded

    def abandon(self) -> None:
        """Make no more decisions; callable from any thread, at any time."""
        self._abandoned = True
        for call in list(self._calls.values()):
            if part := call.ending.part:
                part.stop()

    def discard(self) -> None:
        """Discard the parts of calls that aren't running; a running call discards its own."""
        self.abandon()
        for call in self._calls.values():
            part = call.ending.part
            # A call that never started discards nothing.
            if part and (call.under_way is None or call.under_way.cancel()):
                part.discard()
        self._calls.clear()

    def _submit(self, call: _Call) -> None:
        ending = call.ending
        size = ending.part.size if ending.part else 0
        try:
            # Threads by size, so that small files don't wait behind large ones.
            call.under_way = self._threads(size).submit(self._concluded, ending)
        except RuntimeError:  # the threads were shut down
            raise PartLost("the node ends") from None
        call.under_way.add_done_callback(lambda _: self._moved())

    def _concluded(self, ending: Ending) -> TerminalEvent | None:
        """Conclude; runs on a thread of the storage."""
        metrics, began, size = self._context.metrics, self._context.monotonic(), None
        metrics.upload_began()
        try:
            event = conclude(ending, self._context.storage, lambda: self._abandoned)
            # Without a part its file was there before, and its event is only sent.
            if isinstance(event, ExportCompleted) and ending.part:
                size = event.bytes
            return event
        finally:
            metrics.upload_ended(self._context.monotonic() - began, size)
            if self._abandoned and ending.part:
                ending.part.discard()  # nobody else does; published files are unaffected

    def _refused(self, call: _Call, error: StorageUnavailable) -> None:
        self._context.metrics.storage_retried(error)
        too_long = call.budget.refused(self._context.monotonic())
        # Keep it among the calls: a failure needs its manifest written, too.
        given_up = too_long and call.ending.fail(str(error), self._context.now())
        call.trouble = f"the storage refuses: {error}" if too_long and not given_up else None
        log.warning(
            "storage given up" if given_up else "storage refuses",
            partition=self._partition,
            error=str(error),
        )
