"""What the HTTP server reads of the node, as Protocols. Nothing here changes its state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from consumer.core.backlog import UnfinishedRequest
from consumer.core.listing import EndedExports, ListedExport
from consumer.storage.base import StoredFile
from schemas.completions import ExportCompleted, Source, TerminalEvent


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node is doing now: the answer of ``GET /export/status``.

    ``running`` of its ``capacity`` slots are held. ``open_exports`` are accepted and unfinished,
    ``queued`` of them hold no slot. ``assigned_partitions`` are the numbers of the partitions that
    the group gave this node, ascending: each stands for a pair, requests and records. ``lag`` is
    how many records of theirs are still to be read, ``partition_lag`` that of each.
    """

    running: int
    queued: int
    open_exports: int
    assigned_partitions: Sequence[int]
    lag: int
    partition_lag: Mapping[int, int]
    capacity: int


class NodeView(Protocol):
    """A running node, seen from outside."""

    @property
    def encoders(self) -> str:
        """Which encoders it has: ``native`` or ``python``."""

    def status(self) -> NodeStatus:
        """What it is doing; doesn't block."""

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes so far of an export that is open here, else None; doesn't block."""

    async def problems(self) -> list[str]:
        """Why it can't work, one sentence each; empty when it is ready."""


class BacklogView(Protocol):
    """What the whole group has accepted and not finished; see ``consumer.backlog.backlog``."""

    async def counts(self, user: str) -> tuple[int, int]:
        """How many there are, and how many are this user's, with all accepted before the call."""

    async def find(self, export_id: str, *, accepted: bool = False) -> UnfinishedRequest | None:
        """The unfinished export of this id, as of now."""

    async def unfinished(self) -> list[ListedExport]:
        """All of them, as of about a second ago."""


class HistoryView(Protocol):
    """The exports that ended last; see ``consumer.history.history``."""

    async def ended(self) -> EndedExports:
        """All of them; they change as more end."""

    def on_end(self, listener: Callable[[ListedExport], None]) -> None:
        """Call the listener with each one that ends from now on."""


class Recorded(Protocol):
    """A message of the requests topic."""

    @property
    def value(self) -> bytes | None:
        """The value, as it was sent."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """The headers, as they were sent."""


class RequestsView(Protocol):
    """Messages of the requests topic; see ``consumer.backlog.request_lookup``."""

    async def at(self, source: Source) -> Recorded | None:
        """Fetch the message at a source; None if Kafka no longer has it."""

    async def has_batch(self, topic: str, source: Source, export_id: str) -> bool:
        """Whether a batch of the export that was requested at ``source`` is in Kafka."""


class FinishedView(Protocol):
    """The part of ``consumer.storage.base`` that answers for ended exports; it blocks."""

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """How the export ended, or None."""

    def has_file(self, event: TerminalEvent) -> bool:
        """Whether the file of a completed export is there."""

    def open_file(self, event: ExportCompleted) -> StoredFile | None:
        """The file of a completed export, or None if it isn't there."""
