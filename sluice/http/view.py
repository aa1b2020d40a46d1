"""The node as the HTTP server sees it, as read-only Protocols."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from consumer.core.backlog import UnfinishedRequest
from consumer.core.group_overview import GroupOverview
from consumer.core.listing import EndedExports, ListedExport
from consumer.storage.base import StoredFile
from schemas.completions import ExportCompleted, Source, TerminalEvent


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node's status: the response of ``GET /export/status``.

    ``running`` of its ``capacity`` slots are held. ``open_exports`` are accepted and unfinished,
    ``queued`` of them hold no slot. ``assigned_partitions`` are the node's partition numbers,
    ascending; each is a pair of requests and records. ``lag`` is the number of records still to
    read, ``partition_lag`` that of each partition.
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
        """Its encoders: ``native`` or ``python``."""

    def status(self) -> NodeStatus:
        """Its status; doesn't block."""

    def progress(self, export_id: str) -> tuple[int, int] | None:
        """Rows and bytes so far of an export that is open here, else None; doesn't block."""

    async def problems(self) -> list[str]:
        """Why it isn't ready, one sentence each; empty if it is."""


class BacklogView(Protocol):
    """The group's unfinished exports; see ``consumer.backlog.backlog``."""

    async def counts(self, user: str) -> tuple[int, int]:
        """How many there are, in all and of this user, including all accepted before the call."""

    async def find(self, export_id: str, *, accepted: bool = False) -> UnfinishedRequest | None:
        """The unfinished export of this id, as of now."""

    async def unfinished(self) -> list[ListedExport]:
        """All of them, up to a second old."""


class HistoryView(Protocol):
    """The most recently ended exports; see ``consumer.history.history``."""

    async def ended(self) -> EndedExports:
        """All of them; changes as more end."""

    def on_end(self, listener: Callable[[ListedExport], None]) -> None:
        """Call the listener with each export that ends from now on."""


class GroupView(Protocol):
    """The consumer group; see ``consumer.group.group_reader``."""

    async def overview(self) -> GroupOverview:
        """Its nodes and partitions, as of now."""


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
    """The part of ``consumer.storage.base`` for ended exports; it blocks."""

    def manifest(self, export_id: str) -> TerminalEvent | None:
        """How the export ended, or None."""

    def has_file(self, event: TerminalEvent) -> bool:
        """Whether the file of a completed export is there."""

    def open_file(self, event: ExportCompleted) -> StoredFile | None:
        """The file of a completed export, or None if it isn't there."""
