"""One export's end, and how it is concluded: sync, decide, publish.

Blocking. Invariant: a conclusion can be repeated after a refusal, with the same result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from consumer.errors import LaneStopped, PartLost
from consumer.exports.terminal_events import Origin, Progress
from consumer.storage.base import Part, Storage
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed, TerminalEvent
from schemas.vocabulary import FailReason

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Ending:
    """An export that will end as ``proposed``, unless a manifest has already decided otherwise.

    ``bound``: its manifest existed when its request was read, so its event may be published
    already. ``first_batch`` is the offset of its first batch, if its last batch completes it.
    """

    proposed: TerminalEvent
    origin: Origin
    part: Part | None = None
    bound: bool = False
    first_batch: int | None = None

    @property
    def export_id(self) -> str:
        """Whose end it is."""
        return self.proposed.export_id

    @property
    def follows_from_batches(self) -> bool:
        """Whether a successor that rereads its batches comes to the same end."""
        return isinstance(self.proposed, ExportCompleted) and self.first_batch is not None

    def fail(self, message: str, now: datetime) -> bool:
        """The storage refused for too long: fail the export if it would have completed.

        Returns False if its end can't change: a failure needs a manifest too, and an earlier
        attempt's decision stands.
        """
        if self.bound or not isinstance(self.proposed, ExportCompleted):
            return False
        progress = Progress(self.proposed.rows, self.proposed.started_at, now)
        self.proposed = self.origin.failed(FailReason.STORAGE_UNAVAILABLE, message, progress)
        return True


def conclude(
    ending: Ending, storage: Storage, is_abandoned: Callable[[], bool]
) -> TerminalEvent | None:
    """Decide and publish ("An end's way out"). None if another request with this id has ended it.

    Raises:
        StorageUnavailable: call it again.
        PartLost: another owner interfered, or the partition is lost.
        LaneStopped: the storage holds something that this build can't have made.
    """
    proposed, part = ending.proposed, ending.part
    _require_ours(is_abandoned)
    # 2. Sync the part, or drop it.
    if part:
        if isinstance(proposed, ExportCompleted):
            part.sync()
        else:
            part.discard()  # first: a full disk needs the space for the manifest
    _require_ours(is_abandoned)  # the upload may have taken long
    # 3. Decide: create the manifest, or take the event of the one that is there.
    event = storage.decide(proposed)
    # Another request with this id, in another partition, was faster.
    if event.source != proposed.source:
        if part:
            # Pass the event: the object that it names has to stay.
            part.discard(event)
        return None
    # 4. Have the file that the manifest names.
    if isinstance(event, ExportCompleted):
        _publish(event, ending)
    elif part:
        part.discard(event)
    return event


def _require_ours(is_abandoned: Callable[[], bool]) -> None:
    if is_abandoned():
        raise PartLost("the partition is no longer ours")


def _publish(decided: ExportCompleted, ending: Ending) -> None:
    if not isinstance(ending.proposed, ExportCompleted):
        # After the reload the manifest is read with the request and the file is made.
        raise PartLost(f"{decided.export_id} was decided by another owner: it completed")
    if ending.part is None:
        return  # sending it again: its file exists where the manifest says
    if ending.part.sha256 != decided.sha256:
        raise LaneStopped(
            f"the manifest of {decided.export_id} names other bytes than its batches make: it was "
            "written by another build; remove the manifest to have the file made by this one"
        )
    ending.part.publish(decided)


def log_end(event: TerminalEvent) -> None:
    """Log one line per export. A failure needs attention, so it is a warning with the reason."""
    say, more = log.info, dict[str, int | str]()
    match event:
        case ExportCompleted():
            more = {"bytes": event.bytes}
        case ExportFailed():
            say, more = log.warning, {"reason": event.reason.value, "message": event.message}
        case ExportCancelled():
            more = {"message": event.message}
    say(
        event.type,
        export_id=event.export_id,
        partition=event.source.partition,
        offset=event.source.offset,
        format=str(event.format),
        user=event.user,
        rows=event.rows,
        duration_ms=event.duration_ms,
        **more,
    )
