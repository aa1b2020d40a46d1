"""A storage that decides, publishes, forces or sweeps otherwise."""

from schemas.completions import ExportCompleted, TerminalEvent
from tests.model.disk import ProcessPart, ProcessStorage
from tests.model.mutants.registry import mutant


class _Undecided(ProcessStorage):
    def decide(self, event: TerminalEvent) -> TerminalEvent:
        super().decide(event)
        return event


class _Overruled(ProcessStorage):
    def decide(self, event: TerminalEvent) -> TerminalEvent:
        super().decide(event)
        self._disk.manifests[event.export_id] = event
        return event


class _Unswept(ProcessStorage):
    def sweep(self, partition: int) -> int:
        return 0


class _Unsettled(ProcessStorage):
    def settle(self) -> None:
        self._strike("settle")


class _EarlyPart(ProcessPart):
    def sync(self) -> None:
        super().sync()
        self.rename()


class _UnsyncedPart(ProcessPart):
    def sync(self) -> None:
        self._strike("open")
        self._write_pending(self._opened())


class _WithPart(ProcessStorage):
    part: type[ProcessPart]

    def open_part(
        self,
        partition: int,
        export_id: str,
        extension: str,
        decided: ExportCompleted | None = None,
    ) -> ProcessPart:
        final = f"{export_id}.{extension}"
        return self.part(self._disk, self._strike, self._unused(partition, final), final)


class _PublishedFirst(_WithPart):
    part = _EarlyPart


class _NeverSynced(_WithPart):
    part = _UnsyncedPart


mutant("the manifest does not bind", storage=_Undecided)
mutant("a manifest is replaced by the next", storage=_Overruled)
mutant("nothing is swept", storage=_Unswept)
mutant("names are not forced to the disk", storage=_Unsettled)
mutant("files are published before their end is decided", storage=_PublishedFirst)
mutant("files are not synced before they are published", storage=_NeverSynced)
