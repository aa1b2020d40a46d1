"""What must hold, at every manifest, at every commit and at the end; judged from meanings alone.

The oracle knows the logs, the disk and what is committed, and nothing of who did it. Invariant: it
uses no code of the service but the shapes of its events.
"""

import math

from consumer.core.resume import ResumePoint
from consumer.exports.messages import DeadLetter, Outcome
from schemas.completions import ExportCancelled, ExportCompleted, ExportFailed, TerminalEvent
from schemas.vocabulary import DeadLetterReason, FailReason
from tests.model.death_count import DeathCount
from tests.model.disk import Disk
from tests.model.undisturbed import End, is_file_of, undisturbed
from tests.model.upstream import RECORDS, REQUESTS, Ask, Cancel, Meaning, Rows, Rubbish
from tests.model.violations import Violation


class Oracle:
    """Hears of all that is sent, decided and committed."""

    def __init__(self, disk: Disk, max_export_bytes: int, most_open: int) -> None:
        self._disk = disk
        self._max_export_bytes = max_export_bytes
        self._most_open = most_open
        self._sent: dict[tuple[str, int], Meaning] = {}
        self._records: list[tuple[int, Meaning]] = []
        self._accepted: dict[str, tuple[int, Ask]] = {}
        self._accepted_at: dict[str, float] = {}
        self._held: set[str] = set()
        self._elsewhere: dict[str, int] = {}
        self._requested: set[str] = set()
        self._early: set[int] = set()
        self._orphans: set[int] = set()
        self._given_up: set[int] = set()
        self._batches: dict[str, list[int]] = {}
        self._cancelled_at: dict[str, int] = {}
        self._ended: dict[str, TerminalEvent] = {}
        self.contested: set[str] = set()
        """Ids that may end with batches that were found to be orphans: by a fenced owner, which did
        not know it, or again, as the commit that had it was lost."""
        self._natural_ends: dict[str, End] = {}
        self._buried: dict[tuple[str, int], DeadLetterReason] = {}
        self._point = ResumePoint(0, (), 0, 0)
        self._rolled_back: set[str] = set()
        self._rejudged: set[tuple[str, int]] = set()
        self._fenced_early: set[str] = set()
        self._committed_since = True
        self._commits_lost = False
        self.deaths = DeathCount()
        self._idle_checked: list[tuple[int, float]] = []
        self.storage_given_up = False

    # What upstream and the world tell.

    def sent(self, topic: str, offset: int, meaning: Meaning, seconds: float) -> None:
        """Something was sent, at this time."""
        match meaning:
            case Ask(held=True):
                self._requested.add(meaning.export_id)
                self._held.add(meaning.export_id)
                return
            case Ask():
                self._requested.add(meaning.export_id)
                self._accept(meaning, offset, seconds)
            case Cancel():
                self._cancelled_at[meaning.export_id] = offset
            case Rows():
                self._batches.setdefault(meaning.export_id, []).append(offset)
                if meaning.export_id not in self._requested:
                    self._early.add(offset)
        self._sent[topic, offset] = meaning
        if topic == RECORDS:
            self._records.append((offset, meaning))

    def released(self, offset: int, ask: Ask, seconds: float, *, commits: bool) -> None:
        """A held request became visible, or never will be."""
        self._held.discard(ask.export_id)
        if commits:
            self._sent[REQUESTS, offset] = ask
            self._accept(ask, offset, seconds)

    def _accept(self, ask: Ask, offset: int, seconds: float) -> None:
        if ask.export_id not in self._elsewhere:
            self._accepted.setdefault(ask.export_id, (offset, ask))
            self._accepted_at.setdefault(ask.export_id, seconds)

    def _accept_set_aside(self, event: TerminalEvent) -> None:
        """What can't be read is set aside unread: its key alone names the export that fails."""
        where = REQUESTS, event.source.offset
        match self._sent.get(where):
            case Rubbish(key=event.export_id) if self.deaths.allow_aside(where):
                self._accept(Ask(event.export_id), event.source.offset, 0)

    def is_accepted(self, export_id: str) -> bool:
        """Whether a request of this id is visible, and no repeat."""
        return export_id in self._accepted

    def decided_elsewhere(self, export_id: str) -> None:
        """Another partition has ended an export of this id: here its requests are repeats."""
        self._elsewhere[export_id], _ = self._accepted.pop(export_id)

    def idle_checked(self, records_end: int, active_before: float) -> None:
        """A lane found exports idle since a time, having read the records to this end."""
        self._idle_checked.append((records_end, active_before))

    def batch_given_up(self, begin: int, end: int) -> None:
        """The storage could not tell for too long whether this batch was late."""
        self._given_up |= {*range(begin, end)}

    def went_back(self, point: ResumePoint) -> None:
        """Kafka lost commits: what came since is judged again, and not published again."""
        self._point = point
        self._committed_since = False
        self._commits_lost = True
        self._rolled_back |= {
            export_id
            for export_id, (offset, _) in self._accepted.items()
            if export_id in self._ended
            and (offset >= point.requests_position or offset in point.open_requests)
        }
        self.contested |= self._fenced_early | {
            export_id
            for export_id, offsets in self._batches.items()
            if any(it in self._early and it >= point.records_position for it in offsets)
        }
        self._rejudged |= {it for it in self._sent if it[1] >= _position(it[0], point)}

    def _dies_by(self, export_id: str) -> bool:
        """Whether a message with the key of this export may be set aside."""
        return any(
            self.deaths.allow_aside(where) and _key_of(self._sent[where]) == export_id
            for where in self.deaths.places
            if where in self._sent
        )

    @property
    def published(self) -> tuple[int, int]:
        """How many events and dead letters are committed."""
        return len(self._ended), len(self._buried)

    # What must hold.

    def decided(self, event: TerminalEvent, *, fenced: bool) -> None:
        """A manifest is created, by an owner that may be fenced."""
        self._accept_set_aside(event)
        accepted = self._accepted.get(event.export_id)
        if accepted is None or accepted[0] != event.source.offset:
            raise Violation(f"decided for a request that was not accepted: {event!r}")
        may_end = self._may_end(event, accepted[0], fenced=fenced) or (
            (fenced or bool(self._rejudged)) and self._may_contest(event)
        )
        if not may_end:
            raise Violation(f"ended as it must not: {event!r}, but {self._natural(event)}")
        if fenced and not self._early.isdisjoint(self._batches.get(event.export_id, ())):
            (self.contested if self._rejudged else self._fenced_early).add(event.export_id)

    def preparing(self, outcome: Outcome) -> None:
        """A transaction can't be lost any more: what is an orphan in it will stay one."""
        for letter in outcome.dead_letters:
            batch = letter.message.topic == RECORDS
            if letter.reason is DeadLetterReason.ORPHAN_BATCH or (
                batch and letter.reason is DeadLetterReason.NODE_KILLER
            ):
                self._orphans.add(letter.message.offset)

    def committing(self, outcome: Outcome, point: ResumePoint) -> None:
        """A transaction becomes visible."""
        for event in outcome.events:
            self._event(event)
        for letter in outcome.dead_letters:
            self._letter(letter)
        self._check_point(point)
        self._point = point
        self._committed_since = True

    def crashed(self) -> None:
        """The machine lost its memory: what was promised must still be there."""
        for event in self._ended.values():
            self._kept(event)

    def closing(self, requests_end: int, records_end: int, *, fenced: bool) -> None:
        """All faults have ended, and a partition at rest says that nothing is left to do.

        Who has nothing to commit doesn't notice that commits were lost, nor does one that is fenced
        notice what another has committed since.
        """
        caught_up = ResumePoint(requests_end, (), records_end, records_end)
        unnoticed = not self._committed_since or (fenced and self._commits_lost)
        if self._point != caught_up and not unnoticed:
            raise Violation(f"not caught up: {self._point} of {requests_end}, {records_end}")
        if self._ended.keys() != self._accepted.keys():
            raise Violation(f"accepted {self._accepted.keys()}, ended {self._ended.keys()}")
        self.crashed()
        completed = [e for e in self._ended.values() if isinstance(e, ExportCompleted)]
        files = {f"{event.export_id}.csv" for event in completed}
        if self._disk.files.keys() != files:
            raise Violation(f"files {self._disk.files.keys()}, completed {files}")
        if self._disk.manifests.keys() != self._ended.keys() | self._elsewhere.keys():
            raise Violation("a manifest of an export that never ended")

    def _may_end(self, event: TerminalEvent, requested_at: int, *, fenced: bool = False) -> bool:
        natural = self._natural(event)
        match event:
            case ExportCompleted():
                return natural is not None and is_file_of(event, natural)
            case ExportCancelled():
                return self._cancelled_at.get(event.export_id, -1) > requested_at
            case ExportFailed(reason=FailReason.TIMED_OUT):
                begun = self._accepted_at[event.export_id]
                return any(
                    begun <= active_before and (natural is None or end <= natural.offset)
                    for end, active_before in self._idle_checked
                )
            case ExportFailed(reason=FailReason.STORAGE_UNAVAILABLE):
                return self.storage_given_up
            case ExportFailed(reason=FailReason.TOO_MANY_OPEN):
                return self._is_crowd(requested_at, fenced=fenced)
            case ExportFailed():
                ended_so = natural and (natural.reason, natural.rows) == (event.reason, event.rows)
                internal = event.reason is FailReason.INTERNAL
                return self._dies_by(event.export_id) if internal else bool(ended_so)

    def _may_contest(self, event: TerminalEvent) -> bool:
        """Whether it ends so with the batches that came before its request: then that binds.

        With all of them; or where commits were lost, with those after some that stayed orphans.
        """
        early = sorted(self._early.intersection(self._batches.get(event.export_id, ())))
        orphans = self._orphans
        for count in range(len(early) if self._rejudged else min(1, len(early))):
            self._natural_ends.pop(event.export_id, None)
            self._orphans = {*early[:count]}
            may_end = self._may_end(event, self._accepted[event.export_id][0])
            self._orphans = orphans
            if may_end:
                self.contested.add(event.export_id)
                return True
        return False

    def _is_crowd(self, requested_at: int, *, fenced: bool) -> bool:
        """Whether so many were open, and a batch waited for an owner that is not among them.

        With one that is fenced a batch may wait that its successor has handled.
        """
        accepted = {export_id: offset for export_id, (offset, _) in self._accepted.items()}
        unfinished = (accepted | self._elsewhere).keys() - self._ended.keys()
        before = sum((accepted | self._elsewhere)[it] < requested_at for it in unfinished)
        return before >= self._most_open and any(
            (fenced or offset >= self._point.records_position)
            and self._owner_of(meaning) >= requested_at
            for offset, meaning in self._records
        )

    def _owner_of(self, meaning: Meaning) -> float:
        """The offset of the request that a batch waits for; infinite if none is to be seen."""
        match meaning:
            case Rows(export_id=str(export_id)) | Rubbish(key=str(export_id)):
                owner = self._accepted.get(export_id)
                return owner[0] if owner else math.inf
            case _:
                return -1

    def _natural(self, event: TerminalEvent) -> End | None:
        """By what was sent after its request, and before, unless that was found an orphan."""
        export_id = event.export_id
        end = self._natural_ends.get(export_id)
        if export_id not in self._accepted:
            raise Violation(f"an event of what was not accepted: {event!r}")
        if end is None:
            records = [it for it in self._records if it[0] not in self._orphans]
            end = undisturbed(self._accepted[export_id][1], records, self._max_export_bytes)
            if end:
                self._natural_ends[export_id] = end
        return end

    def _event(self, event: TerminalEvent) -> None:
        if event.export_id in self._ended:
            raise Violation(f"a second event of {event.export_id}")
        names = f"{event.export_id}.manifest", f"{event.export_id}.csv"
        if not all(map(self._disk.is_durable, names)):
            raise Violation(f"{event.export_id} was published before its names were on the disk")
        self._ended[event.export_id] = event
        self._kept(event)

    def _kept(self, event: TerminalEvent) -> None:
        if self._disk.manifests.get(event.export_id) != event:
            raise Violation(f"the manifest of {event.export_id} is not its event")
        if isinstance(event, ExportCompleted):
            natural = self._natural(event)
            inode = self._disk.files.get(f"{event.export_id}.csv")
            if inode is None or natural is None or inode.content != natural.content:
                raise Violation(f"the file of {event.export_id} is not as of an undisturbed run")

    def _letter(self, letter: DeadLetter) -> None:
        where = letter.message.topic, letter.message.offset
        if where in self._buried and where not in self._rejudged:
            raise Violation(f"a second dead letter of {where}")
        if where[1] < _position(where[0], self._point):
            raise Violation(f"the verdict on {where} has changed")
        if letter.reason not in self._verdicts(where):
            raise Violation(f"{where} is a dead letter for {letter.reason}")
        self._buried[where] = letter.reason

    def _verdicts(self, where: tuple[str, int]) -> set[DeadLetterReason | None]:
        """What may become of a message, by why it is a dead letter, or None."""
        aside = self._verdicts_aside(where) if self.deaths.allow_aside(where) else set()
        return self._verdicts_if_read(where) | aside

    def _verdicts_aside(self, where: tuple[str, int]) -> set[DeadLetterReason | None]:
        """A batch that is set aside fails the export that its key names: also one still unread."""
        killer, (topic, offset) = DeadLetterReason.NODE_KILLER, where
        if topic == REQUESTS:
            return {None, killer}
        if not self._is_requested(_key_of(self._sent[where])):
            return {killer}
        return {None, killer} if offset in self._early | self._given_up else {None}

    def _is_requested(self, export_id: str | None) -> bool:
        return export_id in self._accepted.keys() | self._held | self._elsewhere.keys()

    def _verdicts_if_read(self, where: tuple[str, int]) -> set[DeadLetterReason | None]:
        """A batch that came before its request is either: it depends on when it was read."""
        match self._sent.get(where):
            case Rubbish(reason=reason):
                return {reason}
            case Rows(export_id=export_id):
                orphan = DeadLetterReason.ORPHAN_BATCH
                if not self._is_requested(export_id):
                    return {orphan}
                return {None, orphan} if where[1] in self._early | self._given_up else {None}
            case _:
                return {None}

    def _check_point(self, point: ResumePoint) -> None:
        before = self._point
        if point.requests_position < before.requests_position:
            raise Violation(f"requests went back from {before} to {point}")
        if point.records_position < before.records_position:
            raise Violation(f"records went back from {before} to {point}")
        for export_id, (offset, _) in self._accepted.items():
            self._check_export(export_id, offset, point)
        for where in self._sent:
            handled = where[1] < _position(where[0], point)
            judged = self._buried.get(where)
            if where not in self._rejudged and judged not in (
                self._verdicts(where) if handled else {None}
            ):
                raise Violation(f"{where} and its dead letter are apart: {point}")

    def _check_export(self, export_id: str, requested_at: int, point: ResumePoint) -> None:
        """Open or ended if its request was handled, and to be made again from its first batch."""
        is_open = requested_at in point.open_requests
        ended = export_id in self._ended
        if export_id in self._rolled_back or (self._rejudged and export_id in self.contested):
            return
        if (is_open + ended) != (requested_at < point.requests_position):
            raise Violation(f"{export_id} is lost: open {is_open}, ended {ended}, {point}")
        batches = (it for it in self._batches.get(export_id, ()) if it not in self._orphans)
        first = next(batches, point.records_position)
        if is_open and first < point.records_position and point.records_resume > first:
            raise Violation(f"{export_id} can't be made again from {first}: {point}")


def _key_of(meaning: Meaning) -> str | None:
    return meaning.key if isinstance(meaning, Rubbish) else meaning.export_id


def _position(topic: str, point: ResumePoint) -> int:
    return point.requests_position if topic == REQUESTS else point.records_position
